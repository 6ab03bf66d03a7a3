"""``rolecall kubeconfig``: a context of kubectl for every cluster and role that a person reaches."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rolecall.cli.output import Format
from rolecall.cli.own_files.options import DryRun, ExecKind, File, Output, Profile, Roles, access_file
from rolecall.errors import RolecallError

if TYPE_CHECKING:
    from rolecall.access.reachable import Reachable
    from rolecall.aws.read_clusters import EksCluster
    from rolecall.cli.own_files.callers import Found
    from rolecall.cli.own_files.contexts import Tools
    from rolecall.cli.own_files.endpoints import Failed
    from rolecall.local_files.kubeconfig import Context


def kubeconfig(
    every: Annotated[bool, typer.Option("--all", help="For every profile of the AWS CLI's files.")] = False,
    file: File = None,
    profile: Profile = "",
    region: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="R", help="Where to look for clusters without a file; repeatable."),
    ] = None,
    cluster: Annotated[
        list[str] | None,
        typer.Option("--cluster", metavar="NAME", help="Only this cluster, in a file also a pattern; repeatable."),
    ] = None,
    role: Roles = None,
    plugin: Annotated[
        ExecKind, typer.Option("--exec", help="What gets tokens: rolecall token, or aws eks get-token.")
    ] = ExecKind.rolecall,
    path: Annotated[
        Path | None, typer.Option("--kubeconfig", metavar="FILE", help="Default: the first of $KUBECONFIG.")
    ] = None,
    use: Annotated[str, typer.Option("--use", metavar="CONTEXT", help="Make this context the current one.")] = "",
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove contexts that rolecall wrote before and that are not found now.")
    ] = False,
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Write a context for every cluster and role that you reach; your own contexts stay as they are.

    What you reach is what access.yaml says of you. Without a file it is what you may read: the clusters of your
    account, and the roles that you can assume where you may read IAM.
    Ends with 1 where a context could not be written; the others are.

    \b
    rolecall kubeconfig
    rolecall kubeconfig --all --exec aws
    rolecall kubeconfig --cluster 'prod-*' --role Admins --use prod-1/Admins
    rolecall kubeconfig --prune --dry-run
    """
    from rolecall.cli.own_files.callers import Question, find_reach
    from rolecall.cli.own_files.contexts import choose_tools
    from rolecall.cli.own_files.endpoints import describe
    from rolecall.cli.own_files.outcome import Outcome, finish
    from rolecall.local_files.kubeconfig import kubeconfig_path, preview_contexts, write_contexts

    if prune and (cluster or role):
        raise typer.BadParameter("--prune looks at everything: leave --cluster and --role out")
    found = find_reach(Question(access_file(file), profile, every, region or (), cluster or (), role or ()), os.environ)
    target = path or kubeconfig_path(os.environ)
    tools = choose_tools(found, plugin, profile)
    described = describe(found, tools, os.environ)
    contexts, refused = _contexts(described.ready, tools, target)
    failed, notes = [*_missing(found), *described.failed, *refused], [*found.notes, *described.notes]
    if prune and (failed or not found.complete):
        notes.append("no context was removed, because not everything could be read")
        prune = False
    key = _key_of(use, contexts) if use else ""
    text, new, written = preview_contexts(target, contexts, prune=prune, use=key)
    if new != text and not dry_run:
        written = write_contexts(target, contexts, prune=prune, use=key)
    changes = {name: getattr(written, name) for name in ("added", "changed", "removed", "unchanged")}
    more = {"current": written.current}
    finish(Outcome("context", target, changes, failed, notes, more, (text, new) if dry_run else None), output)


def _missing(found: Found) -> list[Failed]:
    from rolecall.cli.own_files.endpoints import Failed

    return [Failed("", "", "", error) for error in found.missing.values()]


def _contexts(
    ready: Sequence[tuple[Reachable, EksCluster]], tools: Tools, target: Path
) -> tuple[list[Context], list[Failed]]:
    """The contexts to write, with names that no other file of KUBECONFIG has."""
    from rolecall.cli.own_files.contexts import context_key, context_names, make_context
    from rolecall.cli.own_files.endpoints import failure

    elsewhere = _contexts_elsewhere(target)
    contexts: list[Context] = []
    failed: list[Failed] = []
    for (one, cluster), names in zip(ready, context_names([one for one, _ in ready]), strict=True):
        key = context_key(one, cluster)
        free = tuple(name for name in names if elsewhere.get(name, key) == key)
        try:
            contexts.append(make_context(one, cluster, tools, free))
        except RolecallError as error:
            failed.append(failure(one, error))
    return contexts, failed


def _contexts_elsewhere(target: Path) -> dict[str, str]:
    """Contexts of the other files of KUBECONFIG: kubectl takes the first of two of one name."""
    from rolecall.local_files.kubeconfig import context_keys

    found: dict[str, str] = {}
    for part in filter(None, os.environ.get("KUBECONFIG", "").split(os.pathsep)):
        other = Path(part).expanduser()
        if other.resolve() != target.resolve():
            found |= context_keys(other)
    return found


def _key_of(name: str, contexts: Sequence[Context]) -> str:
    from rolecall.manifest.explain_errors import nearest

    keys = [context.key for context in contexts if name in context.names]
    if len(keys) == 1:
        return keys[0]
    known = [context.names[0] for context in contexts if context.names]
    raise RolecallError(f"no context {name!r} is written", where="--use", advice=nearest(name, known))
