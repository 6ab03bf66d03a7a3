"""All commands in one table, grouped by what a person does; a command's module is loaded when it is used.

``rolecall --help`` is this table and loads nothing else: start-up time is a feature.
"""

from __future__ import annotations

from typing import NamedTuple


class Command(NamedTuple):
    """One command of ``rolecall``.

    ``target`` is ``module:name`` below :mod:`rolecall.cli`: a function, or a typer app with commands of its own.
    ``summary`` has at most 50 characters, so that the list of commands is never cut.
    """

    name: str
    target: str
    summary: str
    go_flags: bool = False
    """Takes switches as programs in Go do (``--flag=true``)."""
    pass_on: bool = False
    """Reads its own command line."""


GROUPS: dict[str, tuple[Command, ...]] = {
    "Access as code": (
        Command("new", "access_as_code.new:new", "Write a first access.yaml from a few flags"),
        Command("import", "access_as_code.new:import_existing", "Write access.yaml from what exists"),
        Command("plan", "access_as_code.plan:plan", "Show what would change, and who gains or loses"),
        Command("apply", "access_as_code.apply:apply", "Make the changes of access.yaml or of a plan"),
        Command("resume", "access_as_code.apply:resume", "Finish a run that was interrupted"),
        Command("undo", "access_as_code.undo:undo", "Take back the changes of a run"),
        Command("runs", "access_as_code.runs:runs", "List runs and their steps"),
        Command("grant", "access_as_code.grant:grant", "Give one person a role"),
        Command("revoke", "access_as_code.grant:revoke", "Take access away from one person"),
        Command("drift", "access_as_code.drift:drift", "Compare access.yaml with what exists"),
    ),
    "Your own files": (
        Command("kubeconfig", "own_files.kubeconfig:kubeconfig", "Write contexts for the clusters that you reach"),
        Command("profiles", "own_files.profiles:profiles", "Write AWS profiles for your roles"),
        Command("token", "token:token", "Print a token for a cluster (kubectl runs this)", pass_on=True),
        Command("eks", "token:eks", "Print a token, as `aws eks get-token` does", pass_on=True),
    ),
    "Clusters' maps": (
        Command("aws-auth", "cluster_maps.aws_auth:app", "Read, check and change the ConfigMap aws-auth"),
        Command("access-entry", "cluster_maps.access_entry:app", "List and change EKS access entries"),
        Command("add", "cluster_maps.map_entries:add", "Add a mapping, as aws-iam-authenticator does"),
        Command("remove", "cluster_maps.map_entries:remove", "Remove a mapping that add has made"),
    ),
    "Authenticator": (
        Command("server", "server:server", "Run the webhook that a cluster asks", go_flags=True),
        Command("init", "server:init", "Write the webhook's certificate and kubeconfig", go_flags=True),
        Command("verify", "verify:verify", "Check a token and show whose it is", go_flags=True),
    ),
    "Lab": (Command("lab", "lab:app", "Run AWS and Kubernetes on this machine"),),
    "About rolecall": (
        Command("doctor", "doctor:doctor", "Check credentials, clock, network and files"),
        Command("permissions", "permissions:permissions", "Print the rights that a command needs"),
        Command("schema", "schema:schema", "Print the JSON Schema of a file or document"),
        Command("version", "about:version", "Print the version", go_flags=True),
        Command("help", "about:help_for", "Show the help of a command", go_flags=True),
    ),
}

COMMANDS: dict[str, Command] = {command.name: command for group in GROUPS.values() for command in group}
OPTIONS = {
    "--version": "Print the version and exit",
    "--install-completion": "Install completion for the current shell",
    "--show-completion": "Print the completion script of the current shell",
    "-h, --help": "Show this text and exit",
}
EXAMPLES = {
    "rolecall lab up --detach": "start a lab to try things in",
    "rolecall plan": "show what access.yaml would change",
}


def help_text(program: str) -> str:
    """The text of ``rolecall --help``; at most 80 columns."""
    lines = [
        f"Usage: {program} [OPTIONS] COMMAND [ARGS]...",
        "",
        "  Give people access to Kubernetes clusters through AWS IAM roles, take it",
        "  away again, and prove who can get in as what.",
    ]
    sections = {title: {one.name: one.summary for one in group} for title, group in GROUPS.items()}
    for title, rows in {**sections, "Options": OPTIONS, "Examples": EXAMPLES}.items():
        width = max(map(len, rows))
        lines += ["", f"{title}:", *(f"  {name:<{width}}  {what}" for name, what in rows.items())]
    lines += ["", "Exit codes: 0 done, 1 error, 2 usage; a command's help lists any others."]
    return "\n".join([*lines, f"Help for one command: {program} COMMAND --help", ""])
