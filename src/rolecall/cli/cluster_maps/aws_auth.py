"""``rolecall aws-auth``: the ConfigMap aws-auth in a cluster or a file, read, checked, changed and put back."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.cli.output import FAILED, Format, fail, print_data, print_table
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.lines import yaml_lines
from rolecall.mapping.editing.aws_auth_text import remove_account, remove_entry, set_account, set_entry
from rolecall.mapping.editing.format import format_data
from rolecall.mapping.editing.guards import Guard
from rolecall.mapping.editing.lint import Severity, lint
from rolecall.mapping.reading.aws_auth import parse_aws_auth

if TYPE_CHECKING:
    from rolecall.cli.cluster_maps.places import ClusterPlace, Done, Place

app = typer.Typer(
    help="The ConfigMap aws-auth in a cluster or a file: read, check, change one entry, go back.\n\n"
    "A change touches its own lines alone, never overwrites somebody else's, is refused where it would lock out you, "
    "the nodes or the last administrator, and is kept in the cluster so that it can be taken back.",
    no_args_is_help=True,
)

COULD_NOT_LOOK = 2
_ACCOUNT = re.compile("[0-9]{12}")

File = Annotated[
    str, typer.Option("-f", "--filename", metavar="FILE", help="A manifest of the ConfigMap; - is standard input.")
]
Context = Annotated[str, typer.Option("--context", help="Context of the kubeconfig; default: the current one.")]
Kubeconfig = Annotated[str, typer.Option("--kubeconfig", metavar="FILE", help="Default: $KUBECONFIG, ~/.kube/config.")]
Cluster = Annotated[str, typer.Option("--cluster", metavar="NAME", help="An EKS cluster, without a kubeconfig.")]
Region = Annotated[str, typer.Option("--region", help="With --cluster: its region.")]
Profile = Annotated[str, typer.Option("--profile", help="With --cluster: whose credentials.")]
Output = Annotated[Format, typer.Option("-o", "--output", help="How to print it.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the difference, change nothing.")]
Allow = Annotated[
    list[Guard] | None,
    typer.Option(
        "--allow", metavar="GUARD", help=f"Do it although this guard refuses: {', '.join(Guard)}. Again for more."
    ),
]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Kept with the change in the history.")]
Principal = Annotated[
    str, typer.Argument(metavar="ARN|ACCOUNT", help="A role or a user; an account id stands for mapAccounts.")
]


def _place(file: str, context: str, kubeconfig: str, cluster: str, region: str, profile: str) -> Place:
    from rolecall.cli.cluster_maps.places import find_place

    return find_place(file, context, kubeconfig, cluster, region, profile)


@app.command("get")
def get(
    principal: Annotated[str, typer.Argument(metavar="[ARN]", help="Only the entries of this role or user.")] = "",
    file: File = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    cluster: Cluster = "",
    region: Region = "",
    profile: Profile = "",
    output: Output = Format.table,
) -> None:
    """Print the entries, as the authenticator reads them. Ends with 1 where an ARN is asked for that has none.

    \b
    rolecall aws-auth get
    rolecall aws-auth get -f aws-auth.yaml -o json
    """
    place = _place(file, context, kubeconfig, cluster, region, profile)
    found = parse_aws_auth(place.read())
    in_force = {id(entry) for entry in (*found.roles.values(), *found.users.values())}
    entries = [entry for entry in found.entries if not principal or entry.arn.lower() == principal.lower()]
    if output is Format.table:
        rows = [
            (
                e.section,
                str(e.line),
                e.arn,
                e.username,
                ",".join(e.groups),
                "" if id(e) in in_force else "never used",
            )
            for e in entries
        ]
        rows += [("mapAccounts", "", account, "", "", "") for account in sorted(found.accounts) if not principal]
        print_table(("section", "line", "arn", "username", "groups", ""), rows)
    else:
        shown: list[dict[str, Any]] = [
            {
                "section": e.section,
                "line": e.line,
                "arn": e.arn,
                "username": e.username,
                "groups": list(e.groups),
                "inForce": id(e) in in_force,
            }
            for e in entries
        ]
        print_data({"entries": shown, "accounts": [] if principal else sorted(found.accounts)}, output)
    if principal and not entries:
        raise typer.Exit(FAILED)


@app.command("lint")
def lint_command(
    file: File = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    cluster: Cluster = "",
    region: Region = "",
    profile: Profile = "",
    strict: Annotated[bool, typer.Option("--strict", help="End with 1 for warnings too.")] = False,
    output: Output = Format.table,
) -> None:
    """Check for everything that does not do what it says. Ends with 0: no error; 1: errors; 2: could not look.

    \b
    rolecall aws-auth lint
    rolecall aws-auth lint -f aws-auth.yaml --strict
    kubectl -n kube-system get configmap aws-auth -o yaml | rolecall aws-auth lint -f -
    """
    try:
        place = _place(file, context, kubeconfig, cluster, region, profile)
        findings = lint(place.read())
    except RolecallError as error:
        fail(error, COULD_NOT_LOOK)
    if output is Format.table:
        for finding in findings:
            where = place.line(finding.section, finding.line)
            sys.stdout.write(f"{where}: {finding.severity}: {finding.text} [{finding.code}]\n")
            if finding.advice:
                sys.stdout.write(f"    {finding.advice}\n")
    else:
        shown = [
            {
                "code": f.code,
                "severity": str(f.severity),
                "section": f.section,
                "line": f.line,
                "place": place.line(f.section, f.line),
                "arn": f.arn,
                "text": f.text,
                "advice": f.advice,
            }
            for f in findings
        ]
        print_data(shown, output)
    bad = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    raise typer.Exit(FAILED if any(finding.severity in bad for finding in findings) else 0)


@app.command("set")
def set_command(
    principal: Principal,
    username: Annotated[str, typer.Option("--username", help="Template of the Kubernetes username.")] = "",
    group: Annotated[
        list[str] | None, typer.Option("--group", help="A Kubernetes group; again for more. All of them together.")
    ] = None,
    no_groups: Annotated[bool, typer.Option("--no-groups", help="Take all groups away.")] = False,
    file: File = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    cluster: Cluster = "",
    region: Region = "",
    profile: Profile = "",
    allow: Allow = None,
    why: Why = "",
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Map a role or a user, or change what it is mapped to. What is not named stays as it is.

    \b
    rolecall aws-auth set arn:aws:iam::111122223333:role/Dev --username 'dev:{{SessionName}}' --group developers
    rolecall aws-auth set arn:aws:iam::111122223333:role/Dev --group developers --group viewers --dry-run
    rolecall aws-auth set 111122223333 --why 'audit account'
    """
    if group and no_groups:
        raise RolecallError("--group and --no-groups contradict each other")

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        if _ACCOUNT.fullmatch(principal):
            if username or group or no_groups:
                raise RolecallError("an account has neither username nor groups: its ARNs are the usernames")
            return set_account(data, principal)
        section = _section(principal)
        found = parse_aws_auth(data)
        entry = (found.roles if section == "mapRoles" else found.users).get(principal.lower())
        name = username or (entry.username if entry else "")
        if not name:
            raise RolecallError(f"{principal} is not mapped yet, so it needs a username", advice="--username NAME")
        groups = () if no_groups else tuple(group) if group else (entry.groups if entry else ())
        return set_entry(data, section, principal, name, groups)

    place = _place(file, context, kubeconfig, cluster, region, profile)
    _report(place, place.change(edit, f"set {principal}", why, allow or (), dry_run=dry_run), dry_run, output)


@app.command("remove")
def remove_command(
    principal: Principal,
    file: File = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    cluster: Cluster = "",
    region: Region = "",
    profile: Profile = "",
    allow: Allow = None,
    why: Why = "",
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Take every entry of a role or user away, shadowed ones too, or an account. Nothing to take away is no error.

    \b
    rolecall aws-auth remove arn:aws:iam::111122223333:user/ann --why 'left the company'
    """

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        if _ACCOUNT.fullmatch(principal):
            return remove_account(data, principal)
        # Also where it stands in the section of the other kind, where it counts all the same.
        for section in ("mapRoles", "mapUsers"):
            if data.get(section):
                data, _ = remove_entry(data, section, principal)
        return data

    place = _place(file, context, kubeconfig, cluster, region, profile)
    _report(place, place.change(edit, f"remove {principal}", why, allow or (), dry_run=dry_run), dry_run, output)


@app.command("fmt")
def fmt_command(
    file: File = "",
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    cluster: Cluster = "",
    region: Region = "",
    profile: Profile = "",
    check: Annotated[bool, typer.Option("--check", help="Change nothing; end with 1 where it would.")] = False,
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Write all entries in one form. What they mean stays, and so do comments, order and unknown keys.

    \b
    rolecall aws-auth fmt -f aws-auth.yaml
    rolecall aws-auth fmt -f aws-auth.yaml --check
    """
    place = _place(file, context, kubeconfig, cluster, region, profile)
    done = place.change(format_data, "fmt", "", list(Guard), dry_run=dry_run or check)
    _report(place, done, dry_run or check, output)
    if check and done.changed:
        raise typer.Exit(FAILED)


@app.command("history")
def history_command(
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    cluster: Cluster = "",
    region: Region = "",
    profile: Profile = "",
    output: Output = Format.table,
) -> None:
    """The last changes that rolecall made in a cluster: who, when, what, why, and whether they came about.

    \b
    rolecall aws-auth history
    """
    from rolecall.clusters.aws_auth_changes import read_history
    from rolecall.clusters.config_maps import read_config_map
    from rolecall.mapping.editing.history import outcomes

    connection = _cluster(context, kubeconfig, cluster, region, profile).connection
    history, now = read_history(connection), read_config_map(connection)
    rows = list(zip(history.changes, outcomes(history, now.data, now.version), strict=True))
    if output is Format.table:
        columns = ("change", "time", "who", "what", "outcome", "why")
        print_table(columns, [(str(c.number), c.time, c.who, c.what, str(outcome), c.why) for c, outcome in rows])
    else:
        print_data(
            [
                {
                    "change": c.number,
                    "time": c.time,
                    "who": c.who,
                    "what": c.what,
                    "why": c.why,
                    "outcome": str(outcome),
                }
                for c, outcome in rows
            ],
            output,
        )


@app.command("rollback")
def rollback_command(
    change: Annotated[
        int | None, typer.Argument(metavar="[CHANGE]", help="A number of `history`; default: the last that was made.")
    ] = None,
    context: Context = "",
    kubeconfig: Kubeconfig = "",
    cluster: Cluster = "",
    region: Region = "",
    profile: Profile = "",
    allow: Allow = None,
    why: Why = "",
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Put aws-auth back to what it was before a change, to the byte. That is a change too, and can be taken back.

    Refused where somebody wrote by other means since, whose change would be lost: --allow others-changes.

    \b
    rolecall aws-auth rollback --dry-run
    rolecall aws-auth rollback 7
    """
    from rolecall.cli.cluster_maps.places import require
    from rolecall.clusters.aws_auth_changes import read_history
    from rolecall.clusters.config_maps import read_config_map
    from rolecall.mapping.editing.guards import Refusal
    from rolecall.mapping.editing.history import last_made, others_changes, outcomes

    place = _cluster(context, kubeconfig, cluster, region, profile)
    history, now = read_history(place.connection), read_config_map(place.connection)
    if change is None:
        last = last_made(history, outcomes(history, now.data, now.version))
        if last is None:
            raise RolecallError("there is no change to take back", where=place.name, advice="see: aws-auth history")
        change = last.number
    number, then = change, history.data_before(change)

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        if others_changes(history, number, data):
            text = f"somebody else changed aws-auth since change {number}, and that would be lost"
            require([Refusal(Guard.OTHERS_CHANGES, text)], allow or ())
        return then

    done = place.change(edit, f"rollback {number}", why, allow or (), dry_run=dry_run)
    _report(place, done, dry_run, output)


def _section(principal: str) -> str:
    try:
        kind = PrincipalArn.parse(principal).kind
    except InvalidArnError as error:
        raise RolecallError(error.what, advice="give the ARN of a role or a user, or an account id") from None
    return "mapRoles" if kind in (PrincipalKind.ROLE, PrincipalKind.ASSUMED_ROLE) else "mapUsers"


def _cluster(context: str, kubeconfig: str, cluster: str, region: str, profile: str) -> ClusterPlace:
    from rolecall.cli.cluster_maps.places import ClusterPlace

    place = _place("", context, kubeconfig, cluster, region, profile)
    assert isinstance(place, ClusterPlace)
    return place


def _report(place: Place, done: Done, dry_run: bool, output: Format) -> None:
    """Say what was done, or would be; a dry run that a guard refuses ends with 1."""
    # Standard output is the changed manifest where that came by standard input.
    to = sys.stderr if place.name == "standard input" and not dry_run else sys.stdout
    if output is not Format.table:
        shown = {
            "place": place.name,
            "changed": done.changed,
            "dryRun": dry_run,
            "refused": [{"guard": str(refusal.guard), "text": refusal.text} for refusal in done.refused],
            "before": dict(done.before),
            "after": dict(done.after),
        }
        if to is sys.stdout:
            print_data(shown, output)
    elif not done.changed:
        to.write(f"aws-auth of {place.name}: nothing to change\n")
    else:
        for name, (old, new) in done.texts.items():
            to.writelines(_difference(name, old, new))
        if not dry_run:
            undo = "" if not hasattr(place, "connection") else "; take it back: rolecall aws-auth rollback"
            to.write(f"aws-auth of {place.name}: changed{undo}\n")
    if dry_run and done.refused:
        for refusal in done.refused:
            sys.stderr.write(
                f"would be refused: {refusal.text}\n       to do it all the same: --allow {refusal.guard}\n"
            )
        raise typer.Exit(FAILED)


def _difference(name: str, old: str, new: str) -> list[str]:
    lines = difflib.unified_diff(
        yaml_lines(old, ends=True), yaml_lines(new, ends=True), f"{name} (before)", f"{name} (after)"
    )
    return [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
