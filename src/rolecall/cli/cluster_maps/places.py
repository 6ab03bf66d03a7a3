"""Where aws-auth is: in a cluster, or in a file; read there, changed there, guarded in the same way."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from rolecall.arn import canonicalize
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.local_files.edited import MAX_FILE, read_text, replace_text
from rolecall.mapping.editing.access_entry_guards import aws_auth_arn, is_cluster_admin
from rolecall.mapping.editing.config_map_text import read_manifest, replace_data
from rolecall.mapping.editing.guards import MASTERS, Administrators, Guard, Refusal, refusals

if TYPE_CHECKING:
    from rolecall.clusters.connect import Connection

Edit = Callable[[Mapping[str, str]], Mapping[str, str]]


class RefusedError(RolecallError):
    """A guard refused a change; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Done:
    """A change that was made, or would have been.

    :param texts: the texts by name before and after, for a diff.
    :param refused: guards that stand against it, where it was only tried.
    """

    before: Mapping[str, str]
    after: Mapping[str, str]
    texts: Mapping[str, tuple[str, str]]
    refused: tuple[Refusal, ...] = ()

    @property
    def changed(self) -> bool:
        return dict(self.before) != dict(self.after) or any(old != new for old, new in self.texts.values())


class Place(ABC):
    """Where aws-auth is."""

    name: str

    @abstractmethod
    def read(self) -> Mapping[str, str]:
        """Its texts as they are now."""

    @abstractmethod
    def change(self, edit: Edit, what: str, why: str, allow: Collection[Guard], *, dry_run: bool) -> Done:
        """Change it by a pure function.

        :raises RefusedError: a guard that ``allow`` does not name; not in a dry run, which tells of it instead.
        """

    def line(self, section: str, line: int) -> str:
        """Where a line of a section is, as people write it."""
        return f"{section}:{line}" if line else section


def _diffed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {key: (before.get(key, ""), after.get(key, "")) for key in {**before, **after}}


def require(found: Collection[Refusal], allow: Collection[Guard]) -> None:
    """:class:`RefusedError` unless every refusal is overridden by its name."""
    left = [refusal for refusal in found if refusal.guard not in allow]
    if left:
        names = " ".join(f"--allow {name}" for name in dict.fromkeys(refusal.guard for refusal in left))
        what = "\n       ".join(dict.fromkeys(refusal.text for refusal in left))
        raise RefusedError(f"refused: {what}", advice=f"nothing was changed; to do it all the same: {names}")


@dataclass(slots=True)
class FilePlace(Place):
    """A manifest; ``-`` is standard input, and the changed text goes to standard output."""

    path: str
    name: str = ""
    _text: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.name = "standard input" if self.path == "-" else self.path

    def text(self) -> str:
        """The file's text, read once."""
        if self._text is None:
            if self.path == "-":
                found = sys.stdin.buffer.read(MAX_FILE + 1)
                if len(found) > MAX_FILE:
                    raise RolecallError(f"larger than {MAX_FILE >> 20} MiB", where=self.name)
                try:
                    self._text = found.decode()
                except UnicodeDecodeError:
                    raise RolecallError("not a text in UTF-8", where=self.name) from None
            else:
                self._text = read_text(Path(self.path))
        return self._text

    def read(self) -> Mapping[str, str]:
        return read_manifest(self.text(), self.name).data

    def change(self, edit: Edit, what: str, why: str, allow: Collection[Guard], *, dry_run: bool) -> Done:
        manifest = read_manifest(self.text(), self.name)
        after = edit(manifest.data)
        new = replace_data(manifest, after) if dict(after) != dict(manifest.data) else manifest.text
        # What the file says then: line breaks at the end of a text may be none that it can hold.
        after = read_manifest(new, self.name).data if new != manifest.text else manifest.data
        found = refusals(manifest.data, after)
        texts = {self.name: (manifest.text, new)}
        if not dry_run:
            require(found, allow)
            if self.path == "-":
                sys.stdout.write(new)
            elif new != manifest.text:
                replace_text(Path(self.path), manifest.text, new)
        return Done(manifest.data, after, texts, tuple(r for r in found if r.guard not in allow))

    def line(self, section: str, line: int) -> str:
        return f"{self.name}:{read_manifest(self.text(), self.name).line(section, max(line, 1))}"


@dataclass(slots=True)
class ClusterPlace(Place):
    """A cluster, with what is known of who gets in without aws-auth.

    :param by_entry: canonical ARNs in lower case that an access entry maps; empty where that could not be asked.
    :param elsewhere: whether an access entry makes somebody administrator.
    """

    connection: Connection
    by_entry: frozenset[str] = frozenset()
    elsewhere: bool = False
    name: str = ""
    _caller: tuple[str, str] | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        self.name = self.connection.name

    def read(self) -> Mapping[str, str]:
        from rolecall.clusters.config_maps import read_config_map

        return read_config_map(self.connection).data

    def caller(self) -> tuple[str, str]:
        """The canonical ARN of the caller, empty where no AWS identity is known, and the name for the history."""
        from rolecall.clusters.connect import who_am_i

        if self._caller is None:
            user = who_am_i(self.connection)
            extra = user.extra if user else {}
            arn = next(iter(extra.get("canonicalArn") or extra.get("arn") or ()), "")
            try:
                arn = canonicalize(arn) if arn else ""
            except InvalidArnError:
                arn = ""
            who = next(iter(extra.get("arn") or ()), "") or (user.username if user else "unknown")
            self._caller = arn, who
        return self._caller

    def refusals(self, before: Mapping[str, str], after: Mapping[str, str]) -> tuple[Refusal, ...]:
        """What stands against a change."""
        admins = self._administrators()
        caller = self.caller()[0]
        return refusals(before, after, caller=caller, administrators=admins, by_entry=self.by_entry)

    def change(self, edit: Edit, what: str, why: str, allow: Collection[Guard], *, dry_run: bool) -> Done:
        from rolecall.clusters.aws_auth_changes import Author, change_aws_auth

        if dry_run:
            before = self.read()
            after = edit(before)
            found = self.refusals(before, after) if dict(before) != dict(after) else ()
            return Done(before, after, _diffed(before, after), tuple(r for r in found if r.guard not in allow))
        edited = change_aws_auth(
            self.connection,
            edit,
            Author(self.caller()[1], what, why),
            check=lambda before, after: require(self.refusals(before, after), allow),
        )
        before, after = edited.before.data, edited.after.data
        return Done(before, after, _diffed(before, after))

    def _administrators(self) -> Administrators:
        """Who is administrator by RBAC; where bindings may not be read, system:masters alone is known."""
        from lightkube.resources.rbac_authorization_v1 import ClusterRoleBinding

        from rolecall.clusters.errors import ClusterError, explained

        try:
            with explained(f"ClusterRoleBindings of {self.name}"):
                bindings = list(self.connection.client.list(ClusterRoleBinding, chunk_size=500))
        except ClusterError as error:
            if error.code != 403:
                raise
            return Administrators(elsewhere=self.elsewhere)
        subjects = [
            subject
            for binding in bindings
            if binding.roleRef.kind == "ClusterRole" and binding.roleRef.name == "cluster-admin"
            for subject in binding.subjects or ()
        ]
        groups = frozenset(subject.name for subject in subjects if subject.kind == "Group") - {MASTERS}
        users = frozenset(subject.name for subject in subjects if subject.kind == "User")
        return Administrators(groups, users, self.elsewhere)


def find_place(file: str, context: str, kubeconfig: str, cluster: str, region: str, profile: str) -> Place:
    """The place that the options name; without any, the cluster of the current context."""
    if sum(map(bool, (file, context or kubeconfig, cluster))) > 1:
        raise RolecallError("a file, a context and a cluster are three places", advice="name one of them")
    if (region or profile) and not cluster:
        raise RolecallError("--region and --profile belong to --cluster", advice="name the cluster: --cluster NAME")
    if file:
        return FilePlace(file)
    if cluster:
        return _eks_place(cluster, region, profile)
    from rolecall.clusters.connect import connect_context

    return ClusterPlace(connect_context(context, [Path(kubeconfig)] if kubeconfig else ()))


def _eks_place(name: str, region: str, profile: str) -> Place:
    from rolecall.access.read_world import connect_cluster
    from rolecall.aws.errors import DENIED, AwsError
    from rolecall.aws.read_clusters import describe_cluster, read_entries
    from rolecall.aws.session import AwsClients, identify

    access = identify(profile, region)
    clients = AwsClients([access])
    cluster = describe_cluster(clients, access.account, access.region, name)
    if not cluster.mode.reads_config_map:
        raise RolecallError(
            f"its authentication mode {cluster.mode} does not read aws-auth",
            where=f"cluster {name}",
            advice=f"see: rolecall access-entry list --cluster {name}",
        )
    try:
        with ThreadPoolExecutor(8) as calls:
            entries = [dated.entry for dated in read_entries(clients, cluster, calls)]
    except AwsError as error:
        if error.code not in DENIED:
            raise
        entries = []
    elsewhere = any(is_cluster_admin(entry) for entry in entries)
    by_entry = frozenset(aws_auth_arn(entry.principal_arn) for entry in entries)
    return ClusterPlace(connect_cluster(clients, cluster), by_entry, elsewhere)
