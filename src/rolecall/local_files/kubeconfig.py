"""Write contexts into the kubeconfigs that belong to a person, into the files that kubectl would write to.

Of several files of ``KUBECONFIG`` kubectl changes an entry in the first file that has it, and puts what is new into the
first file that exists, or, if none does, into the last of the list. The first entry of a name and the first current
context count. Sources: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files"; client-go
``clientcmd/config.go`` (``ModifyConfig``, ``GetDefaultFilename``). Measured with kubectl, see the tests.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rolecall.errors import RolecallError
from rolecall.local_files.kubeconfig_text import OWN, Kubeconfig, KubeconfigError
from rolecall.local_files.writing import require_file, write_file

MAX_FILE = 4 * 1024 * 1024
LOCK_SECONDS = 5.0
_NONE: Mapping[str, str] = {}


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
class Rewritten:
    """A file's text before and after."""

    path: Path
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Written:
    """What was done.

    :param added: names of contexts, as in the next three.
    :param current: the current context afterwards; empty if there is none.
    :param names: the context of each key that was written.
    :param files: those whose text changes.
    """

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    current: str = ""
    names: Mapping[str, str] = field(default_factory=lambda: _NONE)
    files: tuple[Rewritten, ...] = ()


def kubeconfig_paths(environment: Mapping[str, str]) -> tuple[Path, ...]:
    """The files that kubectl reads: those of ``$KUBECONFIG``, else ``~/.kube/config``; none without a home folder."""
    if named := tuple(dict.fromkeys(part for part in environment.get("KUBECONFIG", "").split(os.pathsep) if part)):
        return tuple(Path(part) for part in named)
    home = environment.get("HOME") or os.path.expanduser("~")
    return () if home.startswith("~") else (Path(home) / ".kube" / "config",)


def default_path(paths: Sequence[Path]) -> Path:
    """The file that kubectl puts new entries into.

    :raises KubeconfigError: there is no file to write to.
    """
    if not paths:
        raise KubeconfigError(
            "there is no home folder for a kubeconfig: HOME is not set",
            advice="set HOME or KUBECONFIG, or name a file: --kubeconfig FILE",
        )
    return next((path for path in paths if os.path.exists(path)), paths[-1])


def context_keys(paths: Sequence[Path]) -> dict[str, str]:
    """The contexts of some kubeconfigs by name, each with its key; an empty key if it was not written here.

    A file that cannot be read has none: nothing is written to it.
    """
    found: dict[str, str] = {}
    for path in paths:
        try:
            file = Kubeconfig(_read(path), path)
        except RolecallError:
            continue
        own = file.own_keys()
        found |= {name: own.get(name, "") for name in file.names("contexts")}
    return found


def write_contexts(
    paths: Sequence[Path], contexts: Sequence[Context], *, prune: bool = False, use: str = ""
) -> Written:
    """Write contexts; each file keeps its owner and mode, and a new one is for its owner alone.

    :param paths: the files that count, in kubectl's order.
    :param prune: remove contexts written here before that are not among ``contexts``.
    :param use: the key of the context to make current. Without it the current context stays; if no file sets one and
        one context is written, that becomes current.
    :raises RolecallError: a file cannot be read or written; then all are as they were.
    """
    with ExitStack() as stack:
        for path in sorted({default_path(paths), *(path for path in paths if path.exists())}):
            require_file(path)
            stack.enter_context(_held(path))
        written = preview_contexts(paths, contexts, prune=prune, use=use)
        _write_all(written.files)
    return written


def _write_all(files: Sequence[Rewritten]) -> None:
    done: list[Rewritten] = []
    try:
        for one in files:
            write_file(one.path, one.after, old=one.before if one.path.exists() else None)
            done.append(one)
    except RolecallError:
        for one in done:
            write_file(one.path, one.before, old=one.after)
        raise


def preview_contexts(
    paths: Sequence[Path], contexts: Sequence[Context], *, prune: bool = False, use: str = ""
) -> Written:
    """What :func:`write_contexts` would do; writes nothing."""
    default = default_path(paths)
    files = {path: Kubeconfig(_read(path), path) for path in paths if path == default or path.exists()}
    world = _Files(tuple(files.values()), files[default])
    names, first = world.names_for(contexts), world.current
    counts: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": [], "removed": []}
    for context in contexts:
        counts[world.put(names[context.key], context)].append(names[context.key])
    if prune:
        counts["removed"] = world.prune({*names.values()})
    if use in names:
        world.default.current = names[use]
    elif not first and len(contexts) == 1:
        world.default.current = names[contexts[0].key]
    changed = tuple(
        Rewritten(path, one.text, new) for path, one in files.items() if (new := one.new_text()) != one.text
    )
    found = {how: tuple(sorted(those)) for how, those in counts.items()}
    return Written(
        found["added"], found["changed"], found["unchanged"], found["removed"], world.current, names, changed
    )


class _Files:
    """Several kubeconfigs as kubectl sees them: the first entry of a name counts."""

    def __init__(self, all_: Sequence[Kubeconfig], default: Kubeconfig) -> None:
        self.all, self.default = all_, default

    @property
    def current(self) -> str:
        return next((one.current for one in self.all if one.current), "")

    def _home(self, section: str, name: str) -> Kubeconfig:
        return next((one for one in self.all if one.get(section, name) is not None), self.default)

    def own_keys(self) -> dict[str, str]:
        """The contexts that were written here, by name, each with its key, if no file before it has another."""
        found: dict[str, str] = {}
        for file in self.all:
            own = file.own_keys()
            for name in file.names("contexts"):
                found.setdefault(name, own.get(name, ""))
        return {name: key for name, key in found.items() if key}

    def names_for(self, contexts: Sequence[Context]) -> dict[str, str]:
        """A name for each context, by key: the one it has, else the first of its names that is free in all files."""
        mine = {key: name for name, key in reversed(self.own_keys().items())}
        taken = {name for file in self.all for name in file.names("contexts")}
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

    def put(self, name: str, context: Context) -> str:
        cluster, user = f"{OWN}:{context.cluster}", f"{OWN}:{context.key}"
        entry: dict[str, Any] = {"cluster": cluster, "user": user}
        # `kubectl config set-context --namespace` is the person's own choice.
        old = self._home("contexts", name).get("contexts", name) or {}
        if namespace := context.namespace or old.get("namespace"):
            entry["namespace"] = namespace
        theirs = [one for one in old.get("extensions") or () if one and one.get("name") != OWN]
        entry["extensions"] = [*theirs, {"name": OWN, "extension": {"key": context.key}}]
        done = [
            self._home(section, key).put(section, key, value)
            for section, key, value in (
                ("clusters", cluster, {"server": context.server, "certificate-authority-data": context.ca}),
                ("users", user, {"exec": _plugin(context.exec)}),
                ("contexts", name, entry),
            )
        ]
        return "added" if done[2] == "added" else "unchanged" if {*done} == {"unchanged"} else "changed"

    def prune(self, keep: set[str]) -> list[str]:
        gone = [name for name in self.own_keys() if name not in keep]
        for file in self.all:
            file.drop("contexts", [name for name in file.own_keys() if name in gone])
            if file.current in gone:
                file.current = ""
        used = [file.get("contexts", name) for file in self.all for name in file.names("contexts")]
        for section, member in (("clusters", "cluster"), ("users", "user")):
            named = {context.get(member) for context in used}
            for file in self.all:
                own = [name for name in file.names(section) if name.startswith(f"{OWN}:") and name not in named]
                file.drop(section, own)
        return gone


def _plugin(plugin: Exec) -> dict[str, Any]:
    found: dict[str, Any] = {
        "apiVersion": "client.authentication.k8s.io/v1beta1",
        "command": plugin.command,
        "args": list(plugin.arguments),
        "interactiveMode": "IfAvailable",
        "provideClusterInfo": False,
    }
    if plugin.environment:
        found["env"] = [{"name": key, "value": value} for key, value in plugin.environment.items()]
    return found | ({"installHint": plugin.hint} if plugin.hint else {})


def _read(path: Path) -> str:
    require_file(path)
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


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """Hold a kubeconfig as kubectl does: by a file ``.lock`` beside it (client-go, ``clientcmd/config.go``).

    In a folder that may not be written, as that of a bind-mounted file, there is no lock: what another program writes
    meanwhile is found when the text is compared before it is replaced.
    """
    lock = path.with_name(f"{path.name}.lock")
    ends = time.monotonic() + LOCK_SECONDS
    made = False
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise KubeconfigError(f"its folder cannot be made: {error.strerror}", where=str(path)) from None
    while not made:
        try:
            os.close(os.open(lock, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
            made = True
        except FileExistsError:
            if time.monotonic() > ends:
                raise KubeconfigError(
                    "another program is writing to it",
                    where=str(path),
                    advice=f"if no kubectl is running, one that was killed left its lock: remove {lock}",
                ) from None
            time.sleep(0.05)
        except OSError as error:
            if path.exists():
                break
            raise KubeconfigError(f"cannot be written: {error.strerror}", where=str(path)) from None
    try:
        yield
    finally:
        if made:
            lock.unlink(missing_ok=True)
