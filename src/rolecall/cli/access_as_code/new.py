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

from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.access.read_world import Reading
    from rolecall.aws.session import AccountAccess
    from rolecall.manifest.schema import MappingBackend

DEFAULT_OUT = Path("access.yaml")

Out = Annotated[
    Path,
    typer.Option("-o", "--out", metavar="FILE", help="Where to write it; - is standard output. Never overwritten."),
]
Regions = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="R", help="Region of clusters; default: the account's; repeatable."),
]


def new(
    person: Annotated[
        str, typer.Option("--person", metavar="NAME|ARN", help="A new IAM user, or an existing one.")
    ] = "",
    role: Annotated[str, typer.Option("--role", metavar="NAME", help="The IAM role that they assume.")] = "",
    cluster: Annotated[
        list[str] | None, typer.Option("--cluster", metavar="NAME", help="A cluster in EKS; repeatable.")
    ] = None,
    account: Annotated[str, typer.Option("--account", metavar="ID", help="Default: that of your credentials.")] = "",
    region: Annotated[str, typer.Option("--region", metavar="R", help="Default: that of your profile.")] = "",
    profile: Annotated[str, typer.Option("--profile", metavar="P", help="Profile of the AWS CLI's files.")] = "",
    group: Annotated[
        list[str] | None, typer.Option("--group", metavar="G", help="Kubernetes group; default: the role's name.")
    ] = None,
    cluster_role: Annotated[
        str, typer.Option("--cluster-role", metavar="R", help="ClusterRole that the group is bound to.")
    ] = "view",
    username: Annotated[str, typer.Option("--username", metavar="T", help="Kubernetes username, a template.")] = "",
    mapping: Annotated[str, typer.Option("--mapping", help="aws-auth, access-entries or crd.")] = "",
    out: Out = DEFAULT_OUT,
) -> None:
    """Write a first access.yaml: for one person, role and cluster, or, without flags, from what your account holds.

    \b
    rolecall new --person ann --role ClusterAdmins --cluster prod
    rolecall new --person ann --role Viewers --cluster prod --group viewers --cluster-role view
    rolecall new
    """
    from rolecall.manifest.load import parse
    from rolecall.manifest.starter import Start, starter

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


def _backend(text: str) -> MappingBackend | None:
    from rolecall.manifest.schema import MappingBackend

    if not text:
        return None
    try:
        return MappingBackend(text)
    except ValueError:
        raise typer.BadParameter(f"{text!r} is none of {', '.join(MappingBackend)}", param_hint="--mapping") from None


def import_existing(
    account: Annotated[
        list[str] | None,
        typer.Option(
            "--account",
            metavar="[NAME=]PROFILE|ROLE_ARN",
            help="An account, by a profile or by a role in it that your credentials assume; repeatable. "
            "Default: the account of your credentials.",
        ),
    ] = None,
    region: Regions = None,
    context: Annotated[
        list[str] | None,
        typer.Option(
            "--context",
            metavar="CLUSTER=CONTEXT",
            help="Reach a cluster's API by a context of your kubeconfig, not by what EKS says of it; repeatable.",
        ),
    ] = None,
    out: Out = DEFAULT_OUT,
) -> None:
    """Write access.yaml from what exists: every cluster's mappings, the roles in them and who may assume those.

    A plan right after finds nothing to change. What the file cannot say is left alone and listed at its end.

    \b
    rolecall import -o access.yaml
    rolecall import --account prod=prod-admin --account dev=arn:aws:iam::444455556666:role/Admin --region eu-west-2
    rolecall import --context prod-1=through-the-bastion
    """
    from rolecall.importing.world import import_world
    from rolecall.visible import visible as shown

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
