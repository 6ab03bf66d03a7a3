"""Read a context of a kubeconfig, as kubectl does: ``KUBECONFIG`` may name several files, the first to say so wins.

Source: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files"; API reference ``v1.Config``. What
would change who calls or what is trusted and is not known here (``auth-provider``, ``as-user-extra``) is refused.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
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
from rolecall.local_files.kubeconfig import kubeconfig_paths
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, load_plain

MAX_FILE = 4 << 20


@dataclass(frozen=True, slots=True)
class Context:
    """A context: where its cluster is and how its user signs in.

    :param tokens: ``None`` for a user of a client certificate, or for nobody.
    :param cluster: the name of its entry under ``clusters``: for EKS often the cluster's ARN.
    :param arguments: of its credential plugin; ``variables`` are what the plugin gets besides the environment.
    """

    name: str
    endpoint: Endpoint
    tokens: TokenSource | None
    namespace: str = "default"
    cluster: str = ""
    arguments: tuple[str, ...] = ()
    variables: Mapping[str, str] = field(default_factory=dict)


def read_context(name: str = "", paths: Sequence[Path] = (), environ: Mapping[str, str] = os.environ) -> Context:
    """The context ``name``, else the current one, of ``paths``, else of ``KUBECONFIG``, else of ``~/.kube/config``.

    :raises ClusterError: no such file or context, or something in it that is not known.
    """
    files = [(path, _load(path)) for path in paths or kubeconfig_paths(environ) if paths or path.exists()]
    shown = ", ".join(str(path) for path, _ in files) or "no kubeconfig"
    wanted = name or next((current for path, found in files if (current := _text(found, "current-context", path))), "")
    if not wanted:
        raise ClusterError("no current context", where=shown, advice="name one: --context NAME")
    context, path = _named(files, "contexts", "context", wanted, shown)
    cluster, cluster_path = _named(files, "clusters", "cluster", _text(context, "cluster", path), shown)
    user_name = _text(context, "user", path)
    user, user_path = _named(files, "users", "user", user_name, shown) if user_name else ({}, path)
    where = f"context {wanted} of {shown}"
    folder, user_folder = cluster_path.resolve().parent, user_path.resolve().parent
    endpoint = _endpoint(cluster, folder, user, user_folder, where)
    tokens = _tokens(user, user_folder, endpoint, where)
    plugin = _plugin(entry, user_folder, endpoint, where) if (entry := _mapping(user, "exec", where)) else None
    return Context(
        wanted,
        endpoint,
        tokens,
        _text(context, "namespace", path) or "default",
        _text(context, "cluster", path),
        plugin.arguments if plugin else (),
        plugin.variables if plugin else {},
    )


def _load(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise ClusterError("larger than a kubeconfig can be", where=str(path))
        found = load_plain(content)
    except OSError as error:
        raise ClusterError(f"cannot read it: {error.strerror}", where=str(path)) from error
    except UnreadableYamlError as error:
        raise ClusterError(error.what, where=f"{path}:{error.line}") from None
    if not isinstance(found, dict | None):
        raise ClusterError("not a kubeconfig", where=str(path), advice="name another file with --kubeconfig")
    # kubectl reads an empty file, such as /dev/null, as a kubeconfig without entries.
    return found or {}


def _named(
    files: Sequence[tuple[Path, dict[str, Any]]], group: str, kind: str, name: str, shown: str
) -> tuple[Mapping[str, Any], Path]:
    """The first entry of a name in a list, and the file that it is in."""
    for path, found in files:
        for item in _list(found, group, path):
            if isinstance(item, Mapping) and (item.get("name") or "") == name:
                return _mapping(item, kind, path), path
    raise ClusterError(f"no {kind} {name!r}", where=shown, advice=f"see: kubectl config get-{group}")


_WANTED: Mapping[type[Any], str] = {str: "text (put it in quotes)", list: "a list", Mapping: "a mapping"}


def _member(found: Mapping[str, Any], key: str, where: object, wanted: type[Any], empty: Any) -> Any:
    value = found.get(key)
    if value is None:
        return empty
    if isinstance(value, wanted):
        return value
    raise ClusterError(
        f"{key} is not {_WANTED[wanted]}", where=str(where), advice="kubectl cannot read this either: correct it"
    )


def _text(found: Mapping[str, Any], key: str, where: object) -> str:
    # kubectl takes a date without quotes for text.
    value = found.get(key)
    return str(value) if isinstance(value, date) else str(_member(found, key, where, str, ""))


def _list(found: Mapping[str, Any], key: str, where: object) -> list[Any]:
    return list(_member(found, key, where, list, []))


def _mapping(found: Mapping[str, Any], key: str, where: object) -> Mapping[str, Any]:
    value: Mapping[str, Any] = _member(found, key, where, Mapping, {})
    return value


def _endpoint(
    cluster: Mapping[str, Any], folder: Path, user: Mapping[str, Any], user_folder: Path, where: str
) -> Endpoint:
    server = _text(cluster, "server", where)
    if not server.startswith(("https://", "http://")):
        raise ClusterError("its cluster has no server", where=where)
    if _mapping(user, "as-user-extra", where):
        raise ClusterError("as-user-extra is not supported", where=where)
    return Endpoint(
        server,
        ca_pem=_pem(cluster, "certificate-authority", folder, where),
        insecure=cluster.get("insecure-skip-tls-verify") is True,
        tls_server_name=_text(cluster, "tls-server-name", where),
        proxy_url=_text(cluster, "proxy-url", where),
        client_certificate=_pem(user, "client-certificate", user_folder, where),
        client_key=_pem(user, "client-key", user_folder, where),
        impersonate=_text(user, "as", where),
        impersonate_uid=_text(user, "as-uid", where),
        impersonate_groups=_texts(user, "as-groups", where),
    )


def _texts(found: Mapping[str, Any], key: str, where: str) -> tuple[str, ...]:
    return tuple(_text({key: one}, key, where) for one in _list(found, key, where))


def _pem(found: Mapping[str, Any], key: str, folder: Path, where: str) -> str:
    """A PEM text that is written in the file in base64, or that stands in a file of its own."""
    try:
        if data := _text(found, f"{key}-data", where):
            text = base64.b64decode("".join(data.split()), validate=True).decode("ascii")
        elif name := _text(found, key, where):
            text = (folder / name).read_text("ascii")
        else:
            return ""
        if "-----BEGIN " not in text:
            raise ValueError
        return text
    except ValueError:
        # An authority that cannot be read must not become none, which would trust the system's.
        raise ClusterError(f"{key} is not a PEM text", where=where) from None
    except OSError as error:
        raise ClusterError(f"cannot read {key}: {error.strerror}", where=where) from error


def _tokens(user: Mapping[str, Any], folder: Path, endpoint: Endpoint, where: str) -> TokenSource | None:
    if user.get("auth-provider"):
        raise ClusterError(
            "auth-provider is not supported, nor by kubectl since 1.26", where=where, advice="use an exec entry"
        )
    if user.get("username") or user.get("password"):
        raise ClusterError("basic authentication is not supported", where=where, advice="use an exec entry")
    if entry := _mapping(user, "exec", where):
        return RenewedTokens(_plugin(entry, folder, endpoint, where).run, utc_now)
    if file := _text(user, "tokenFile", where):
        return TokenFile(folder / file)
    return FixedToken(token) if (token := _text(user, "token", where)) else None


def _plugin(entry: Mapping[str, Any], folder: Path, endpoint: Endpoint, where: str) -> ExecPlugin:
    version, command = _text(entry, "apiVersion", where), _text(entry, "command", where)
    if version not in API_VERSIONS or not command:
        raise ClusterError(
            f"an exec entry of {version or 'no version'}, which is not supported",
            where=where,
            advice=f"write it again with apiVersion {API_VERSIONS[0]}, for example by: aws eks update-kubeconfig",
        )
    variables = [one for one in _list(entry, "env", where) if one is not None]
    if not all(isinstance(one, Mapping) for one in variables):
        raise ClusterError("env of its exec entry is not a list of names and values", where=where)
    return ExecPlugin(
        version,
        command,
        _texts(entry, "args", where),
        {_text(one, "name", where): _text(one, "value", where) for one in variables},
        folder,
        _text(entry, "interactiveMode", where) or "IfAvailable",
        endpoint.as_exec_info() if entry.get("provideClusterInfo") is True else None,
        _text(entry, "installHint", where)[:500],
    )
