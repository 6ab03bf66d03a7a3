"""``rolecall access-entry``: EKS access entries and their policies, listed and changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.cli.cluster_maps.options import (
    SETTINGS,
    ClusterOptions,
    EntryChangeOptions,
    Groups,
    NoGroups,
    Output,
    Username,
    with_groups,
)
from rolecall.cli.output import Format, print_document, print_table
from rolecall.errors import RolecallError
from rolecall.mapping.access_entries import (
    AccessEntry,
    AssociatedPolicy,
    EntryType,
    ScopeType,
    check_entry,
    default_groups,
    default_username,
    entry_principal,
)
from rolecall.mapping.editing.access_entry_guards import entry_refusals, is_cluster_admin
from rolecall.visible import visible

if TYPE_CHECKING:
    from rolecall.aws.read_clusters import DatedEntry

app = typer.Typer(
    help="List, create, change and delete the access entries of an EKS cluster, with their access policies.\n\n"
    "What EKS would refuse is refused before anything is sent, and so is what would lock out you, the nodes or the "
    "last administrator.\n\n"
    "\b\nrolecall access-entry list --cluster prod\nrolecall access-entry list --context prod -o json\n\n"
    "Exit codes: 0 done, 1 error or refused, 2 usage.",
    no_args_is_help=True,
    add_completion=False,
    context_settings=SETTINGS,
)
CALLS = 8
# Entries of administrators that IAM is asked about before the last one known is taken away.
MAX_LOOKUPS = 50

Principal = Annotated[str, typer.Argument(metavar="ARN", help="ARN of the role or user; a role with its path.")]
Policy = Annotated[str, typer.Argument(metavar="POLICY", help="Name or ARN of an access policy.")]
Edit = Callable[["AccessEntry | None"], "AccessEntry | None"]


class EksEntries:
    """The entries of a cluster."""

    def __init__(self, where: ClusterOptions) -> None:
        from rolecall.aws.read_clusters import describe_cluster
        from rolecall.aws.session import AwsClients, identify
        from rolecall.cli.cluster_maps.places import named_cluster

        cluster, region, profile = named_cluster(where)
        access = identify(profile, region)
        self.clients = AwsClients([access])
        self.cluster = describe_cluster(self.clients, access.account, access.region, cluster)
        if not self.cluster.mode.reads_entries:
            raise RolecallError(
                f"its authentication mode {self.cluster.mode} does not read access entries",
                where=f"cluster {cluster}",
                advice=f"aws eks update-cluster-config --name {cluster} "
                "--access-config authenticationMode=API_AND_CONFIG_MAP (EKS cannot change it back)",
            )
        self.eks = self.clients.client(access.account, "eks", access.region)

    def dated(self) -> list[DatedEntry]:
        """All entries, by principal."""
        from rolecall.aws.read_clusters import read_entries

        with ThreadPoolExecutor(CALLS) as calls:
            return list(read_entries(self.clients, self.cluster, calls))

    def one(self, principal: str) -> AccessEntry | None:
        """The entry of a principal."""
        from rolecall.aws.errors import explained
        from rolecall.aws.read_clusters import read_entry

        with explained(f"access entry {principal}"):
            found = read_entry(self.eks, self.cluster.name, principal)
        return found.entry if found else None

    def policy_arn(self, policy: str) -> str:
        """The ARN of an access policy that is given by name or ARN."""
        names = self.policies()
        if policy in names or policy in names.values():
            return names.get(policy, policy)
        raise RolecallError(f"there is no access policy {policy!r}", advice=f"there are: {', '.join(sorted(names))}")

    def policies(self) -> dict[str, str]:
        """ARNs of the access policies that EKS offers, by name."""
        from rolecall.aws.eks_access_entries import access_policy_names
        from rolecall.aws.errors import explained

        with explained("access policies"):
            return access_policy_names(self.eks)

    def change(self, principal: str, edit: Edit, options: EntryChangeOptions) -> None:
        """Change one entry: checked by EKS's rules and the guards, sent, waited for, shown."""
        from rolecall.aws.eks_access_entries import wait_for_entry, write_entry
        from rolecall.aws.errors import explained
        from rolecall.cli.cluster_maps.places import require
        from rolecall.plan.actual import entry_value

        dated = self.dated()
        every = [one.entry for one in dated]
        before = next((entry for entry in every if entry.principal_arn == principal), None)
        after = edit(before)
        if after is not None:
            check_entry(after, self.cluster.account, frozenset(self.policies()) if after.policies else frozenset())
        rest = [entry for entry in every if entry.principal_arn != principal]
        caller = self.clients.caller_arn(self.cluster.account)
        result = [*rest, *([after] if after else [])]
        gone = self._gone(dated, result)
        require(entry_refusals(every, result, caller=caller, gone=gone), options.allow or ())
        old, new = entry_value(before) if before else None, entry_value(after) if after else None
        changed = old != new
        if changed and not options.dry_run:
            with explained(f"access entry {principal} of cluster {self.cluster.name}"):
                write_entry(self.eks, self.cluster.name, principal, old, new)

                def settled(found: AccessEntry | None) -> bool:
                    return _comparable(entry_value(found) if found else None) == _comparable(new)

                if options.wait and not wait_for_entry(self.eks, self.cluster.name, principal, settled):
                    raise RolecallError(
                        "EKS took the change and does not show it yet, or somebody else changed the entry too",
                        where=f"access entry {principal}",
                        advice=f"see: rolecall access-entry get {principal} --cluster {self.cluster.name}",
                    )
        self._say(principal, old, new, options)

    def _gone(self, before: Sequence[DatedEntry], after: Sequence[AccessEntry]) -> frozenset[str]:
        """Administrators whom IAM does not have any more; asked only if the change takes one of them away."""
        from rolecall.aws.principals import principal_exists

        left = {entry.principal_arn for entry in after if is_cluster_admin(entry)}
        admins = [one for one in before if is_cluster_admin(one.entry)]
        if not {one.entry.principal_arn for one in admins} - left:
            return frozenset()
        found = {
            one.entry.principal_arn: principal_exists(
                self.clients, one.entry.principal_arn, with_path=True, entry_made=one.created
            )
            for one in admins[:MAX_LOOKUPS]
        }
        unknown = [arn for arn, exists in found.items() if exists is None and arn in left]
        if unknown and not any(found[arn] for arn in left & found.keys()):
            arns = visible(", ".join(unknown))
            sys.stderr.write(f"note: it is not known whether IAM still has the administrators that remain: {arns}\n")
        return frozenset(arn for arn, exists in found.items() if exists is False)

    def _say(self, principal: str, old: Any, new: Any, options: EntryChangeOptions) -> None:
        if options.output is not Format.table:
            shown = {"principalArn": principal, "changed": old != new, "dryRun": options.dry_run}
            print_document("AccessEntryChange", {**shown, "before": old, "after": new}, options.output)
            return
        what = (
            "nothing to change" if old == new else "deleted" if new is None else "created" if old is None else "updated"
        )
        tense = " (dry run)" if options.dry_run else ""
        sys.stdout.write(visible(f"access entry {principal} of cluster {self.cluster.name}: {what}{tense}") + "\n")
        for key in ("username", "groups", "policies"):
            one, two = (_in_words(key, value[key]) if value else "none" for value in (old, new))
            if one != two:
                sys.stdout.write(f"  {key}: {visible(one)} -> {visible(two)}\n")


@app.command("list")
@with_groups
def list_command(where: ClusterOptions, output: Output = Format.table) -> None:
    """List the access entries of a cluster.

    \b
    rolecall access-entry list --cluster prod
    rolecall access-entry list --context prod -o json

    Exit codes: 0 done, 1 error, 2 usage.
    """
    entries = [dated.entry for dated in EksEntries(where).dated()]
    if output is not Format.table:
        print_document("AccessEntries", {"entries": [_shown(entry) for entry in entries]}, output)
        return
    rows = [
        (e.principal_arn, str(e.type), e.username, ",".join(e.groups), ",".join(map(_policy_text, e.policies)))
        for e in entries
    ]
    print_table(("principal", "type", "username", "groups", "policies"), rows)


@app.command("get")
@with_groups
def get_command(where: ClusterOptions, principal: Principal, output: Output = Format.table) -> None:
    """Print one access entry.

    \b
    rolecall access-entry get arn:aws:iam::111122223333:role/Dev --cluster prod
    rolecall access-entry get arn:aws:iam::111122223333:user/ann -o yaml

    Exit codes: 0 done, 1 error or no such entry, 2 usage.
    """
    entry = EksEntries(where).one(principal)
    if entry is None:
        raise RolecallError("there is no such access entry", where=principal, advice="give a role with its whole path")
    if output is not Format.table:
        print_document("AccessEntry", _shown(entry), output)
        return
    rows = [("principal", entry.principal_arn), ("type", str(entry.type)), ("username", entry.username)]
    rows += [("group", group) for group in entry.groups] + [("policy", _policy_text(p)) for p in entry.policies]
    print_table(("field", "value"), rows)


@app.command("create")
@with_groups
def create_command(
    where: ClusterOptions,
    how: EntryChangeOptions,
    principal: Principal,
    username: Username = "",
    group: Groups = None,
    kind: Annotated[
        EntryType,
        typer.Option(
            "--type",
            metavar="TYPE",
            help=f"{', '.join(EntryType)} (default: STANDARD, for people; the others are for nodes).",
            show_default=False,
        ),
    ] = EntryType.STANDARD,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy",
            metavar="POLICY[=NAMESPACE,...]",
            help="Access policy, for the whole cluster or for namespaces. Repeatable.",
        ),
    ] = None,
) -> None:
    """Create an access entry with its access policies. It is an error if the entry exists.

    \b
    rolecall access-entry create arn:aws:iam::111122223333:role/Dev --group dev
    rolecall access-entry create arn:aws:iam::111122223333:role/Ops \\
      --cluster prod --policy AmazonEKSEditPolicy=web,shop

    Exit codes: 0 done, 1 error or refused, 2 usage.
    """
    entries = EksEntries(where)

    def edit(found: AccessEntry | None) -> AccessEntry:
        if found is not None:
            raise RolecallError(
                "there is an access entry already", where=principal, advice="change it: rolecall access-entry update"
            )
        who = entry_principal(principal, entries.cluster.account, kind)
        if kind is not EntryType.STANDARD and (username or group):
            raise RolecallError(f"EKS sets the username and groups of entries of type {kind} itself")
        name = username or default_username(who, kind)
        policies = tuple(_scoped(entries, *text.partition("=")[::2]) for text in policy or ())
        groups = tuple(group or ()) if kind is EntryType.STANDARD else default_groups(kind)
        return AccessEntry(principal, "", kind, name, groups, policies)

    entries.change(principal, edit, how)


@app.command("update")
@with_groups
def update_command(
    where: ClusterOptions,
    how: EntryChangeOptions,
    principal: Principal,
    username: Username = "",
    group: Groups = None,
    no_groups: NoGroups = False,
) -> None:
    """Change an entry's username or groups. What you do not give stays as it is.

    \b
    rolecall access-entry update arn:aws:iam::111122223333:role/Dev --group dev
    rolecall access-entry update arn:aws:iam::111122223333:role/Dev --no-groups

    Exit codes: 0 done, 1 error or refused, 2 usage.
    """
    if group and no_groups:
        raise RolecallError("--group and --no-groups exclude each other")

    def edit(found: AccessEntry | None) -> AccessEntry:
        entry = _required(found, principal)
        if entry.type is not EntryType.STANDARD:
            raise RolecallError(f"EKS sets the username and groups of entries of type {entry.type} itself")
        groups = () if no_groups else tuple(group) if group else entry.groups
        return replace(entry, username=username or entry.username, groups=groups)

    EksEntries(where).change(principal, edit, how)


@app.command("delete")
@with_groups
def delete_command(where: ClusterOptions, how: EntryChangeOptions, principal: Principal) -> None:
    """Delete an access entry with its access policies. Not an error if there is nothing to delete.

    \b
    rolecall access-entry delete arn:aws:iam::111122223333:role/Dev --cluster prod
    rolecall access-entry delete arn:aws:iam::111122223333:user/ann --dry-run

    Exit codes: 0 done, 1 error or refused, 2 usage.
    """
    EksEntries(where).change(principal, lambda _: None, how)


@app.command("associate-policy")
@with_groups
def associate_command(
    where: ClusterOptions,
    how: EntryChangeOptions,
    principal: Principal,
    policy: Policy,
    namespace: Annotated[
        list[str] | None,
        typer.Option(
            "--namespace",
            metavar="NAMESPACE",
            help="Only in this namespace; may be a pattern such as dev-*. Repeatable (default: the whole cluster).",
        ),
    ] = None,
) -> None:
    """Associate an access policy with an entry.

    If the entry has the policy already, this changes the namespaces to which it applies.

    \b
    rolecall access-entry associate-policy arn:aws:iam::111122223333:role/Dev \\
      AmazonEKSViewPolicy --cluster prod
    rolecall access-entry associate-policy arn:aws:iam::111122223333:user/a \\
      AmazonEKSEditPolicy --namespace web

    Exit codes: 0 done, 1 error or refused, 2 usage.
    """
    entries = EksEntries(where)
    new = _scoped(entries, policy, ",".join(namespace or ()))

    def edit(found: AccessEntry | None) -> AccessEntry:
        entry = _required(found, principal)
        others = tuple(one for one in entry.policies if one.policy_arn != new.policy_arn)
        return replace(entry, policies=(*others, new))

    entries.change(principal, edit, how)


@app.command("disassociate-policy")
@with_groups
def disassociate_command(where: ClusterOptions, how: EntryChangeOptions, principal: Principal, policy: Policy) -> None:
    """Take an access policy from an entry. Not an error if the entry does not have it.

    \b
    rolecall access-entry disassociate-policy arn:aws:iam::111122223333:role/Dev \\
      AmazonEKSViewPolicy --cluster prod
    rolecall access-entry disassociate-policy arn:aws:iam::111122223333:user/ann \\
      AmazonEKSEditPolicy --context prod

    Exit codes: 0 done, 1 error or refused, 2 usage.
    """

    def edit(found: AccessEntry | None) -> AccessEntry:
        entry = _required(found, principal)
        return replace(entry, policies=tuple(one for one in entry.policies if policy not in (one.name, one.policy_arn)))

    EksEntries(where).change(principal, edit, how)


def _required(found: AccessEntry | None, principal: str) -> AccessEntry:
    if found is None:
        raise RolecallError(
            "there is no such access entry", where=principal, advice="create it first: rolecall access-entry create"
        )
    return found


def _scoped(entries: EksEntries, policy: str, namespaces: str) -> AssociatedPolicy:
    names = tuple(sorted({name for name in namespaces.split(",") if name}))
    scope = ScopeType.NAMESPACE if names else ScopeType.CLUSTER
    return AssociatedPolicy(entries.policy_arn(policy), scope, names)


def _comparable(value: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """A value without the order of its groups, which says nothing."""
    return {**value, "groups": sorted(value["groups"])} if value else None


def _policy_text(policy: AssociatedPolicy) -> str:
    return f"{policy.name}={'+'.join(policy.namespaces)}" if policy.namespaces else policy.name


def _in_words(key: str, value: Any) -> str:
    """A username, groups or policies as a person reads them."""
    if key == "policies":
        value = [
            one["policyArn"].rpartition("/")[2] + (f"={'+'.join(one['namespaces'])}" if one["namespaces"] else "")
            for one in value
        ]
    return (value if isinstance(value, str) else ", ".join(value)) or "none"


def _shown(entry: AccessEntry) -> dict[str, Any]:
    from rolecall.plan.actual import entry_value

    return {"principalArn": entry.principal_arn, **entry_value(entry)}
