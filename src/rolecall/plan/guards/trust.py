"""A role lets in whom the file names, and nobody else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.access.principals import find_principal
from rolecall.iam.account import IamRole
from rolecall.iam.assume_role import DEFAULT_DURATION
from rolecall.iam.common_documents import grants_no_more
from rolecall.iam.trust_policy import statements
from rolecall.manifest.schema import State
from rolecall.moments import write_moment
from rolecall.plan.findings import Finding
from rolecall.plan.guards.case import Case
from rolecall.plan.links import named_in, principal_key, principals_of
from rolecall.plan.resources import Change, Kind, ResourceId

MAX_TRUST, USUAL_TRUST = 4_096, 2_048
MAX_INLINE = 10_240
MAX_USER_INLINE = 2_048


def _widened(case: Case) -> Iterator[tuple[Change, Mapping[str, Any]]]:
    """Changes that let somebody new into a role, with the new trust policy."""
    for change in case.changes:
        if change.resource.kind is Kind.IAM_ROLE and change.after is not None:
            trust = change.after["trust"]
            if change.before is None or not grants_no_more(trust, change.before["trust"]):
                yield change, trust


def wide_trust(case: Case) -> Iterator[Finding]:
    """Everybody, or everybody of an account whose own policies say so, could assume a role."""
    for change, trust in _widened(case):
        role = change.resource.name
        for principal in sorted(set(principals_of(_allowing(trust)))):
            if principal == "*":
                text = f"everybody, in any AWS account, could assume role {role}"
            elif principal.isdigit():
                who = f"anyone whom account {principal} allows"
                text = f"{who} could assume role {role}: its policies decide, not this file"
            else:
                continue
            yield case.finding("wide-trust", role, text, "name people or groups in assumableBy", of=change.resource)


def raw_trust_policy(case: Case) -> Iterator[Finding]:
    """A trust policy that is written out lets in principals that the file does not name as people or roles."""
    known = {
        principal_key(who.arn) for who in (*case.planned.names.people.values(), *case.planned.names.roles.values())
    }
    for change, trust in _widened(case):
        source = case.planned.want.sources.get(change.resource)
        if source is None or case.planned.names.manifest.roles[str(source[1])].trust_policy is None:
            continue
        others = [
            one for one in principals_of(_allowing(trust)) if one not in known and one != "*" and not one.isdigit()
        ]
        others += [f"{kind} {name}" for kind, name in _not_aws(trust)]
        if others:
            role = change.resource.name
            text = f"the written-out trust policy of role {role} lets in {_some(others)}, whom the file does not name"
            yield case.finding(
                "raw-trust-policy", role, text, "use assumableBy, or list them in people", of=change.resource
            )


def trust_through_role(case: Case) -> Iterator[Finding]:
    """A member of a role is itself a role, and others than the file names can be that one."""
    people = {principal_key(who.arn) for who in case.planned.names.people.values()}
    roles = {principal_key(who.arn) for who in case.planned.names.roles.values() if who.owned}
    for change, trust in _widened(case):
        before = set(principals_of(change.before["trust"])) if change.before else set()
        for arn in (one for one in _principal_arns(trust) if ":role/" in one):
            key = principal_key(arn)
            found = find_principal(case.after.accounts, arn)
            if key in roles or key in before or not isinstance(found, IamRole):
                continue
            others = [one for one in principals_of(_allowing(json.loads(found.trust))) if one not in people]
            if others:
                role = change.resource.name
                text = f"{_some(others)} could assume role {role} through {arn}, which trusts them"
                advice = f"list {arn} in roles with its own assumableBy, or trust people instead"
                yield case.finding("trust-through-role", role, text, advice, of=change.resource)


def cannot_assume(case: Case) -> Iterator[Finding]:
    """Principals that a role trusts and that still cannot assume it, for as long as that is so: one finding a role.

    Across accounts both sides must allow (IAM user guide, "Cross-account policy evaluation logic").
    """
    for resource, value in case.planned.want.values.items():
        account = case.after.accounts.get(resource.place)
        role = account.roles.get(resource.name) if account and resource.kind is Kind.IAM_ROLE else None
        if role is None or not case.is_about(resource):
            continue
        sources = {edge.source for edge in case.access_after.graph.edges_to(role.arn)}
        without = [
            arn
            for arn in _principal_arns(value["trust"])
            if arn not in sources and find_principal(case.after.accounts, arn)
        ]
        if without:
            text = f"{', '.join(without)} cannot assume role {role.name}: their own policies do not allow it"
            advice = f"allow sts:AssumeRole on {role.arn} in their policies; across accounts both sides must allow"
            yield case.finding("cannot-assume", resource.name, text, advice, of=resource, refuses=False)


def date_over(case: Case) -> Iterator[Finding]:
    """A change that takes access away because a date in the file is over, which may be a slip in the year."""
    names = case.planned.names
    for index, grant in enumerate(names.manifest.grants):
        who = names.granted(grant)
        if who is None or grant.until is None or grant.until > names.now:
            continue
        key, where = principal_key(who.arn), {names.clusters[name] for name in names.granted_clusters(grant)}
        if any(c.resource.place in where and key in named_in(c.before, c.resource) for c in case.changes):
            name = grant.role or grant.person or ""
            text = f"the grant of {name} ended on {write_moment(grant.until)}: this date is over"
            yield _over(case, name, text, "grants", index, "until")
    changed = {change.resource for change in case.changes}
    for key, role in names.manifest.roles.items():
        who = names.roles[key]
        if ResourceId(Kind.IAM_ROLE, who.account, who.principal.name) not in changed:
            continue
        for index, member in enumerate(role.assumable_by or ()):
            if not isinstance(member, str) and member.until is not None and member.until <= names.now:
                name = member.person or member.group or member.account or ""
                text = f"{name} could assume role {key} until {write_moment(member.until)}: this date is over"
                yield _over(case, name, text, "roles", key, "assumableBy", index)


def _over(case: Case, name: str, text: str, *path: str | int) -> Finding:
    place = str(case.planned.names.loaded.place(*path))
    return Finding("date-over", (name,), text, "correct the date, or take the line out", place, refuses=False)


def break_glass_without_mfa(case: Case) -> Iterator[Finding]:
    """A role for emergencies that somebody with a stolen key could use."""
    for key, role in case.planned.names.manifest.roles.items():
        who = case.planned.names.roles[key]
        if not role.break_glass or role.state is State.absent:
            continue
        resource = ResourceId(Kind.IAM_ROLE, who.account, who.principal.name)
        trust = case.planned.want.values[resource]["trust"]
        if not all(_asks_for_mfa(statement) for statement in _allowing(trust)["Statement"]):
            text = f"the break-glass role {key} can be assumed without MFA"
            yield case.finding("break-glass-without-mfa", key, text, "write conditions: {mfa: true}", of=resource)


def break_glass_session(case: Case) -> Iterator[Finding]:
    """A session for an emergency that outlives it."""
    for key, role in case.planned.names.manifest.roles.items():
        longest = role.max_session_duration or 0
        if role.break_glass and role.state is State.present and longest > DEFAULT_DURATION:
            who = case.planned.names.roles[key]
            resource = ResourceId(Kind.IAM_ROLE, who.account, who.principal.name)
            text = f"sessions of the break-glass role {key} could last {longest} seconds"
            yield case.finding("break-glass-session", key, text, "write 3600, or leave it out", of=resource)


def policy_length(case: Case) -> Iterator[Finding]:
    """IAM refuses a document that is too long, white space left out (IAM user guide, "IAM and AWS STS quotas")."""
    for change in case.changes:
        if change.resource.kind is Kind.IAM_ROLE and change.after is not None:
            length = _length(change.after["trust"])
            if length > USUAL_TRUST:
                role, refuses = change.resource.name, length > MAX_TRUST
                text = (
                    f"the trust policy of role {role} has {length} characters; IAM takes {MAX_TRUST} at most"
                    if refuses
                    else f"the trust policy of role {role} has {length} characters; IAM takes {USUAL_TRUST} unless the "
                    "account's quota was raised"
                )
                advice = "split the role, or let its people assume a role of their own account first"
                yield case.finding("policy-length", role, text, advice, of=change.resource, refuses=refuses)
    for account, name in sorted({_role_of(c) for c in case.changes if c.resource.kind is Kind.IAM_USER_POLICY}):
        known = case.after.accounts.get(account)
        user = known.users.get(name) if known else None
        length = sum(_length(json.loads(text)) for text in user.inline.values()) if user else 0
        if length > MAX_USER_INLINE:
            text = f"the inline policies of user {name} have {length} characters; IAM takes {MAX_USER_INLINE} at most"
            advice = "attach a managed policy that allows sts:AssumeRole on these roles to the user"
            yield Finding("policy-length", (name,), text, advice)
    for account, name in sorted({_role_of(c) for c in case.changes if c.resource.kind is Kind.IAM_ROLE_POLICY}):
        known = case.after.accounts.get(account)
        role_after = known.roles.get(name) if known else None
        length = sum(_length(json.loads(text)) for text in role_after.inline.values()) if role_after else 0
        if length > MAX_INLINE:
            text = f"the inline policies of role {name} have {length} characters; IAM takes {MAX_INLINE} at most"
            yield Finding("policy-length", (name,), text, "write describeClusters: false and attach a managed policy")


def role_path(case: Case) -> Iterator[Finding]:
    """A role keeps its path for good."""
    for change in case.changes:
        if change.resource.kind is Kind.IAM_ROLE and change.before is not None and change.after is not None:
            role, before, after = change.resource.name, change.before["path"], change.after["path"]
            if before != after:
                text = f"the path of role {role} cannot change from {before} to {after}"
                yield case.finding("role-path", role, text, "leave path out, or take another name", of=change.resource)


def role_in_use(case: Case) -> Iterator[Finding]:
    """IAM does not delete a role that has a managed policy."""
    for change in case.changes:
        if change.resource.kind is Kind.IAM_ROLE and change.before is not None and change.after is None:
            role = change.resource.name
            account = case.before.accounts.get(change.resource.place)
            there = account.roles.get(role) if account else None
            if there is not None and there.attached:
                text = f"role {role} cannot be deleted while {_some(list(there.attached))} is attached to it"
                yield case.finding("role-in-use", role, text, "detach it first")


def _allowing(trust: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    return {"Statement": [statement for statement in statements(trust) if statement.get("Effect") == "Allow"]}


def _not_aws(trust: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    for statement in _allowing(trust)["Statement"]:
        principals = statement.get("Principal")
        for kind, names in principals.items() if isinstance(principals, Mapping) else ():
            if kind != "AWS":
                yield from ((kind.lower(), name) for name in ([names] if isinstance(names, str) else names))


def _principal_arns(trust: Mapping[str, Any]) -> Iterator[str]:
    """ARNs of the users and roles that a trust policy lets in, each once."""
    found: dict[str, None] = {}
    for statement in _allowing(trust)["Statement"]:
        principals = statement.get("Principal")
        names = principals.get("AWS", ()) if isinstance(principals, Mapping) else ()
        found |= dict.fromkeys(
            n for n in ([names] if isinstance(names, str) else names) if ":user/" in n or ":role/" in n
        )
    yield from found


def _asks_for_mfa(statement: Mapping[str, Any]) -> bool:
    asked = statement.get("Condition", {}).get("Bool", {})
    found = next((value for key, value in asked.items() if key.lower() == "aws:multifactorauthpresent"), None)
    values = found if isinstance(found, list) else [found]
    return all(str(value).lower() == "true" for value in values)


def _length(document: Mapping[str, Any]) -> int:
    return len(json.dumps(document, separators=(",", ":"), ensure_ascii=False))


def _role_of(change: Change) -> tuple[str, str]:
    return change.resource.place, change.resource.name.partition("/")[0]


def _some(names: list[str]) -> str:
    return f"{', '.join(names[:3])}{f' and {len(names) - 3} more' if len(names) > 3 else ''}"
