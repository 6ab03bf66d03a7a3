"""``rolecall add user|role`` with the flags of aws-iam-authenticator, and ``rolecall remove``, its counterpart."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rolecall.cli.go_flags import GoFlags, GoGroup, items
from rolecall.errors import RolecallError
from rolecall.lines import yaml_lines

add = typer.Typer(
    name="add",
    cls=GoGroup,
    help="Map an IAM user or role to a Kubernetes username and groups, in aws-auth or as an IAMIdentityMapping.\n\n"
    "To give a person access through access.yaml, use rolecall grant.\n\n"
    "\b\nExamples:\n"
    "  rolecall add user --help\n"
    "  rolecall add role --rolearn ARN --username dev --groups dev\n\n"
    "Exit codes: 0 done, or cancelled at the prompt; 1 error, nothing changed; 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
)
remove = typer.Typer(
    name="remove",
    cls=GoGroup,
    help="Remove the mapping of an IAM user or role from aws-auth, or its IAMIdentityMapping.\n\n"
    "To take a person's access away, use rolecall revoke.\n\n"
    "\b\nExamples:\n"
    "  rolecall remove user --userarn arn:aws:iam::111122223333:user/ann\n"
    "  rolecall remove role --rolearn arn:aws:iam::111122223333:role/Dev\n\n"
    "Exit codes: 0 done, or cancelled at the prompt; 1 error, nothing changed; 2 wrong usage.",
    no_args_is_help=True,
    add_completion=False,
)


class Where(StrEnum):
    """Where a mapping is kept."""

    config_map = "EKSConfigMap"
    crd = "CRD"


def _option(name: str, metavar: str | None, text: str) -> Any:
    return typer.Option(name, metavar=metavar, help=text, show_default=False)


Prompt = Annotated[bool, _option("--prompt/--no-prompt", None, "Ask before the change (default: ask).")]
MasterUrl = Annotated[str, _option("--master-url", "URL", "URL of the API server (default: from the kubeconfig).")]
Kubeconfig = Annotated[str, _option("--kubeconfig", "FILE", "Kubeconfig (default: $KUBECONFIG, or ~/.kube/config).")]
Context = Annotated[str, _option("--kubeconfig-context", "CONTEXT", "Context to use (default: the current one).")]
Backend = Annotated[Where, _option("--backend", None, "Where the mapping is kept (default: EKSConfigMap).")]
Username = Annotated[str, _option("--username", "NAME", "Kubernetes username; may contain {{SessionName}} and others.")]
Groups = Annotated[list[str], _option("--groups", "GROUP,...", "Kubernetes groups. Repeatable.")]
UserArn = Annotated[str, _option("--userarn", "ARN", "ARN of the IAM user.")]
RoleArn = Annotated[str, _option("--rolearn", "ARN", "ARN of the IAM role, without a path.")]
Sso = Annotated[
    list[str] | None,
    _option("--sso", "KEY=VALUE,...", "Permission set: permissionSetName=NAME,accountID=ID[,partition=aws]."),
]


@dataclass(frozen=True, slots=True)
class _Cluster:
    """Which cluster is meant, and whether to ask before it is changed."""

    prompt: bool
    master_url: str
    kubeconfig: str
    context: str

    def connect(self) -> Any:
        from rolecall.clusters.connect import connect
        from rolecall.clusters.kubeconfig import read_context

        found = read_context(self.context, (Path(self.kubeconfig),) if self.kubeconfig else ())
        endpoint = replace(found.endpoint, server=self.master_url) if self.master_url else found.endpoint
        return connect(found.name, endpoint, found.tokens)

    def confirm(self, what: str) -> None:
        if not self.prompt:
            return
        sys.stdout.write(f"Ready to {what}, should we continue? [y/N]: ")
        sys.stdout.flush()
        # From a pipe as well, as with the original: an answer is an answer.
        answer = sys.stdin.readline()
        if not answer:
            sys.stdout.write("\n")
            raise RolecallError(
                "cannot ask for confirmation: standard input has ended",
                advice="use --prompt=false to change it unasked",
            )
        if answer.strip().lower() not in ("y", "yes"):
            sys.stdout.write("cancelled\n")
            raise typer.Exit(0)


@add.command("user", cls=GoFlags)
def add_user(
    userarn: UserArn,
    username: Username,
    groups: Groups,
    prompt: Prompt = True,
    master_url: MasterUrl = "",
    kubeconfig: Kubeconfig = "",
    kubeconfig_context: Context = "",
    backend: Backend = Where.config_map,
) -> None:
    """Map an IAM user to a username and groups.

    \b
    Examples:
      rolecall add user --userarn arn:aws:iam::111122223333:user/ann \\
        --username ann --groups dev
      rolecall add user --userarn ARN --username ann --groups dev --prompt=false

    Exit codes: 0 done, or cancelled at the prompt; 1 error, nothing changed; 2 wrong usage.
    """
    cluster = _Cluster(prompt, master_url, kubeconfig, kubeconfig_context)
    _add(cluster, backend, "mapUsers", userarn, None, username, groups)


@add.command("role", cls=GoFlags)
def add_role(
    username: Username,
    groups: Groups,
    rolearn: RoleArn = "",
    sso: Sso = None,
    prompt: Prompt = True,
    master_url: MasterUrl = "",
    kubeconfig: Kubeconfig = "",
    kubeconfig_context: Context = "",
    backend: Backend = Where.config_map,
) -> None:
    """Map an IAM role or a permission set.

    The role or the permission set of IAM Identity Center gets a Kubernetes username and groups.

    \b
    Examples:
      rolecall add role --rolearn arn:aws:iam::111122223333:role/Dev \\
        --username 'dev:{{SessionName}}' --groups dev
      rolecall add role --sso permissionSetName=Admin,accountID=111122223333 \\
        --username admin --groups admins

    Exit codes: 0 done, or cancelled at the prompt; 1 error, nothing changed; 2 wrong usage.
    """
    cluster = _Cluster(prompt, master_url, kubeconfig, kubeconfig_context)
    _add(cluster, backend, "mapRoles", rolearn, _permission_set(rolearn, sso), username, groups)


@remove.command("user", cls=GoFlags)
def remove_user(
    userarn: UserArn,
    prompt: Prompt = True,
    master_url: MasterUrl = "",
    kubeconfig: Kubeconfig = "",
    kubeconfig_context: Context = "",
    backend: Backend = Where.config_map,
) -> None:
    """Remove the mapping of an IAM user.

    \b
    Examples:
      rolecall remove user --userarn arn:aws:iam::111122223333:user/ann
      rolecall remove user --userarn ARN --prompt=false

    Exit codes: 0 done, or cancelled at the prompt; 1 error, nothing changed; 2 wrong usage.
    """
    _remove(_Cluster(prompt, master_url, kubeconfig, kubeconfig_context), backend, "mapUsers", userarn, None)


@remove.command("role", cls=GoFlags)
def remove_role(
    rolearn: RoleArn = "",
    sso: Sso = None,
    prompt: Prompt = True,
    master_url: MasterUrl = "",
    kubeconfig: Kubeconfig = "",
    kubeconfig_context: Context = "",
    backend: Backend = Where.config_map,
) -> None:
    """Remove the mapping of a role or permission set.

    \b
    Examples:
      rolecall remove role --rolearn arn:aws:iam::111122223333:role/Dev
      rolecall remove role --sso permissionSetName=Admin,accountID=111122223333 \\
        --prompt=false

    Exit codes: 0 done, or cancelled at the prompt; 1 error, nothing changed; 2 wrong usage.
    """
    cluster = _Cluster(prompt, master_url, kubeconfig, kubeconfig_context)
    _remove(cluster, backend, "mapRoles", rolearn, _permission_set(rolearn, sso))


def _permission_set(arn: str, given: list[str] | None) -> Any:
    from rolecall.mapping.reading.sso import parse_sso

    parts = items(given)
    if bool(arn) == bool(parts):
        raise RolecallError("exactly one of --rolearn and --sso is needed")
    return parse_sso(dict(item.partition("=")[::2] for item in parts)) if parts else None


def _add(cluster: _Cluster, backend: Where, section: str, arn: str, sso: Any, username: str, given: list[str]) -> None:
    groups = items(given) or ()
    if not username or not groups or not (arn or sso):
        raise RolecallError("an ARN, a username and at least one group are needed")
    if wrong := [group for group in groups if not group or group != group.strip()]:
        raise RolecallError(f"{wrong[0]!r} is not a group", where="--groups", advice="separate groups by commas alone")
    if arn:
        _check_arn(arn, section)
    cluster.confirm(f"map {arn or sso} to {username}, groups {', '.join(groups)}")
    if backend is Where.crd:
        _create_object(cluster, arn, username, groups)
        return

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        from rolecall.mapping.editing.aws_auth_text import set_entry
        from rolecall.mapping.editing.sso_text import add_sso_entry
        from rolecall.mapping.reading.aws_auth import parse_aws_auth

        if sso is not None:
            return add_sso_entry(data, sso, username, groups)
        found = parse_aws_auth(data)
        known = found.roles if section == "mapRoles" else found.users
        if arn.lower() in known:
            raise RolecallError(f"{arn} is mapped already", where=str(known[arn.lower()]), advice="remove it first")
        return set_entry(data, section, arn, username, groups)

    _edit(cluster, edit, "added")


def _remove(cluster: _Cluster, backend: Where, section: str, arn: str, sso: Any) -> None:
    cluster.confirm(f"remove the mapping of {arn or sso}")
    if backend is Where.crd:
        _delete_objects(cluster, arn)
        return

    def edit(data: Mapping[str, str]) -> Mapping[str, str]:
        from rolecall.mapping.editing.aws_auth_text import remove_entry
        from rolecall.mapping.editing.sso_text import remove_sso_entry

        changed = remove_sso_entry(data, sso) if sso is not None else remove_entry(data, section, arn)[0]
        if dict(changed) == dict(data):
            raise RolecallError(f"{arn or sso} is not mapped", where=f"aws-auth {section}")
        return changed

    _edit(cluster, edit, "removed")


def _check_arn(arn: str, section: str) -> None:
    from rolecall.arn import PrincipalArn, PrincipalKind

    found = PrincipalArn.parse(arn)
    wanted = PrincipalKind.ROLE if section == "mapRoles" else PrincipalKind.USER
    if found.kind is not wanted:
        raise RolecallError(f"{arn} is the ARN of a {found.kind.value}", advice=f"give the ARN of a {wanted.value}")
    if wanted is PrincipalKind.ROLE and found.path != "/":
        raise RolecallError(
            f"{arn} has a path, which never matches",
            advice=f"leave it out: arn:{found.partition}:iam::{found.account}:role/{found.name}",
        )


def _edit(cluster: _Cluster, edit: Callable[[Mapping[str, str]], Mapping[str, str]], done: str) -> None:
    from rolecall.clusters.config_maps import edit_config_map

    connection = cluster.connect()
    edited = edit_config_map(connection, edit)
    sys.stdout.write(f"{done} in cluster {connection.name}; aws-auth is now:\n\n")
    for section, text in edited.after.data.items():
        sys.stdout.write(f"{section}: |\n" + "".join(f"  {line}\n" for line in yaml_lines(text)))


def _create_object(cluster: _Cluster, arn: str, username: str, groups: tuple[str, ...]) -> None:
    from lightkube.models.meta_v1 import ObjectMeta

    from rolecall.clusters.errors import explained
    from rolecall.clusters.read_cluster import IdentityMappingObject

    if not arn:
        raise RolecallError("IAMIdentityMapping objects cannot name a permission set", advice="use EKSConfigMap")
    name = f"{arn.rpartition('/')[2].lower()[:40].strip('-._')}-{hashlib.sha256(arn.lower().encode()).hexdigest()[:8]}"
    name = "".join(character if character.isascii() and character.isalnum() else "-" for character in name)
    connection = cluster.connect()
    body = IdentityMappingObject(
        metadata=ObjectMeta(name=name), spec={"arn": arn, "username": username, "groups": list(groups)}
    )
    with explained(f"cluster {connection.name}"):
        if known := _objects_of(connection, arn):
            # Of two objects for one ARN one would count and the other would only look as if it did.
            raise RolecallError(
                f"{arn} is mapped already", where=f"IAMIdentityMapping {known[0]}", advice="remove it first"
            )
        connection.client.create(body)
    sys.stdout.write(f"iamidentitymapping.iamauthenticator.k8s.aws/{name} created in cluster {connection.name}\n")


def _objects_of(connection: Any, arn: str) -> list[str]:
    """The names of the IAMIdentityMapping objects for an ARN, in any case."""
    from rolecall.clusters.read_cluster import IdentityMappingObject

    return [
        one.metadata.name
        for one in connection.client.list(IdentityMappingObject)
        if str((one.get("spec") or {}).get("arn", "")).lower() == arn.lower()
    ]


def _delete_objects(cluster: _Cluster, arn: str) -> None:
    from rolecall.clusters.errors import explained
    from rolecall.clusters.read_cluster import IdentityMappingObject

    connection = cluster.connect()
    with explained(f"cluster {connection.name}"):
        found = _objects_of(connection, arn)
        if not arn or not found:
            raise RolecallError(f"no IAMIdentityMapping is for {arn or 'nobody'}", where=f"cluster {connection.name}")
        for name in found:
            connection.client.delete(IdentityMappingObject, name)
            sys.stdout.write(f"iamidentitymapping.iamauthenticator.k8s.aws/{name} deleted\n")
