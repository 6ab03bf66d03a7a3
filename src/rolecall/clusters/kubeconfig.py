"""Read a context of a kubeconfig, as kubectl does: ``KUBECONFIG`` may name several files, the first to say so wins.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files"; API reference ``v1.Config``. What
would change who calls or what is trusted and is not known here (``auth-provider``, ``as-user-extra``) is refused.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rolecall.clusters.errors import ClusterError
from rolecall.clusters.exec_credentials import (
    API_VERSIONS,
    ExecPlugin,
    FixedToken,
    RenewedTokens,
    TokenFile,
    TokenSource,
)
from rolecall.clusters.transport import Endpoint, utc_now
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, load_plain

MAX_FILE = 4 << 20


@dataclass(frozen=True, slots=True)
class Context:
    """A context: where its cluster is and how its user signs in.

    :param tokens: ``None`` for a user of a client certificate, or for nobody.
    """

    name: str
    endpoint: Endpoint
    tokens: TokenSource | None
    namespace: str = "default"


def read_context(name: str = "", paths: Sequence[Path] = (), environ: Mapping[str, str] = os.environ) -> Context:
    """The context ``name``, else the current one, of ``paths``, else of ``KUBECONFIG``, else of ``~/.kube/config``.

    :raises ClusterError: no such file or context, or something in it that is not known.
    """
    files = [(path, _load(path)) for path in paths or kubeconfig_paths(environ) if paths or path.exists()]
    shown = ", ".join(str(path) for path, _ in files) or "no kubeconfig"
    wanted = name or next((str(found["current-context"]) for _, found in files if found.get("current-context")), "")
    if not wanted:
        raise ClusterError("no current context", where=shown, advice="name one: --context NAME")
    context, _ = _named(files, "contexts", "context", wanted, shown)
    cluster, folder = _named(files, "clusters", "cluster", str(context.get("cluster", "")), shown)
    user, user_folder = (
        _named(files, "users", "user", str(context.get("user", "")), shown) if context.get("user") else ({}, folder)
    )
    where = f"context {wanted} of {shown}"
    endpoint = _endpoint(cluster, folder, user, user_folder, where)
    return Context(
        wanted, endpoint, _tokens(user, user_folder, endpoint, where), str(context.get("namespace") or "default")
    )


def kubeconfig_paths(environ: Mapping[str, str]) -> list[Path]:
    """The files that ``KUBECONFIG`` names, else the one in the home folder."""
    if named := [Path(part) for part in environ.get("KUBECONFIG", "").split(os.pathsep) if part]:
        return named
    return [Path(environ.get("HOME") or Path.home()) / ".kube" / "config"]


def _load(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_FILE:
            raise ClusterError("larger than a kubeconfig can be", where=str(path))
        found = load_plain(path.read_bytes())
    except OSError as error:
        raise ClusterError(f"cannot read it: {error.strerror}", where=str(path)) from error
    except UnreadableYamlError as error:
        raise ClusterError(error.what, where=f"{path} line {error.line}") from None
    if not isinstance(found, dict):
        raise ClusterError("no kubeconfig", where=str(path))
    return found


def _named(
    files: Sequence[tuple[Path, dict[str, Any]]], group: str, kind: str, name: str, shown: str
) -> tuple[dict[str, Any], Path]:
    for path, found in files:
        for item in found.get(group) or ():
            if isinstance(item, dict) and item.get("name") == name:
                value = item.get(kind)
                return (value if isinstance(value, dict) else {}), path.resolve().parent
    raise ClusterError(f"no {kind} {name!r}", where=shown, advice=f"see: kubectl config get-{group}")


def _endpoint(
    cluster: Mapping[str, Any], folder: Path, user: Mapping[str, Any], user_folder: Path, where: str
) -> Endpoint:
    server = cluster.get("server")
    if not isinstance(server, str) or not server.startswith(("https://", "http://")):
        raise ClusterError("its cluster has no server", where=where)
    if extra := user.get("as-user-extra"):
        raise ClusterError(f"as-user-extra ({len(extra)}) is not supported", where=where)
    return Endpoint(
        server,
        ca_pem=_pem(cluster, "certificate-authority", folder, where),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
        tls_server_name=str(cluster.get("tls-server-name") or ""),
        proxy_url=str(cluster.get("proxy-url") or ""),
        client_certificate=_pem(user, "client-certificate", user_folder, where),
        client_key=_pem(user, "client-key", user_folder, where),
        impersonate=str(user.get("as") or ""),
        impersonate_uid=str(user.get("as-uid") or ""),
        impersonate_groups=tuple(str(group) for group in user.get("as-groups") or ()),
    )


def _pem(found: Mapping[str, Any], key: str, folder: Path, where: str) -> str:
    """A PEM text that is written in the file in base64, or that stands in a file of its own."""
    try:
        if data := found.get(f"{key}-data"):
            text = base64.b64decode("".join(str(data).split()), validate=True).decode("ascii")
        elif found.get(key):
            text = (folder / str(found[key])).read_text("ascii")
        else:
            return ""
        if "-----BEGIN " not in text:
            raise ValueError
        return text
    except ValueError:
        # An authority that cannot be read must not become none, which would trust the system's.
        raise ClusterError(f"{key} is no PEM text", where=where) from None
    except OSError as error:
        raise ClusterError(f"cannot read {key}: {error.strerror}", where=where) from error


def _tokens(user: Mapping[str, Any], folder: Path, endpoint: Endpoint, where: str) -> TokenSource | None:
    if user.get("auth-provider"):
        raise ClusterError(
            "auth-provider is not supported, nor by kubectl since 1.26", where=where, advice="use an exec entry"
        )
    if user.get("username") or user.get("password"):
        raise ClusterError("basic authentication is not supported", where=where, advice="use an exec entry")
    if isinstance(entry := user.get("exec"), dict):
        return RenewedTokens(_plugin(entry, folder, endpoint, where).run, utc_now)
    if user.get("tokenFile"):
        return TokenFile(folder / str(user["tokenFile"]))
    return FixedToken(str(user["token"])) if user.get("token") else None


def _plugin(entry: Mapping[str, Any], folder: Path, endpoint: Endpoint, where: str) -> ExecPlugin:
    version, command = entry.get("apiVersion"), entry.get("command")
    if version not in API_VERSIONS or not isinstance(command, str) or not command:
        raise ClusterError(
            f"an exec entry of {version}, which is not supported",
            where=where,
            advice=f"write it anew with apiVersion {API_VERSIONS[0]}, for example by: aws eks update-kubeconfig",
        )
    return ExecPlugin(
        version,
        command,
        tuple(str(argument) for argument in entry.get("args") or ()),
        {str(one["name"]): str(one["value"]) for one in entry.get("env") or ()},
        folder,
        str(entry.get("interactiveMode") or "IfAvailable"),
        endpoint.as_exec_info() if entry.get("provideClusterInfo") is True else None,
        str(entry.get("installHint") or "")[:500],
    )
