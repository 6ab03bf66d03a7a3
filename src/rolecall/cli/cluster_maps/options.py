"""Options that the commands for clusters' maps share, each written once, and how a command takes a group of them.

A parameter whose type is a dataclass of options stands for all of its fields::

    @with_groups
    def get(place: PlaceOptions, output: Output = Format.table) -> None: ...
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Annotated, Any, get_type_hints

import typer

from rolecall.cli.output import Format
from rolecall.mapping.editing.guards import Guard

# Names of before that keep working.
_OLD_NAMES = {"filename": "file"}
ENTRY_GUARDS = (Guard.LOCKOUT_CALLER, Guard.LOCKOUT_NODES, Guard.LOCKOUT_LAST_ADMIN)


def _allow(guards: Sequence[Guard]) -> Any:
    text = f"Override a refusal; one of {', '.join(guards)}. Repeatable."
    return typer.Option("--allow", metavar="GUARD", help=text)


File = Annotated[
    str, typer.Option("-f", "--file", metavar="FILE", help="Manifest of the ConfigMap; - is standard input.")
]
Context = Annotated[
    str, typer.Option("--context", metavar="CONTEXT", help="Context of the kubeconfig (default: the current one).")
]
Kubeconfig = Annotated[
    str, typer.Option("--kubeconfig", metavar="FILE", help="Kubeconfig (default: $KUBECONFIG, or ~/.kube/config).")
]
Cluster = Annotated[str, typer.Option("--cluster", metavar="CLUSTER", help="Name of an EKS cluster.")]
Region = Annotated[
    str, typer.Option("--region", metavar="REGION", help="Region of the cluster (default: from the profile).")
]
Profile = Annotated[
    str, typer.Option("--profile", metavar="PROFILE", help="AWS profile to use (default: from the environment).")
]
Output = Annotated[Format, typer.Option("-o", "--output", help="Output format.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the change and write nothing.")]
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until EKS shows the change.")]
Why = Annotated[str, typer.Option("--why", metavar="TEXT", help="Reason, kept with the change in the history.")]
Allow = Annotated[list[Guard] | None, _allow(tuple(Guard))]
AllowForEntry = Annotated[list[Guard] | None, _allow(ENTRY_GUARDS)]
Username = Annotated[
    str, typer.Option("--username", metavar="NAME", help="Kubernetes username; may contain {{SessionName}} and others.")
]
Groups = Annotated[
    list[str] | None,
    typer.Option("--group", metavar="GROUP", help="Kubernetes group. Repeatable. Replaces all existing groups."),
]
NoGroups = Annotated[bool, typer.Option("--no-groups", help="Remove all groups.")]


@dataclass(frozen=True, slots=True)
class ClusterOptions:
    """Where aws-auth is in a cluster: a context of a kubeconfig, or an EKS cluster by name."""

    context: Context = ""
    kubeconfig: Kubeconfig = ""
    cluster: Cluster = ""
    region: Region = ""
    profile: Profile = ""


@dataclass(frozen=True, slots=True)
class PlaceOptions:
    """Where aws-auth is: in a file, or in a cluster."""

    file: File = ""
    context: Context = ""
    kubeconfig: Kubeconfig = ""
    cluster: Cluster = ""
    region: Region = ""
    profile: Profile = ""


@dataclass(frozen=True, slots=True)
class ChangeOptions:
    """How a change of aws-auth is made."""

    allow: Allow = None
    why: Why = ""
    dry_run: DryRun = False
    output: Output = Format.table


@dataclass(frozen=True, slots=True)
class EntryChangeOptions:
    """How a change of an access entry is made."""

    allow: AllowForEntry = None
    dry_run: DryRun = False
    wait: Wait = True
    output: Output = Format.table


def new_name(name: str) -> str:
    """The name of an option now; for ``token_normalize_func`` of click."""
    return _OLD_NAMES.get(name, name)


SETTINGS: dict[str, Any] = {"token_normalize_func": new_name, "help_option_names": ["-h", "--help"]}


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose groups of options are options of its own."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {}
    taken: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        if not is_dataclass(parameter.annotation):
            taken.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[name] = group = parameter.annotation
        hints = get_type_hints(group, include_extras=True)
        taken += (
            inspect.Parameter(one.name, inspect.Parameter.KEYWORD_ONLY, default=one.default, annotation=hints[one.name])
            for one in fields(group)
        )

    @functools.wraps(command)
    def run(**given: Any) -> None:
        made = {
            name: group(**{one.name: given.pop(one.name) for one in fields(group)}) for name, group in groups.items()
        }
        command(**given, **made)

    # typer looks at both.
    run.__signature__ = signature.replace(parameters=taken)  # type: ignore[attr-defined]
    run.__annotations__ = {one.name: one.annotation for one in taken}
    del run.__wrapped__
    return run
