"""``rolecall kubeconfig``: a context of kubectl for every cluster and role that a person reaches."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
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
    from rolecall.local_files.kubeconfig import Context, Written

Regions = Annotated[
    list[str] | None,
    typer.Option("--region", metavar="REGION", help="Region of the clusters, without access.yaml. Repeatable."),
]
Clusters = Annotated[
    list[str] | None,
    typer.Option("--cluster", metavar="CLUSTER", help="Only this cluster (with access.yaml: or pattern). Repeatable."),
]
Plugin = Annotated[ExecKind, typer.Option("--exec", help="Program that kubectl runs to get a token.")]
KubeconfigFile = Annotated[
    Path | None,
    typer.Option("--kubeconfig", metavar="FILE", help="File to write (default: by $KUBECONFIG, as kubectl does)."),
]


def kubeconfig(
    every: Annotated[bool, typer.Option("--all", help="Use every profile of the AWS CLI's files.")] = False,
    file: File = None,
    profile: Profile = "",
    region: Regions = None,
    cluster: Clusters = None,
    role: Roles = None,
    plugin: Plugin = ExecKind.rolecall,
    path: KubeconfigFile = None,
    use: Annotated[str, typer.Option("--use", metavar="CONTEXT", help="Context to make the current one.")] = "",
    prune: Annotated[
        bool, typer.Option("--prune", help="Remove contexts that rolecall wrote and that you no longer reach.")
    ] = False,
    dry_run: DryRun = False,
    output: Output = Format.table,
) -> None:
    """Write a context for every cluster and role that you reach. Your own contexts stay as they are.

    If there is an access.yaml, it says what you reach. Otherwise these are the clusters of your account, as yourself,
    and the roles that you can assume, if you may read IAM. A role that you name by its ARN is tried.

    \b
    rolecall kubeconfig
    rolecall kubeconfig --all --exec aws
    rolecall kubeconfig --role arn:aws:iam::111122223333:role/Admins
    rolecall kubeconfig --cluster 'prod-*' --role Admins --use prod-1/Admins
    rolecall kubeconfig --prune --dry-run

    Exit codes: 0 done, 1 a context could not be written (the others are), 2 usage.
    """
    from rolecall.cli.own_files.callers import Question, find_reach
    from rolecall.cli.own_files.contexts import choose_tools
    from rolecall.cli.own_files.endpoints import describe
    from rolecall.cli.own_files.outcome import Outcome, finish
    from rolecall.local_files.kubeconfig import default_path, kubeconfig_paths, preview_contexts, write_contexts

    if prune and (cluster or role):
        raise typer.BadParameter("--prune looks at everything: leave --cluster and --role out")
    of_environment = kubeconfig_paths(os.environ)
    paths = (path,) if path is not None else of_environment
    # A file that cannot be written is refused before AWS is asked, or a person for a code.
    preview_contexts(paths, ())
    found = find_reach(Question(access_file(file), profile, every, region or (), cluster or (), role or ()), os.environ)
    tools = choose_tools(found, plugin, profile)
    described = describe(found, tools, os.environ)
    contexts, refused = _contexts(described.ready, tools, [one for one in of_environment if one not in paths])
    failed, notes = [*_missing(found), *described.failed, *refused], [*found.notes, *described.notes]
    if prune and (failed or not found.complete):
        notes.append("no context was removed, because not everything could be read")
        prune = False
    if contexts and any("AWS_PROFILE" not in one.exec.environment for one in contexts) and tools.source is None:
        notes.append("your credentials are a key in the environment: these contexts work only in shells that have it")
    key = _key_of(use, contexts, preview_contexts(paths, contexts).names) if use else ""
    act = preview_contexts if dry_run else write_contexts
    written = act(paths, contexts, prune=prune, use=key)
    outcome = Outcome(
        "context",
        [one.path for one in written.files] or [default_path(paths)],
        {name: getattr(written, name) for name in ("added", "changed", "removed", "unchanged")},
        failed,
        notes,
        {"current": written.current} if written.current else {},
        [(one.path, one.before, one.after) for one in written.files] if dry_run else None,
        _next_step(written, use),
    )
    finish(outcome, output)


def _next_step(written: Written, use: str) -> str:
    """How the new contexts are used, if none of them is the current one."""
    new = (*written.added, *written.changed)
    if written.current in new or use:
        return f"the current context is {written.current}"
    if not new:
        return ""
    state = f"the current context stays {written.current}" if written.current else "there is no current context"
    return f"{state}; to use a new one: kubectl config use-context {shlex.quote(new[0])}"


def _missing(found: Found) -> list[Failed]:
    from rolecall.cli.own_files.endpoints import Failed

    return [Failed("", "", "", error) for error in found.missing.values()]


def _contexts(
    ready: Sequence[tuple[Reachable, EksCluster]], tools: Tools, elsewhere: Sequence[Path]
) -> tuple[list[Context], list[Failed]]:
    """The contexts to write.

    :param elsewhere: other files of ``KUBECONFIG``, whose names are left to them: kubectl takes the first of two.
    """
    from rolecall.cli.own_files.contexts import context_key, context_names, make_context
    from rolecall.cli.own_files.endpoints import failure
    from rolecall.local_files.kubeconfig import context_keys

    taken = context_keys(elsewhere)
    contexts: list[Context] = []
    failed: list[Failed] = []
    for (one, cluster), names in zip(ready, context_names([one for one, _ in ready]), strict=True):
        key = context_key(one, cluster)
        free = tuple(name for name in names if taken.get(name, key) == key)
        try:
            contexts.append(make_context(one, cluster, tools, free))
        except RolecallError as error:
            failed.append(failure(one, error))
    return contexts, failed


def _key_of(name: str, contexts: Sequence[Context], names: Mapping[str, str]) -> str:
    """The key of the context that a person calls ``name``: as it is called in the file, or could be."""
    from rolecall.manifest.explain_errors import nearest

    called = [key for key, known in names.items() if known == name]
    keys = called or [context.key for context in contexts if name in context.names]
    if len(keys) == 1:
        return keys[0]
    raise RolecallError(f"no context {name!r} is written", where="--use", advice=nearest(name, list(names.values())))
