"""``rolecall new`` and ``rolecall import``: a first access.yaml, from a few flags or from what exists."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Annotated

import typer

from rolecall.cli.output import PasteFormat
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.access.read_world import Reading
    from rolecall.aws.session import AccountAccess
    from rolecall.manifest.schema import MappingBackend

DEFAULT_OUT = Path("access.yaml")

Out = Annotated[
    Path,
    typer.Option(
        "-O",
        "--out",
        metavar="FILE",
        help="File to write, which must not exist; - is standard output (default: access.yaml).",
        show_default=False,
    ),
]
# -o is a format in every other command. It was this file's name once, and scripts still say so.
OldOut = Annotated[Path | None, typer.Option("-o", metavar="FILE", hidden=True)]
_FORMATS = frozenset(PasteFormat)
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="REGION", help="Region of clusters (default: the account's). Repeatable."),
]


def new(
    person: Annotated[
        str, typer.Option("--person", metavar="NAME|ARN", help="A new IAM user, or an existing one.")
    ] = "",
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="The IAM role that they assume.")] = "",
    cluster: Annotated[
        list[str] | None, typer.Option("--cluster", metavar="CLUSTER", help="An EKS cluster. Repeatable.")
    ] = None,
    account: Annotated[
        str, typer.Option("--account", metavar="ACCOUNT", help="AWS account id (default: of your credentials).")
    ] = "",
    region: Annotated[
        str, typer.Option("--region", metavar="REGION", help="Region of the clusters (default: from the profile).")
    ] = "",
    profile: Annotated[
        str, typer.Option("--profile", metavar="PROFILE", help="AWS profile to use (default: from the environment).")
    ] = "",
    group: Annotated[
        list[str] | None,
        typer.Option("--group", metavar="GROUP", help="Kubernetes group (default: the role's name). Repeatable."),
    ] = None,
    cluster_role: Annotated[
        str,
        typer.Option(
            "--cluster-role",
            metavar="CLUSTERROLE",
            help="ClusterRole to bind the group to (default: view).",
            show_default=False,
        ),
    ] = "view",
    username: Annotated[
        str,
        typer.Option("--username", metavar="TEMPLATE", help="Kubernetes username; may contain {{SessionName}}."),
    ] = "",
    mapping: Annotated[
        str, typer.Option("--mapping", metavar="KIND", help="Kind of mapping: aws-auth, access-entries or crd.")
    ] = "",
    out: Out = DEFAULT_OUT,
    old_out: OldOut = None,
) -> None:
    """Write a first access.yaml for one person, role and cluster. Without flags, write it from what exists.

    \b
    rolecall new --person ann --role ClusterAdmins --cluster prod
    rolecall new --person ann --role Viewers --cluster prod --group viewers
    rolecall new

    Exit codes: 0 done, 1 error, 2 usage.
    """
    from rolecall.manifest.load import parse
    from rolecall.manifest.starter import Start, starter

    out = _out(out, old_out)
    if not (person or role or cluster):
        import_existing(None, [region] if region else None, out=out)
        return
    if not (person and role and cluster):
        raise typer.BadParameter("give --person, --role and --cluster, or none of them")
    if not (account and region):
        from rolecall.aws.session import identify

        found = identify(profile, region)
        account, region = account or found.account, region or found.region
    if not region:
        raise RolecallError("no region is known", advice="give --region, or set it in your profile")
    start = Start(
        person, role, cluster, account, region, group or (), cluster_role, username, _backend(mapping), profile
    )
    text = starter(start)
    parse(text, str(out))
    _write(text, out, next_step="rolecall plan")


def _out(out: Path, old: Path | None) -> Path:
    """The file to write, from ``--out`` or from ``-o`` as it was."""
    if old is not None and str(old) in _FORMATS:
        raise typer.BadParameter(f"{str(old)!r} is a format; name the file with -O/--out FILE", param_hint="-o")
    return out if old is None else old


def _backend(text: str) -> MappingBackend | None:
    from rolecall.manifest.schema import MappingBackend

    if not text:
        return None
    try:
        return MappingBackend(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is not one of {', '.join(MappingBackend)}", param_hint="--mapping"
        ) from None


def import_existing(
    account: Annotated[
        list[str] | None,
        typer.Option(
            "--account",
            metavar="[NAME=]PROFILE|ROLE_ARN",
            help="An account: a profile, or a role in it that your credentials can assume (default: the account of "
            "your credentials). Repeatable.",
        ),
    ] = None,
    region: Regions = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            "--context",
            metavar="CLUSTER=CONTEXT",
            help="Reach a cluster through a context of your kubeconfig instead of its EKS endpoint. Repeatable.",
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
    old_out: OldOut = None,
) -> None:
    """Write access.yaml from what exists: the mappings of every cluster, their roles, and who may assume those.

    A plan right after it finds nothing to change. What the file cannot express is left alone and listed at its end.

    \b
    rolecall import --out access.yaml
    rolecall import --account prod=prod-admin --region eu-west-2
    rolecall import --context prod-1=through-the-bastion

    Exit codes: 0 done, 1 error, 2 usage.
    """
    from rolecall.importing.world import import_world
    from rolecall.visible import visible as shown

    out = _out(out, old_out)
    accesses, named_contexts = _accesses(account or []), _contexts(context or [])
    reading = read_existing([access for _, access in accesses], region or [], contexts=named_contexts)
    for failure in reading.failures:
        raise RolecallError(
            f"account {failure.place} could not be read: {failure.error.what}", advice=failure.error.advice
        )
    named = {name: _account(access) for name, access in accesses}
    by_arn = {arn: named_contexts.get(state.name, "") for arn, state in reading.world.clusters.items()}
    imported = import_world(reading.world, named, contexts=by_arn)
    for note in imported.notes:
        sys.stderr.write(f"left alone: {shown(note)}\n")
    for note in imported.leftover:
        sys.stderr.write(f"needed by no grant, so a plan removes it: {shown(note)}\n")
    if not reading.world.clusters:
        places = ", ".join(region or []) or "the region of your credentials"
        accounts = ", ".join(access.account for _, access in accesses)
        sys.stderr.write(f"warning: no cluster was found in {places} of account {accounts}: give --region\n")
    empty = not (imported.leftover or imported.unread)
    _write(imported.text, out, next_step="rolecall plan" + (", which has nothing to change" if empty else ""))


def _account(access: AccountAccess) -> dict[str, str]:
    more = {"profile": access.profile, "roleArn": access.role_arn, "region": access.region}
    return {"id": access.account} | {key: value for key, value in more.items() if value}


def _accesses(texts: list[str]) -> list[tuple[str, AccountAccess]]:
    from rolecall.arn import PrincipalArn
    from rolecall.aws.session import AccountAccess, identify

    if not texts:
        return [("main", identify(os.environ.get("AWS_PROFILE", "")))]
    found: dict[str, AccountAccess] = {}
    for text in texts:
        name, equals, how = text.partition("=")
        name, how = (name, how) if equals else ("", text)
        if how.startswith("arn:"):
            access = AccountAccess(PrincipalArn.parse(how).account, role_arn=how)
        else:
            access = identify(how)
        name = name or (f"account-{access.account}" if how.startswith("arn:") else how)
        if name in found:
            raise typer.BadParameter(f"two accounts are called {name!r}", param_hint="--account")
        found[name] = access
    return list(found.items())


def _contexts(texts: list[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    for text in texts:
        cluster, equals, context = text.partition("=")
        if not (cluster and equals and context) or cluster in found:
            raise typer.BadParameter(f"{text!r}: give CLUSTER=CONTEXT, once for a cluster", param_hint="--context")
        found[cluster] = context
    return found


def read_existing(
    accesses: list[AccountAccess],
    regions: list[str],
    names: Sequence[str] = (),
    contexts: Mapping[str, str] = MappingProxyType({}),
    *,
    quiet: bool = False,
) -> Reading:
    """What accounts hold, and their clusters in some regions; ``failures`` are what could not be read.

    :param regions: empty: that of each account.
    :param names: of the clusters that are read; empty: all of them.
    :param contexts: of a kubeconfig, by the name of the cluster that is reached by it.
    """
    from datetime import UTC, datetime

    from rolecall.access.read_world import find_clusters, read_world
    from rolecall.aws.session import AwsClients
    from rolecall.cli.progress import Progress
    from rolecall.manifest.explain_errors import nearest

    clients = AwsClients(accesses)
    places = [(a.account, where) for a in accesses for where in (regions or [clients.region(a.account)]) if where]
    if not places:
        raise RolecallError("no region is known", advice="give --region, or set it in your profile")
    addresses, failures = find_clusters(clients, places)
    known = sorted({one.name for one in addresses})
    for name in (*names, *contexts):
        if name not in known:
            for failure in failures:
                raise failure.error
            where = ", ".join(sorted({region for _, region in places}))
            raise RolecallError(f"there is no cluster {name!r} in {where}", advice=nearest(name, known))
    for name in contexts:
        if sum(one.name == name for one in addresses) > 1:
            raise RolecallError(f"several clusters are called {name!r}", advice="give one account and one --region")
    addresses = tuple(
        replace(one, context=contexts.get(one.name, "")) for one in addresses if not names or one.name in names
    )
    progress = Progress("reading accounts and clusters")
    try:
        found = read_world(clients, addresses, datetime.now(UTC), progress=None if quiet else progress)
        return replace(found, failures=(*found.failures, *failures))
    finally:
        progress.end()


def _write(text: str, out: Path, *, next_step: str) -> None:
    from rolecall.local_files.writing import create_file

    if str(out) == "-":
        sys.stdout.write(text)
        return
    create_file(out, text, advice="name another file, or remove it")
    sys.stderr.write(f"wrote {out}; next: {next_step}\n")
