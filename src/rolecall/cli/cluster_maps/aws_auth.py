"""``rolecall aws-auth``: the ConfigMap aws-auth in a cluster or a file, read, checked, changed and put back."""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.cli.cluster_maps.options import (
    SETTINGS,
    ChangeOptions,
    ClusterOptions,
    DryRun,
    Groups,
    NoGroups,
    Output,
    PlaceOptions,
    Username,
    with_groups,
)
from rolecall.cli.output import FAILED, Format, fail, print_document, print_table
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.lines import yaml_lines
from rolecall.mapping.editing.aws_auth_text import remove_account, remove_entry, set_account, set_entry
from rolecall.mapping.editing.format import format_data
from rolecall.mapping.editing.guards import Guard
from rolecall.mapping.editing.lint import Severity, lint
from rolecall.mapping.reading.aws_auth import AwsAuth, AwsAuthEntry, arn_key, parse_aws_auth
from rolecall.moments import parse_moment, write_moment
from rolecall.visible import visible, visible_lines

if TYPE_CHECKING:
    from rolecall.cli.cluster_maps.places import ClusterPlace, Done, Place

app = typer.Typer(
    help="Read, check and change the ConfigMap aws-auth, in a cluster or in a file.\n\n"
    "A change touches only the lines of its entry and never overwrites the change of somebody else. It is refused if "
    "it would lock out you, the nodes or the last administrator. In a cluster every change is kept and can be taken "
    "back.\n\n"
    "\b\nrolecall aws-auth get\nrolecall aws-auth lint -f aws-auth.yaml\n\n"
    "Exit codes: 0 done, 1 error or refused, 2 usage.",
    no_args_is_help=True,
    add_completion=False,
    context_settings=SETTINGS,
)

COULD_NOT_LOOK = 2
_ACCOUNT = re.compile("[0-9]{12}", re.ASCII)

Principal = Annotated[
    str, typer.Argument(metavar="ARN|ACCOUNT", help="ARN of a role or user, or an account id for mapAccounts.")
]


@app.command("get")
@with_groups
def get(
    place: PlaceOptions,
    principal: Annotated[str, typer.Argument(metavar="[ARN]", help="Show only the entries of this role or user.")] = "",
    output: Output = Format.table,
) -> None:
    """Print the entries as the authenticator reads them.

    \b
    rolecall aws-auth get
    rolecall aws-auth get -f aws-auth.yaml -o json

    Exit codes: 0 done, 1 error, no entry for the ARN, or a section that cannot be read, 2 usage.
    """
    found = parse_aws_auth(_place(place).read())
    entries = [entry for entry in found.entries if not principal or arn_key(entry.arn) == arn_key(principal)]
    accounts = [] if principal else sorted(found.accounts)
    lost = [problem for problem in found.problems if problem.section in found.lost and _loses(problem.code)]
    if output is Format.table:
        rows = [
            (e.section, str(e.line), e.arn or str(e.sso or ""), e.username, ",".join(e.groups), _state(e, found))
            for e in entries
        ]
        rows += [("mapAccounts", "", account, "", "", "") for account in accounts]
        print_table(("section", "line", "arn", "username", "groups", ""), rows)
    else:
        unread = [{"section": p.section, "line": p.line, "text": p.text} for p in lost]
        print_document(
            "AwsAuth",
            {"entries": [_shown(e, found) for e in entries], "accounts": accounts, "lost": unread},
            output,
        )
    for problem in lost:
        sys.stderr.write(f"error: {visible(str(problem))}\n")
    if lost or (principal and not entries):
        raise typer.Exit(FAILED)


def _loses(code: str) -> bool:
    return code in ("not-yaml", "not-a-list", "too-long")


def _state(entry: AwsAuthEntry, found: AwsAuth) -> str:
    if entry.is_dropped:
        return "dropped"
    if entry.sso is not None:
        return "not on EKS"
    key = arn_key(entry.arn)
    if entry.section == "mapUsers" and key not in found.roles and any(e is entry for e in found.undecided.get(key, ())):
        return "undecided"
    return "" if (found.roles.get(key) or found.users.get(key)) is entry else "never used"


def _shown(entry: AwsAuthEntry, found: AwsAuth) -> dict[str, Any]:
    state = _state(entry, found)
    sso = entry.sso
    return {
        "section": entry.section,
        "line": entry.line,
        "arn": entry.arn or None,
        "sso": {"permissionSetName": sso.permission_set, "accountID": sso.account, "partition": sso.partition}
        if sso
        else None,
        "username": entry.username or None,
        "groups": list(entry.groups),
        # Absent if nobody can say: it depends on the authenticator, or on chance.
        "inForce": None if state in ("undecided", "not on EKS") else not state,
    }


@app.command("lint")
@with_groups
def lint_command(
    place: PlaceOptions,
    strict: Annotated[bool, typer.Option("--strict", help="Exit with 1 for warnings too.")] = False,
    output: Output = Format.table,
) -> None:
    """Report entries that have no effect as written.

    \b
    rolecall aws-auth lint --context prod
    rolecall aws-auth lint -f aws-auth.yaml --strict
    kubectl get configmap aws-auth -n kube-system -o yaml |
      rolecall aws-auth lint -f -

    Exit codes: 0 no errors, 1 errors, 2 aws-auth could not be read, or usage.
    """
    try:
        where = _place(place)
        findings = lint(where.read())
    except RolecallError as error:
        fail(error, COULD_NOT_LOOK)
    if output is Format.table:
        for finding in findings:
            line = f"{where.line(finding.section, finding.line)}: {finding.severity}: {finding.text} [{finding.code}]"
            sys.stdout.write(visible(line) + "\n")
            if finding.advice:
                sys.stdout.write(f"    {visible(finding.advice)}\n")
    else:
        shown = [
            {
                "code": f.code,
                "severity": str(f.severity),
                "section": f.section,
                "line": f.line or None,
                "place": where.line(f.section, f.line),
                "arn": f.arn or None,
                "text": f.text,
                "advice": f.advice or None,
            }
            for f in findings
        ]
        print_document("AwsAuthFindings", {"findings": shown}, output)
    bad = (Severity.ERROR, Severity.WARNING) if strict else (Severity.ERROR,)
    raise typer.Exit(FAILED if any(finding.severity in bad for finding in findings) else 0)


@app.command("set")
@with_groups
def set_command(
    place: PlaceOptions,
    how: ChangeOptions,
    principal: Principal,
    username: Username = "",
    group: Groups = None,
    no_groups: NoGroups = False,
) -> None:
    """Map a role or user, or change its mapping. What you do not give stays as it is.

    \b
    rolecall aws-auth set arn:aws:iam::111122223333:role/Dev --group developers
    rolecall aws-auth set arn:aws:iam::111122223333:user/ann --username ann
    rolecall aws-auth set 111122223333 --why 'audit account'

    Exit codes: 0 done, 1 error or refused, 2 usage.
    """
    if group and no_groups:
        raise RolecallError("--group and --no-groups exclude each other")

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        if _ACCOUNT.fullmatch(principal):
            if username or group or no_groups:
                raise RolecallError("an account has neither username nor groups: its ARNs are the usernames")
            return set_account(data, principal)
        entry = _in_force(parse_aws_auth(data), principal)
        section = entry.section if entry else _section(principal)
        name = username or (entry.username if entry else "")
        if not name:
            what = "has no username" if entry else "is not mapped yet, so it needs a username"
            raise RolecallError(f"{principal} {what}", advice="give one: --username NAME")
        groups = () if no_groups else tuple(group) if group else (entry.groups if entry else ())
        return set_entry(data, section, principal, name, groups)

    where = _place(place)
    _report(where, where.change(edit, f"set {principal}", how.why, how.allow or (), dry_run=how.dry_run), how)


def _in_force(found: AwsAuth, principal: str) -> AwsAuthEntry | None:
    """The entry that counts for a role or user, whichever section it stands in: the authenticator tries both."""
    key = arn_key(principal)
    if key not in found.roles and (rivals := found.undecided.get(key)):
        lines = " and ".join(str(entry.line) for entry in rivals)
        raise RolecallError(
            f"{principal} is mapped by entries that differ in case alone, and either may count",
            where=f"mapUsers lines {lines}",
            advice="keep one of them first",
        )
    return found.roles.get(key) or found.users.get(key)


@app.command("remove")
@with_groups
def remove_command(place: PlaceOptions, how: ChangeOptions, principal: Principal) -> None:
    """Remove every entry of a role, user or account. Not an error if there is nothing to remove.

    \b
    rolecall aws-auth remove arn:aws:iam::111122223333:user/ann --why 'left'
    rolecall aws-auth remove arn:aws:iam::111122223333:role/Dev -f aws-auth.yaml

    Exit codes: 0 done, 1 error or refused, 2 usage.
    """

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        if _ACCOUNT.fullmatch(principal):
            return remove_account(data, principal)
        # The authenticator tries both sections, whatever the ARN is of.
        for section in ("mapRoles", "mapUsers"):
            if data.get(section):
                data, _ = remove_entry(data, section, principal)
        return data

    where = _place(place)
    _report(where, where.change(edit, f"remove {principal}", how.why, how.allow or (), dry_run=how.dry_run), how)


@app.command("fmt")
@with_groups
def fmt_command(
    place: PlaceOptions,
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit with 1 if something would change.")
    ] = False,
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Write all entries in one form. Their meaning stays, and so do comments, order and unknown keys.

    \b
    rolecall aws-auth fmt -f aws-auth.yaml
    rolecall aws-auth fmt -f aws-auth.yaml --check

    Exit codes: 0 done, 1 error, or with --check a text that is not formatted, 2 usage.
    """
    where = _place(place)
    done = where.change(format_data, "fmt", "", list(Guard), dry_run=dry_run or check)
    _report(where, done, ChangeOptions(dry_run=dry_run or check, output=output))
    if check and done.changed:
        raise typer.Exit(FAILED)


@app.command("history")
@with_groups
def history_command(place: ClusterOptions, output: Output = Format.table) -> None:
    """List the changes that rolecall made in a cluster.

    Shows who made each change, when, what and why, and whether it took effect. Old changes drop out.

    \b
    rolecall aws-auth history
    rolecall aws-auth history --cluster prod -o json

    Exit codes: 0 done, 1 error, 2 usage.
    """
    from rolecall.clusters.aws_auth_changes import read_history
    from rolecall.clusters.config_maps import read_config_map
    from rolecall.mapping.editing.history import outcomes

    connection = _cluster(place).connection
    history, now = read_history(connection), read_config_map(connection)
    rows = list(zip(history.changes, outcomes(history, now.data, now.version), strict=True))
    if output is Format.table:
        columns = ("change", "time", "who", "what", "outcome", "why")
        print_table(columns, [(str(c.number), c.time, c.who, c.what, str(outcome), c.why) for c, outcome in rows])
        return
    shown = [
        {
            "change": c.number,
            "time": _time(c.time),
            "who": c.who,
            "what": c.what,
            "why": c.why or None,
            "outcome": str(outcome).replace(" ", "-"),
        }
        for c, outcome in rows
    ]
    print_document("AwsAuthHistory", {"changes": shown}, output)


@app.command("rollback")
@with_groups
def rollback_command(
    place: ClusterOptions,
    how: ChangeOptions,
    change: Annotated[
        int | None,
        typer.Argument(metavar="[CHANGE]", help="A number from history (default: the last change that was made)."),
    ] = None,
) -> None:
    """Restore aws-auth as it was before a change.

    The text is restored byte for byte. The rollback is itself a change.

    It is refused if somebody changed aws-auth by other means since, because that would be lost: override it with
    --allow others-changes.

    \b
    rolecall aws-auth rollback --dry-run
    rolecall aws-auth rollback 7

    Exit codes: 0 done, 1 error or refused, 2 usage.
    """
    from rolecall.cli.cluster_maps.places import require
    from rolecall.clusters.aws_auth_changes import read_history
    from rolecall.clusters.config_maps import read_config_map
    from rolecall.mapping.editing.guards import Refusal
    from rolecall.mapping.editing.history import last_made, others_changes, outcomes

    where = _cluster(place)
    history, now = read_history(where.connection), read_config_map(where.connection)
    if change is None:
        last = last_made(history, outcomes(history, now.data, now.version))
        if last is None:
            raise RolecallError("there is no change to take back", where=where.name, advice="see: aws-auth history")
        change = last.number
    number, then, allow = change, history.data_before(change), how.allow or ()

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        if others_changes(history, number, data):
            text = f"somebody else changed aws-auth since change {number}, and that would be lost"
            require([Refusal(Guard.OTHERS_CHANGES, text)], allow)
        return then

    _report(where, where.change(edit, f"rollback {number}", how.why, allow, dry_run=how.dry_run), how)


def _time(text: str) -> str:
    try:
        return write_moment(parse_moment(text))
    except ValueError:
        return text


def _section(principal: str) -> str:
    try:
        kind = PrincipalArn.parse(principal).kind
    except InvalidArnError as error:
        raise RolecallError(error.what, advice="give the ARN of a role or a user, or an account id") from None
    return "mapRoles" if kind in (PrincipalKind.ROLE, PrincipalKind.ASSUMED_ROLE) else "mapUsers"


def _place(where: PlaceOptions) -> Place:
    from rolecall.cli.cluster_maps.places import find_place

    return find_place(where.file, where.context, where.kubeconfig, where.cluster, where.region, where.profile)


def _cluster(where: ClusterOptions) -> ClusterPlace:
    from rolecall.cli.cluster_maps.places import ClusterPlace

    place = _place(PlaceOptions("", where.context, where.kubeconfig, where.cluster, where.region, where.profile))
    assert isinstance(place, ClusterPlace)
    return place


def _report(place: Place, done: Done, how: ChangeOptions) -> None:
    """Say what was done, or would be; a dry run that a guard refuses ends with 1."""
    # Standard output is the changed manifest if that came by standard input.
    to = sys.stderr if place.name == "standard input" and not how.dry_run else sys.stdout
    if how.output is not Format.table:
        shown = {
            "place": place.name,
            "changed": done.changed,
            "dryRun": how.dry_run,
            "refused": [{"guard": str(refusal.guard), "text": refusal.text} for refusal in done.refused],
            "before": dict(done.before),
            "after": dict(done.after),
        }
        if to is sys.stdout:
            print_document("AwsAuthChange", shown, how.output)
    elif not done.changed:
        to.write(f"aws-auth of {place.name}: nothing to change\n")
    else:
        for name, (old, new) in done.texts.items():
            to.writelines(visible_lines(line.replace("\r\n", "\n")) for line in _difference(name, old, new))
        if not how.dry_run:
            undo = "" if not hasattr(place, "connection") else "; take it back with: rolecall aws-auth rollback"
            to.write(f"aws-auth of {place.name}: changed{undo}\n")
    for note in done.notes:
        sys.stderr.write(f"note: {visible(note)}\n")
    if how.dry_run and done.refused:
        for refusal in done.refused:
            sys.stderr.write(
                f"would be refused: {visible(refusal.text)}\n       to do it anyway: --allow {refusal.guard}\n"
            )
        raise typer.Exit(FAILED)


def _difference(name: str, old: str, new: str) -> list[str]:
    one, two = yaml_lines(old, ends=True), yaml_lines(new, ends=True)
    lines = difflib.unified_diff(one, two, f"{name} (before)", f"{name} (after)")
    return [line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines]
