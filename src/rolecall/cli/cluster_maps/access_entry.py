"""``rolecall access-entry``: EKS access entries and their policies, listed and changed."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Annotated, Any

import typer

from rolecall.cli.output import Format, print_data, print_table
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
from rolecall.mapping.editing.access_entry_guards import entry_refusals
from rolecall.mapping.editing.guards import Guard

app = typer.Typer(
    help="Access entries of an EKS cluster: list them, make, change and delete them, with their access policies.\n\n"
    "What EKS would refuse is refused before anything is sent, and so is what would lock out you, the nodes or the "
    "last administrator.",
    no_args_is_help=True,
)
CALLS = 8

Cluster = Annotated[str, typer.Option("--cluster", metavar="NAME", help="The EKS cluster.")]
Region = Annotated[str, typer.Option("--region", help="Its region; default: the profile's.")]
Profile = Annotated[str, typer.Option("--profile", help="Whose credentials.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to print it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Check and show it, change nothing.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until EKS shows the change.")]
Principal = Annotated[str, typer.Argument(metavar="ARN", help="The role or user, a role with its path.")]
Policy = Annotated[str, typer.Argument(metavar="POLICY", help="Name or ARN of an access policy.")]
Groups = Annotated[list[str] | None, typer.Option("--group", help="A Kubernetes group; again for more.")]
Username = Annotated[str, typer.Option("--username", help="Template of the Kubernetes username.")]
_GUARDS = (Guard.LOCKOUT_CALLER, Guard.LOCKOUT_NODES, Guard.LOCKOUT_LAST_ADMIN)
Allow = Annotated[
    list[Guard] | None,
    typer.Option(
        "--allow", metavar="GUARD", help=f"Do it although this guard refuses: {', '.join(_GUARDS)}. Again for more."
    ),
]
Edit = Callable[["AccessEntry | None"], "AccessEntry | None"]


@dataclass(frozen=True, slots=True)
class Options:
    """The options that all changes share."""

    allow: Sequence[Guard]
    dry_run: bool
    wait: bool
    output: Format


class EksEntries:
    """The entries of a cluster."""

    def __init__(self, cluster: str, region: str, profile: str) -> None:
        from rolecall.aws.read_clusters import describe_cluster
        from rolecall.aws.session import AwsClients, identify

        access = identify(profile, region)
        self.clients = AwsClients([access])
        self.cluster = describe_cluster(self.clients, access.account, access.region, cluster)
        if not self.cluster.mode.reads_entries:
            raise RolecallError(
                f"its authentication mode {self.cluster.mode} does not read access entries",
                where=f"cluster {cluster}",
                advice=f"aws eks update-cluster-config --name {cluster} "
                "--access-config authenticationMode=API_AND_CONFIG_MAP (there is no way back)",
            )
        self.eks = self.clients.client(access.account, "eks", access.region)

    def every(self) -> list[AccessEntry]:
        """All entries, by principal."""
        from rolecall.aws.read_clusters import read_entries

        with ThreadPoolExecutor(CALLS) as calls:
            return [dated.entry for dated in read_entries(self.clients, self.cluster, calls)]

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

    def change(self, principal: str, edit: Edit, options: Options) -> None:
        """Change one entry: checked by EKS's rules and the guards, sent, waited for, shown."""
        from rolecall.aws.eks_access_entries import wait_for_entry, write_entry
        from rolecall.aws.errors import explained
        from rolecall.cli.cluster_maps.places import require
        from rolecall.plan.actual import entry_value

        every = self.every()
        before = next((entry for entry in every if entry.principal_arn == principal), None)
        after = edit(before)
        if after is not None:
            check_entry(after, self.cluster.account, frozenset(self.policies()) if after.policies else frozenset())
        rest = [entry for entry in every if entry.principal_arn != principal]
        caller = self.clients.caller_arn(self.cluster.account)
        require(entry_refusals(every, [*rest, *([after] if after else [])], caller=caller), options.allow)
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

    def _say(self, principal: str, old: Any, new: Any, options: Options) -> None:
        if options.output is not Format.table:
            shown = {"principalArn": principal, "changed": old != new, "dryRun": options.dry_run}
            print_data({**shown, "before": old, "after": new}, options.output)
            return
        what = (
            "nothing to change" if old == new else "deleted" if new is None else "created" if old is None else "updated"
        )
        tense = " (dry run)" if options.dry_run else ""
        sys.stdout.write(f"access entry {principal} of cluster {self.cluster.name}: {what}{tense}\n")
        for key in ("username", "groups", "policies"):
            one, two = (value[key] if value else None for value in (old, new))
            if one != two:
                sys.stdout.write(f"  {key}: {one} -> {two}\n")


@app.command("list")
def list_command(cluster: Cluster, region: Region = "", profile: Profile = "", output: Output = Format.table) -> None:
    """List the access entries of a cluster.

    \b
    rolecall access-entry list --cluster prod
    """
    entries = EksEntries(cluster, region, profile).every()
    if output is not Format.table:
        print_data([_shown(entry) for entry in entries], output)
        return
    rows = [
        (e.principal_arn, str(e.type), e.username, ",".join(e.groups), ",".join(map(_policy_text, e.policies)))
        for e in entries
    ]
    print_table(("principal", "type", "username", "groups", "policies"), rows)


@app.command("get")
def get_command(
    principal: Principal, cluster: Cluster, region: Region = "", profile: Profile = "", output: Output = Format.table
) -> None:
    """Print one access entry. Ends with 1 where there is none.

    \b
    rolecall access-entry get arn:aws:iam::111122223333:role/team/Dev --cluster prod -o yaml
    """
    entry = EksEntries(cluster, region, profile).one(principal)
    if entry is None:
        raise RolecallError("there is no such access entry", where=principal, advice="a role needs its whole path here")
    if output is not Format.table:
        print_data(_shown(entry), output)
        return
    rows = [("principal", entry.principal_arn), ("type", str(entry.type)), ("username", entry.username)]
    rows += [("group", group) for group in entry.groups] + [("policy", _policy_text(p)) for p in entry.policies]
    print_table(("field", "value"), rows)


@app.command("create")
def create_command(
    principal: Principal,
    cluster: Cluster,
    region: Region = "",
    profile: Profile = "",
    username: Username = "",
    group: Groups = None,
    kind: Annotated[
        EntryType, typer.Option("--type", help="STANDARD for people; the others are for nodes.")
    ] = EntryType.STANDARD,
    policy: Annotated[
        list[str] | None,
        typer.Option(
            "--policy", metavar="POLICY[=NS,...]", help="An access policy, in namespaces or the whole cluster."
        ),
    ] = None,
    allow: Allow = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.table,
) -> None:
    """Make an access entry, with its access policies. One that exists is left alone, and that is an error.

    \b
    rolecall access-entry create arn:aws:iam::111122223333:role/Dev --cluster prod --group developers
    rolecall access-entry create arn:aws:iam::111122223333:role/Ops --cluster prod --policy AmazonEKSEditPolicy=web,shop
    """
    entries = EksEntries(cluster, region, profile)

    def edit(found: AccessEntry | None) -> AccessEntry:
        if found is not None:
            raise RolecallError(
                "there is an access entry already", where=principal, advice="change it: rolecall access-entry update"
            )
        who = entry_principal(principal, entries.cluster.account, kind)
        if kind is not EntryType.STANDARD and (username or group):
            raise RolecallError(f"EKS gives entries of type {kind} their username and groups itself")
        name = username or default_username(who, kind)
        policies = tuple(_scoped(entries, *text.partition("=")[::2]) for text in policy or ())
        groups = tuple(group or ()) if kind is EntryType.STANDARD else default_groups(kind)
        return AccessEntry(principal, "", kind, name, groups, policies)

    entries.change(principal, edit, Options(allow or (), dry_run, wait, output))


@app.command("update")
def update_command(
    principal: Principal,
    cluster: Cluster,
    region: Region = "",
    profile: Profile = "",
    username: Username = "",
    group: Groups = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Take all groups away.")] = False,
    allow: Allow = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.table,
) -> None:
    """Change username or groups. What is not named stays; groups are given all together.

    \b
    rolecall access-entry update arn:aws:iam::111122223333:role/Dev --cluster prod --group developers --group viewers
    """
    if group and no_groups:
        raise RolecallError("--group and --no-groups contradict each other")

    def edit(found: AccessEntry | None) -> AccessEntry:
        entry = _required(found, principal)
        if entry.type is not EntryType.STANDARD:
            raise RolecallError(f"EKS gives entries of type {entry.type} their username and groups itself")
        groups = () if no_groups else tuple(group) if group else entry.groups
        return replace(entry, username=username or entry.username, groups=groups)

    EksEntries(cluster, region, profile).change(principal, edit, Options(allow or (), dry_run, wait, output))


@app.command("delete")
def delete_command(
    principal: Principal,
    cluster: Cluster,
    region: Region = "",
    profile: Profile = "",
    allow: Allow = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.table,
) -> None:
    """Delete an access entry with its policies. Nothing to delete is no error.

    \b
    rolecall access-entry delete arn:aws:iam::111122223333:role/Dev --cluster prod
    """
    entries = EksEntries(cluster, region, profile)
    entries.change(principal, lambda _: None, Options(allow or (), dry_run, wait, output))


@app.command("associate-policy")
def associate_command(
    principal: Principal,
    policy: Policy,
    cluster: Cluster,
    region: Region = "",
    profile: Profile = "",
    namespace: Annotated[
        list[str] | None,
        typer.Option("--namespace", help="Only there, such as dev-*; again for more. Default: everywhere."),
    ] = None,
    allow: Allow = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.table,
) -> None:
    """Give an access policy to an entry, or change where it counts.

    \b
    rolecall access-entry associate-policy arn:aws:iam::111122223333:role/Dev AmazonEKSViewPolicy --cluster prod
    """
    entries = EksEntries(cluster, region, profile)
    new = _scoped(entries, policy, ",".join(namespace or ()))

    def edit(found: AccessEntry | None) -> AccessEntry:
        entry = _required(found, principal)
        others = tuple(one for one in entry.policies if one.policy_arn != new.policy_arn)
        return replace(entry, policies=(*others, new))

    entries.change(principal, edit, Options(allow or (), dry_run, wait, output))


@app.command("disassociate-policy")
def disassociate_command(
    principal: Principal,
    policy: Policy,
    cluster: Cluster,
    region: Region = "",
    profile: Profile = "",
    allow: Allow = None,
    dry_run: DryRun = False,
    wait: Wait = True,
    output: Output = Format.table,
) -> None:
    """Take an access policy away from an entry. One that it has not is no error.

    \b
    rolecall access-entry disassociate-policy arn:aws:iam::111122223333:role/Dev AmazonEKSViewPolicy --cluster prod
    """

    def edit(found: AccessEntry | None) -> AccessEntry:
        entry = _required(found, principal)
        return replace(entry, policies=tuple(one for one in entry.policies if policy not in (one.name, one.policy_arn)))

    EksEntries(cluster, region, profile).change(principal, edit, Options(allow or (), dry_run, wait, output))


def _required(found: AccessEntry | None, principal: str) -> AccessEntry:
    if found is None:
        raise RolecallError(
            "there is no such access entry", where=principal, advice="make it first: rolecall access-entry create"
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


def _shown(entry: AccessEntry) -> dict[str, Any]:
    from rolecall.plan.actual import entry_value

    return {"principalArn": entry.principal_arn, **entry_value(entry)}
