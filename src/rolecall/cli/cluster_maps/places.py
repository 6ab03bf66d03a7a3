"""Where aws-auth is: in a cluster, or in a file; read there, changed there, guarded in the same way."""

from __future__ import annotations

import re
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
from rolecall.mapping.editing.guards import MASTERS, Administrators, Guard, Refusal, administrator_arns, refusals

if TYPE_CHECKING:
    from rolecall.cli.cluster_maps.options import ClusterOptions
    from rolecall.clusters.connect import Connection

# EKS user guide, "ListClusters" and the service authorization reference: the ARN of a cluster.
_EKS_ARN = re.compile(r"arn:[a-z-]+:eks:([a-z0-9-]+):[0-9]{12}:cluster/([A-Za-z0-9_-]+)", re.ASCII)
# Administrators that IAM is asked about before the last one known is taken away.
MAX_LOOKUPS = 50
Edit = Callable[[Mapping[str, str]], Mapping[str, str]]


class RefusedError(RolecallError):
    """A guard refused a change; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Done:
    """A change that was made, or would have been.

    :param texts: the texts by name before and after, for a diff.
    :param refused: guards that object to it, if it was only tried.
    :param notes: what could not be looked at.
    """

    before: Mapping[str, str]
    after: Mapping[str, str]
    texts: Mapping[str, tuple[str, str]]
    refused: tuple[Refusal, ...] = ()
    notes: tuple[str, ...] = ()

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

        :raises RefusedError: a guard that ``allow`` does not name; not in a dry run, which reports it instead.
        """

    def line(self, section: str, line: int) -> str:
        """Where a line of a section is, as people write it."""
        return f"{section}:{line}" if line else section


def _diffed(before: Mapping[str, str], after: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    return {key: (before.get(key, ""), after.get(key, "")) for key in {**before, **after}}


def require(found: Collection[Refusal], allow: Collection[Guard]) -> None:
    """:class:`RefusedError` unless every refusal is overridden."""
    left = [refusal for refusal in found if refusal.guard not in allow]
    if left:
        names = " ".join(f"--allow {name}" for name in dict.fromkeys(refusal.guard for refusal in left))
        what = "\n       ".join(dict.fromkeys(refusal.text for refusal in left))
        raise RefusedError(f"refused: {what}", advice=f"nothing was changed; to do it anyway: {names}")


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


def _nobody() -> bool:
    return False


def _not_asked(arn: str) -> bool | None:
    return None


@dataclass(slots=True)
class ClusterPlace(Place):
    """A cluster, with what is known of the people who get in without aws-auth.

    :param by_entry: canonical ARNs in lower case that an access entry maps; empty if that could not be asked.
    :param elsewhere: whether an access entry makes somebody administrator whom IAM still has.
    :param exists: whether IAM has a principal; ``None`` if that cannot be asked.
    :param notes: what could not be looked at.
    """

    connection: Connection
    by_entry: frozenset[str] = frozenset()
    elsewhere: Callable[[], bool] = _nobody
    exists: Callable[[str], bool | None] = _not_asked
    notes: tuple[str, ...] = ()
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
        """What the guards object to in a change."""
        admins = self._administrators()
        caller = self.caller()[0]
        gone = self._gone(before, after, admins)
        return refusals(before, after, caller=caller, administrators=admins, by_entry=self.by_entry, gone=gone)

    def _gone(self, before: Mapping[str, str], after: Mapping[str, str], admins: Administrators) -> frozenset[str]:
        """Administrators of aws-auth whom IAM does not have; asked only if the change takes one of them away."""
        left = administrator_arns(after, admins, self.by_entry)
        if admins.elsewhere or not set(administrator_arns(before, admins, self.by_entry)) - set(left):
            return frozenset()
        found = {arn: self.exists(arn) for arn in left[:MAX_LOOKUPS]}
        if not any(found.values()) and None in found.values():
            unknown = ", ".join(arn for arn, exists in found.items() if exists is None)
            note = f"it is not known whether IAM still has the administrators that remain: {unknown}"
            if note not in self.notes:
                self.notes = (*self.notes, note)
        return frozenset(arn.lower() for arn, exists in found.items() if exists is False)

    def change(self, edit: Edit, what: str, why: str, allow: Collection[Guard], *, dry_run: bool) -> Done:
        from rolecall.clusters.aws_auth_changes import Author, change_aws_auth

        if dry_run:
            before = self.read()
            after = edit(before)
            found = self.refusals(before, after) if dict(before) != dict(after) else ()
            refused = tuple(r for r in found if r.guard not in allow)
            return Done(before, after, _diffed(before, after), refused, self.notes)
        edited = change_aws_auth(
            self.connection,
            edit,
            Author(self.caller()[1], what, why),
            check=lambda before, after: require(self.refusals(before, after), allow),
        )
        before, after = edited.before.data, edited.after.data
        return Done(before, after, _diffed(before, after), notes=self.notes)

    def _administrators(self) -> Administrators:
        """The administrators by RBAC; if bindings may not be read, only system:masters is known."""
        from lightkube.resources.rbac_authorization_v1 import ClusterRoleBinding

        from rolecall.clusters.errors import ClusterError, explained

        try:
            with explained(f"ClusterRoleBindings of {self.name}"):
                bindings = list(self.connection.client.list(ClusterRoleBinding, chunk_size=500))
        except ClusterError as error:
            if error.code != 403:
                raise
            return Administrators(elsewhere=self.elsewhere())
        subjects = [
            subject
            for binding in bindings
            if binding.roleRef.kind == "ClusterRole" and binding.roleRef.name == "cluster-admin"
            for subject in binding.subjects or ()
        ]
        groups = frozenset(subject.name for subject in subjects if subject.kind == "Group") - {MASTERS}
        users = frozenset(subject.name for subject in subjects if subject.kind == "User")
        return Administrators(groups, users, self.elsewhere())


def find_place(file: str, context: str, kubeconfig: str, cluster: str, region: str, profile: str) -> Place:
    """The place that the options give; without any, the cluster of the current context."""
    if sum(map(bool, (file, context or kubeconfig, cluster))) > 1:
        raise RolecallError("--file, --context and --cluster exclude each other", advice="give one of them")
    if (region or profile) and not cluster:
        raise RolecallError("--region and --profile need --cluster", advice="give the cluster: --cluster CLUSTER")
    if file:
        return FilePlace(file)
    if cluster:
        return _eks_place(cluster, region, profile)
    from rolecall.clusters.connect import connect_context

    return ClusterPlace(connect_context(context, [Path(kubeconfig)] if kubeconfig else ()))


def named_cluster(where: ClusterOptions) -> tuple[str, str, str]:
    """Name, region and profile of the EKS cluster that the options give: by name, or by a context of a kubeconfig.

    A context says them in the arguments of its credential plugin (``aws eks get-token``, ``rolecall token``), or has
    the cluster's ARN as its cluster's name, as ``aws eks update-kubeconfig`` writes it.
    """
    if where.cluster and (where.context or where.kubeconfig):
        raise RolecallError("--cluster and --context exclude each other", advice="give one of them")
    if where.cluster:
        return where.cluster, where.region, where.profile
    from rolecall.clusters.kubeconfig import read_context

    found = read_context(where.context, [Path(where.kubeconfig)] if where.kubeconfig else ())
    said = dict(zip(found.arguments, found.arguments[1:], strict=False))
    said |= dict(one.split("=", 1) for one in found.arguments if one.startswith("--") and "=" in one)
    arn = _EKS_ARN.fullmatch(found.cluster)
    names = (said.get(flag, "") for flag in ("--cluster-name", "--cluster-id", "-i"))
    name = next(filter(None, names), "") or (arn[2] if arn else "")
    if not name:
        raise RolecallError(
            "it does not say which EKS cluster it is of",
            where=f"context {found.name}",
            advice="give the cluster: --cluster CLUSTER",
        )
    region = where.region or said.get("--region", "") or (arn[1] if arn else "")
    profile = where.profile or said.get("--profile", "") or found.variables.get("AWS_PROFILE", "")
    return name, region, profile


def _eks_place(name: str, region: str, profile: str) -> Place:
    from rolecall.access.read_world import connect_cluster
    from rolecall.aws.errors import DENIED, AwsError
    from rolecall.aws.principals import principal_exists
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
    notes: tuple[str, ...] = ()
    try:
        with ThreadPoolExecutor(8) as calls:
            dated = list(read_entries(clients, cluster, calls))
    except AwsError as error:
        if error.code not in DENIED:
            raise
        dated, notes = [], (f"access entries of cluster {name} may not be read, so only aws-auth is counted",)

    # An entry whose principal is gone lets nobody in; one that cannot be looked up counts.
    def elsewhere() -> bool:
        return any(
            is_cluster_admin(one.entry)
            and principal_exists(clients, one.entry.principal_arn, with_path=True, entry_made=one.created) is not False
            for one in dated
        )

    by_entry = frozenset(aws_auth_arn(one.entry.principal_arn) for one in dated)

    def exists(arn: str) -> bool | None:
        return principal_exists(clients, arn, with_path=False)

    return ClusterPlace(connect_cluster(clients, cluster), by_entry, elsewhere, exists, notes)
