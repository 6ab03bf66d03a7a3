"""Write contexts into a kubeconfig that belongs to a person: their own entries, comments and order stay.

Clusters and users that are written here have names that begin with ``rolecall:``, and contexts carry an extension of
that name (kubeconfig v1, ``extensions``); nothing else is ever changed. Source of the format: Kubernetes documentation,
"kubeconfig (v1)"; of what the AWS CLI writes: AWS CLI command reference, ``eks update-kubeconfig``.
"""

from __future__ import annotations

import io
import os
import time
from collections.abc import Iterable, Iterator, Mapping, MutableMapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolecall.errors import RolecallError
from rolecall.local_files.private import write_private
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, check_bounds, load_plain

OWN = "rolecall"
MAX_FILE = 4 * 1024 * 1024
LOCK_SECONDS = 5.0
_SECTIONS = ("clusters", "users", "contexts")
_NONE: Mapping[str, str] = {}


class KubeconfigError(RolecallError):
    """A kubeconfig cannot be read or written."""


@dataclass(frozen=True, slots=True)
class Exec:
    """The credential plugin of a user. ``environment``: what is set for it, such as ``AWS_PROFILE``."""

    command: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: _NONE)
    hint: str = ""


@dataclass(frozen=True, slots=True)
class Context:
    """A context to write.

    :param names: names to choose from, the shortest first; the first that nobody else uses is taken.
    :param key: what it stands for, such as ``CLUSTER-ARN ROLE-ARN``: a context with the same key is written again.
    :param ca: base64 of the cluster's certificate authority, as EKS gives it.
    """

    names: tuple[str, ...]
    key: str
    cluster: str
    server: str
    ca: str
    exec: Exec
    namespace: str = ""


@dataclass(frozen=True, slots=True)
class Written:
    """What was done: names of contexts."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    current: str = ""


def kubeconfig_path(environment: Mapping[str, str]) -> Path:
    """The file that kubectl writes to: the first of ``$KUBECONFIG``, else ``~/.kube/config``."""
    for part in environment.get("KUBECONFIG", "").split(os.pathsep):
        if part:
            return Path(part).expanduser()
    return Path(environment.get("HOME") or Path.home()) / ".kube" / "config"


def write_contexts(path: Path, contexts: Sequence[Context], *, prune: bool = False, use: str = "") -> Written:
    """Write contexts into a kubeconfig, at once and for its owner alone.

    :param prune: remove contexts written here before that are not among ``contexts``.
    :param use: the key of the context to make current; without it an existing current context stays.
    """
    with _held(path):
        text, new, written = preview_contexts(path, contexts, prune=prune, use=use)
        if new != text:
            write_private(_target(path), new)
    return written


def preview_contexts(
    path: Path, contexts: Sequence[Context], *, prune: bool = False, use: str = ""
) -> tuple[str, str, Written]:
    """The file's text, the text that :func:`write_contexts` would give it, and what that does; writes nothing."""
    text = _read(path)
    return text, *merged(text, contexts, prune=prune, use=use, where=str(path))


def context_keys(path: Path) -> dict[str, str]:
    """The contexts of a kubeconfig by name, each with its key; an empty key where it was not written here."""
    _, document = _parse(_read(path), str(path))
    own = _own_contexts(document)
    return {name: own.get(name, "") for one in _items(document, "contexts") if (name := str(one.get("name")))}


def merged(
    text: str, contexts: Sequence[Context], *, prune: bool = False, use: str = "", where: str = "kubeconfig"
) -> tuple[str, Written]:
    """:func:`write_contexts` on a text; unchanged, to the byte, where nothing is to be done."""
    yaml, document = _parse(text, where)
    names = _names(document, contexts)
    before = _plain(document)
    counts: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": [], "removed": []}
    for context in contexts:
        counts[_put(document, names[context.key], context)].append(names[context.key])
    if prune:
        counts["removed"] = _prune(document, {*names.values()})
    if use in names:
        document["current-context"] = names[use]
    elif not before.get("current-context") and len(contexts) == 1:
        document["current-context"] = names[contexts[0].key]
    current = str(document.get("current-context") or "")
    named = {how: tuple(sorted(found)) for how, found in counts.items()}
    written = Written(named["added"], named["changed"], named["unchanged"], named["removed"], current)
    if _plain(document) == before:
        return text, written
    out = io.StringIO()
    yaml.dump(document, out)
    new = out.getvalue()
    if _foreign(new) != _foreign(text):
        # Line breaks that only some readers of YAML know do not survive being written again.
        raise KubeconfigError(
            "cannot be written without changing what is not ours",
            where=where,
            advice="name another file with --kubeconfig, and both in KUBECONFIG",
        )
    return new, written


def _foreign(text: str) -> dict[str, Any]:
    """What a text holds that was not written here, as another reader of YAML sees it."""
    try:
        found = (load_plain(text) if text.strip() else None) or {}
    except UnreadableYamlError:
        raise KubeconfigError("is YAML to one reader and none to another", advice="mend it first") from None
    own = _own_contexts(found)
    kept = {key: value for key, value in found.items() if value and key not in (*_SECTIONS, "current-context")}
    for section in _SECTIONS:
        named = own if section == "contexts" else ()
        items = [one for one in found.get(section) or () if not str(one.get("name")).startswith(f"{OWN}:")]
        kept[section] = [one for one in items if one.get("name") not in named]
    return {key: value for key, value in kept.items() if key not in ("apiVersion", "kind")}


def _names(document: Mapping[str, Any], contexts: Iterable[Context]) -> dict[str, str]:
    """A name for each context: the one it has, else the first of its names that is free."""
    mine = {key: name for name, key in _own_contexts(document).items()}
    taken = {str(one.get("name")) for one in _items(document, "contexts")}
    found: dict[str, str] = {}
    for context in contexts:
        name = mine.get(context.key) or next((one for one in context.names if one not in taken), None)
        if name is None:
            raise KubeconfigError(
                f"every name for {context.key} is taken by other contexts: {', '.join(context.names)}",
                advice="rename one of them: kubectl config rename-context",
            )
        taken.add(name)
        found[context.key] = name
    return found


def _own_contexts(document: Mapping[str, Any]) -> dict[str, str]:
    """Keys of the contexts that were written here, by name."""
    found = {}
    for one in _items(document, "contexts"):
        for extension in (one.get("context") or {}).get("extensions") or ():
            key = extension.get("extension") if extension.get("name") == OWN else None
            if isinstance(key, Mapping) and isinstance(key.get("key"), str):
                found[str(one.get("name"))] = key["key"]
    return found


def _put(document: MutableMapping[str, Any], name: str, context: Context) -> str:
    cluster_name, user_name = f"{OWN}:{context.cluster}", f"{OWN}:{context.key}"
    cluster = {"server": context.server, "certificate-authority-data": context.ca}
    plugin: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": context.exec.command,
        "args": list(context.exec.arguments),
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
    }
    if context.exec.environment:
        plugin["env"] = [{"name": key, "value": value} for key, value in context.exec.environment.items()]
    if context.exec.hint:
        plugin["installHint"] = context.exec.hint
    entry: dict[str, Any] = {"cluster": cluster_name, "user": user_name}
    if context.namespace:
        entry["namespace"] = context.namespace
    old = next((one.get("context") for one in _items(document, "contexts") if one.get("name") == name), None)
    if not context.namespace and isinstance(old, Mapping) and old.get("namespace"):
        # `kubectl config set-context --namespace` is the person's own choice.
        entry["namespace"] = old["namespace"]
    entry["extensions"] = [{"name": OWN, "extension": {"key": context.key}}]
    done = [
        _set(document, "clusters", cluster_name, "cluster", cluster),
        _set(document, "users", user_name, "user", {"exec": plugin}),
        _set(document, "contexts", name, "context", entry),
    ]
    if done[2] == "added":
        return "added"
    return "unchanged" if set(done) == {"unchanged"} else "changed"


def _set(document: MutableMapping[str, Any], section: str, name: str, member: str, value: dict[str, Any]) -> str:
    items = document.get(section)
    if not items:
        items = document[section] = []
    for one in items:
        if one.get("name") == name:
            if _plain(one.get(member)) == value:
                return "unchanged"
            one[member] = value
            return "changed"
    items.append({member: value, "name": name})
    return "added"


def _prune(document: MutableMapping[str, Any], keep: set[str]) -> list[str]:
    gone = [name for name in _own_contexts(document) if name not in keep]
    for name in gone:
        _drop(document, "contexts", name)
        if document.get("current-context") == name:
            document["current-context"] = ""
    used = [one.get("context") or {} for one in _items(document, "contexts")]
    for section, member in (("clusters", "cluster"), ("users", "user")):
        named = {context.get(member) for context in used}
        for one in [*_items(document, section)]:
            if str(one.get("name")).startswith(f"{OWN}:") and one.get("name") not in named:
                _drop(document, section, str(one["name"]))
    return gone


def _drop(document: MutableMapping[str, Any], section: str, name: str) -> None:
    items = document[section]
    for index in reversed(range(len(items))):
        if items[index].get("name") == name:
            del items[index]


def _items(document: Mapping[str, Any], section: str) -> list[Mapping[str, Any]]:
    return [one for one in document.get(section) or () if isinstance(one, Mapping)]


def _parse(text: str, where: str) -> tuple[Any, MutableMapping[str, Any]]:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError
    from yaml import YAMLError as PlainYamlError

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 1_000_000
    try:
        if text.strip():
            check_bounds(text)
        document = yaml.load(text) if text.strip() else None
    except UnreadableYamlError as error:
        raise KubeconfigError(f"{error.what}; it was not changed", where=f"{where}:{error.line}") from None
    except (YAMLError, PlainYamlError) as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        raise KubeconfigError(
            "is not YAML", where=f"{where}{line}", advice="mend it first; it was not changed"
        ) from None
    if document is None:
        document = yaml.load("apiVersion: v1\nkind: Config\npreferences: {}\nclusters: []\nusers: []\ncontexts: []\n")
        for section in _SECTIONS:
            document[section] = []
    if not isinstance(document, MutableMapping) or document.get("kind", "Config") != "Config":
        raise KubeconfigError("is no kubeconfig", where=where, advice="name another file with --kubeconfig")
    for section in _SECTIONS:
        if not isinstance(document.get(section) or [], list):
            raise KubeconfigError(f"{section} is not a list", where=where, advice="mend it first; it was not changed")
    return yaml, document


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return ""
    except OSError as error:
        raise KubeconfigError(f"cannot be read: {error.strerror}", where=str(path)) from None
    if len(content) > MAX_FILE:
        raise KubeconfigError("is larger than a kubeconfig can be", where=str(path))
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise KubeconfigError("is not UTF-8 text", where=str(path)) from None


def _target(path: Path) -> Path:
    """The file itself: a link to it stays a link."""
    return path.resolve()


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a kubeconfig as kubectl does: by a file ``.lock`` beside it (client-go, ``clientcmd/config.go``)."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = path.with_name(f"{path.name}.lock")
    ends = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            break
        except FileExistsError:
            if time.monotonic() > ends:
                raise KubeconfigError(
                    "somebody else is writing to it",
                    where=str(path),
                    advice=f"if no kubectl is running, a killed one left its lock: remove {lock}",
                ) from None
            time.sleep(0.05)
        except OSError as error:
            raise KubeconfigError(f"cannot be written: {error.strerror}", where=str(path)) from None
    try:
        yield
    finally:
        lock.unlink(missing_ok=True)
