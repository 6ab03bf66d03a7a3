"""A mapping does what its author meant: it is read, it matches somebody, and it gives no more than it seems to."""

from __future__ import annotations

from collections.abc import Iterator

from rolecall.access.principals import GONE, find_principal
from rolecall.arn import Arn
from rolecall.iam.account import IamRole, IamUser
from rolecall.mapping.access_entries import (
    AssociatedPolicy,
    EntryError,
    EntryType,
    ScopeType,
    check_groups,
    check_policy,
    check_username,
    entry_principal,
)
from rolecall.mapping.editing.guards import Guard, refusals
from rolecall.mapping.editing.lint import Severity, lint
from rolecall.plan.actual import all_bindings, aws_auth_of
from rolecall.plan.findings import Finding
from rolecall.plan.guards.case import Case, cluster_label, mapped_arn
from rolecall.plan.guards.cluster_names import exists
from rolecall.plan.links import principal_key, principals_of
from rolecall.plan.resources import BINDING_KINDS, Change, Kind, Value
from rolecall.plan.values import same_value
from rolecall.rbac.access_policies import ACCESS_POLICIES
from rolecall.rbac.rules import MASTERS

_AWS_AUTH = (Kind.AWS_AUTH_ROLE, Kind.AWS_AUTH_USER)


def _both(change: Change, cluster: str) -> tuple[str, ...]:
    """What a finding about a mapping is about: the principal by its name, and the cluster."""
    return mapped_arn(change).rpartition("/")[2], cluster


def system_masters(case: Case) -> Iterator[Finding]:
    """system:masters is beyond RBAC: no rule limits it, and it cannot be taken back but with the mapping itself.

    Source: Kubernetes documentation, "Role Based Access Control Good Practices".
    """
    for change in case.mapping_changes():
        after, before = change.after or {}, change.before or {}
        if MASTERS in after["groups"] and MASTERS not in before.get("groups", ()):
            name = cluster_label(case, change.resource.place)
            text = f"{mapped_arn(change)} would get {MASTERS} on cluster {name}, which no RBAC rule limits"
            advice = "give a group of your own and bindings: [{clusterRole: cluster-admin}]"
            yield case.finding("system-masters", _both(change, name), text, advice, of=change.resource)


def mapping_not_read(case: Case) -> Iterator[Finding]:
    """The cluster's authentication mode does not look where the mapping is written."""
    for change in case.mapping_changes():
        state = case.before.clusters[change.resource.place]
        kind, mode = change.resource.kind, state.mode
        if (kind in _AWS_AUTH and not mode.reads_config_map) or (kind is Kind.ACCESS_ENTRY and not mode.reads_entries):
            where = "access entries" if kind is Kind.ACCESS_ENTRY else "aws-auth"
            other = "aws-auth" if kind is Kind.ACCESS_ENTRY else "access-entries"
            name = cluster_label(case, change.resource.place)
            text = f"cluster {name} has authentication mode {mode}, which does not read {where}"
            yield case.finding(
                "mapping-not-read", _both(change, name), text, f"write mapping: {other}", of=change.resource
            )


def no_such_principal(case: Case) -> Iterator[Finding]:
    """The file names a user or role by an ARN that does not exist; it refuses where a change depends on it."""
    names = case.planned.names
    used = {principal_key(mapped_arn(change)) for change in case.mapping_changes()}
    for change in case.changes:
        if change.resource.kind is Kind.IAM_ROLE and change.after is not None:
            used |= set(principals_of(change.after["trust"]))
    named = [(("people", key), who) for key, who in names.people.items()]
    named += [(("roles", key), who) for key, who in names.roles.items()]
    for source, who in named:
        account = case.after.accounts.get(who.account)
        if who.owned or who.absent or account is None or find_principal(case.after.accounts, who.arn):
            continue
        key = principal_key(who.arn)
        principals: list[IamUser | IamRole] = [*account.users.values(), *account.roles.values()]
        there = next((arn for one in principals if principal_key(arn := one.arn) == key), "")
        text = f"{who.arn} does not exist" + (" under this path" if there else "")
        advice = f"write {there}" if there else "correct the ARN, or make the principal first"
        place = str(names.loaded.place(*source))
        yield Finding("no-such-principal", (source[1],), text, advice, place, refuses=key in used)


def unresolved_name(case: Case) -> Iterator[Finding]:
    """A name of the file does not stand for exactly one thing in AWS; what it says is left out."""
    for one in case.planned.unresolved:
        place = str(case.planned.names.loaded.place(*one.path))
        text = f"{one.name} is left out: {one.what}"
        advice = f"{one.advice}, or continue without {one.name}: --allow unresolved-name:{one.name}"
        yield Finding("unresolved-name", (one.name,), text, advice, place)


def shadowed_mapping(case: Case) -> Iterator[Finding]:
    """A mapping that is written where another one for the same principal speaks first."""
    for change in case.mapping_changes():
        state = case.after.clusters[change.resource.place]
        key, kind = principal_key(mapped_arn(change)), change.resource.kind
        by = ""
        if kind is not Kind.ACCESS_ENTRY and state.mode.reads_entries:
            by = next((f"its access entry {e.principal_arn}" for e in state.entries
                       if principal_key(e.principal_arn) == key and e.principal_id != GONE), "")  # fmt: skip
        read = aws_auth_of(state)
        if not by and kind is Kind.AWS_AUTH_USER and (entry := read.roles.get(change.resource.name)):
            by = str(entry)
        if not by and kind is Kind.IDENTITY_MAPPING and state.mode.reads_config_map:
            arn = mapped_arn(change).lower()
            by = next((str(e) for e in (read.roles.get(arn), read.users.get(arn)) if e), "")
        if by:
            name = cluster_label(case, change.resource.place)
            text = f"the mapping of {mapped_arn(change)} on cluster {name} would never be used: {by} speaks first"
            yield case.finding(
                "shadowed-mapping", _both(change, name), text, "keep one mapping of a principal", of=change.resource
            )


def group_without_binding(case: Case) -> Iterator[Finding]:
    """A group that no binding to an existing role names: its members get in and may do nothing."""
    for change in case.mapping_changes():
        value, place = change.after or {}, change.resource.place
        state = case.after.clusters[place]
        bound = {
            s.name for b in state.bindings for s in b.subjects
            if s.kind == "Group" and exists(state, b.role_kind, b.namespace, b.role_name)
        }  # fmt: skip
        idle = [g for g in value["groups"] if g not in bound and not g.startswith("system:") and "{{" not in g]
        known = change.before["groups"] if change.before else ()
        if not any(group not in known for group in idle):
            continue
        name = cluster_label(case, place)
        text = f"no binding on cluster {name} gives anything to group {', '.join(idle)} of {mapped_arn(change)}"
        advice = "add bindings to the grant, or correct the group's name"
        yield case.finding("group-without-binding", _both(change, name), text, advice, of=change.resource)


def eks_rejects(case: Case) -> Iterator[Finding]:
    """An access entry that EKS would refuse."""
    for change in case.mapping_changes():
        value = change.after or {}
        if change.resource.kind is not Kind.ACCESS_ENTRY:
            continue
        if (error := _refused(case, change.resource.place, change.resource.name, value)) is not None:
            name = cluster_label(case, change.resource.place)
            text = f"EKS would refuse the access entry of {change.resource.name} on cluster {name}: {error.what}"
            advice = "use mapping: aws-auth for what EKS refuses in entries"
            yield case.finding("eks-rejects", _both(change, name), text, advice, of=change.resource)


def _refused(case: Case, cluster: str, arn: str, value: Value) -> EntryError | None:
    kind = EntryType(value["type"])
    try:
        entry_principal(arn, case.before.clusters[cluster].account, kind)
        if kind is EntryType.STANDARD:
            check_username(value["username"], kind)
            check_groups(value["groups"], kind)
        for policy in value["policies"]:
            scope, namespaces = ScopeType(policy["scope"]), tuple(policy["namespaces"])
            check_policy(AssociatedPolicy(policy["policyArn"], scope, namespaces), kind, frozenset(ACCESS_POLICIES))
    except EntryError as error:
        return error
    return None


def entry_of_a_gone_principal(case: Case) -> Iterator[Finding]:
    """An access entry stays bound to the principal of its day: one that was created again under the name is another."""
    changed = {change.resource for change in case.changes}
    for resource in case.planned.want.values:
        if resource.kind is not Kind.ACCESS_ENTRY or resource in changed:
            continue
        state = case.before.clusters.get(resource.place)
        for entry in state.entries if state else ():
            if entry.principal_arn == resource.name and entry.principal_id == GONE:
                name = cluster_label(case, resource.place)
                text = f"the access entry of {resource.name} on cluster {name} is of a principal that was deleted since"
                advice = "delete the entry and apply again: a new one is bound to the principal of today"
                yield case.finding("entry-of-gone-principal", name, text, advice, of=resource, refuses=False)


def binding_of_others(case: Case) -> Iterator[Finding]:
    """A binding of somebody else has the name already, and says something else."""
    for change in case.changes:
        if change.resource.kind not in BINDING_KINDS or change.before is not None or change.after is None:
            continue
        there = all_bindings(case.before.clusters[change.resource.place]).get(change.resource)
        if there is not None and not same_value(change.resource.kind, there, change.after):
            name = cluster_label(case, change.resource.place)
            text = f"the binding {change.resource.name} on cluster {name} exists, is not rolecall's, and says otherwise"
            yield case.finding("binding-of-others", name, text, "rename or delete it", of=change.resource)


def never_matches(case: Case) -> Iterator[Finding]:
    """An aws-auth that, once changed, holds a new entry without the effect that is written in it."""
    for arn in case.changed_clusters():
        before, after = case.before.clusters[arn].aws_auth or {}, case.after.clusters[arn].aws_auth or {}
        if before == after:
            continue
        name = cluster_label(case, arn)
        for refusal in refusals(before, after):
            if refusal.guard is Guard.NEVER_MATCHES:
                yield Finding("never-matches", (name,), f"aws-auth of cluster {name}: {refusal.text}")


def aws_auth_problem(case: Case) -> Iterator[Finding]:
    """What was wrong with the aws-auth of a cluster before, and stays: told, and left alone."""
    for arn in case.changed_clusters():
        name = cluster_label(case, arn)
        for found in lint(case.before.clusters[arn].aws_auth or {}):
            if found.severity is Severity.ERROR:
                text = f"aws-auth of cluster {name}, {found.section} line {found.line}: {found.text}"
                yield Finding("aws-auth-problem", (name,), text, found.advice, refuses=False)


def not_read(case: Case) -> Iterator[Finding]:
    """What could not be read is not changed, and whether it is as the file says is not known."""
    unread = case.planned.unread
    together: dict[str, list[str]] = {}
    for place, why in unread.items():
        account = Arn.parse(place).account if place.startswith("arn:") else place
        together.setdefault(account if account in unread else why, []).append(place)
    for places in together.values():
        clusters = [cluster_label(case, place) for place in places if place.startswith("arn:")]
        accounts = [place for place in places if not place.startswith("arn:")]
        which = f"cluster{'' if len(clusters) == 1 else 's'} {', '.join(clusters)}" if clusters else ""
        what = f"account {accounts[0]}{f' with {which}' if which else ''}" if accounts else which
        about = (*accounts, *clusters)
        advice = f"fix access to it, or skip it with --allow not-read:{about[0]}"
        yield Finding(
            "not-read", about, f"{what} could not be read, so nothing there changes: {unread[places[0]]}", advice
        )
