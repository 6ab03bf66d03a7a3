"""A ConfigMap changed by a pure function, however many others change it at the same time.

Read, edit, replace with the ``resourceVersion`` that was read; if somebody wrote in between, the cluster refuses
(409) and the edit is made again on what is there now. So nobody's change is lost (Kubernetes API conventions,
"Concurrency Control and Consistency").
"""

from __future__ import annotations

import copy
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TypeVar

from lightkube.models.meta_v1 import ObjectMeta
from lightkube.resources.core_v1 import ConfigMap

from rolecall.clusters.connect import Connection
from rolecall.clusters.errors import ClusterError, explained

NAMESPACE = "kube-system"
AWS_AUTH = "aws-auth"
NOT_FOUND, CONFLICT = 404, 409
# Ten others could write between each of our reads and writes, and this would still get through.
ATTEMPTS = 12
_FIRST_PAUSE, _LONGEST_PAUSE = 0.02, 1.0
_NOTHING: Mapping[str, str] = MappingProxyType({})

_Result = TypeVar("_Result")
Edit = Callable[[Mapping[str, str]], Mapping[str, str]]


@dataclass(frozen=True, slots=True)
class ConfigMapState:
    """A ConfigMap as it was read.

    :param data: its texts; empty if there is no ConfigMap.
    :param version: its ``resourceVersion``; empty if there is none.
    :param binary: its ``binaryData``, still in base64.
    """

    data: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    version: str = ""
    binary: Mapping[str, str] = field(default_factory=lambda: _NOTHING)
    found: ConfigMap | None = field(default=None, repr=False)

    @property
    def exists(self) -> bool:
        return self.found is not None


@dataclass(frozen=True, slots=True)
class Edited:
    """A ConfigMap before and after; the same state twice if the edit changed nothing and nothing was written."""

    before: ConfigMapState
    after: ConfigMapState

    @property
    def written(self) -> bool:
        return self.before is not self.after


def read_config_map(connection: Connection, name: str = AWS_AUTH, namespace: str = NAMESPACE) -> ConfigMapState:
    """The ConfigMap as it is now; an empty state if there is none. :class:`ClusterError` if it is refused."""
    try:
        with explained(_where(connection, namespace, name)):
            found = connection.client.get(ConfigMap, name, namespace=namespace)
    except ClusterError as error:
        if error.code == NOT_FOUND:
            return ConfigMapState()
        raise
    return _state(found)


def write_config_map(
    connection: Connection,
    base: ConfigMapState,
    data: Mapping[str, str],
    *,
    binary: Mapping[str, str] | None = None,
    name: str = AWS_AUTH,
    namespace: str = NAMESPACE,
    dry_run: bool = False,
) -> ConfigMapState:
    """Replace the ConfigMap that ``base`` was read from, or create it if there was none.

    Labels, annotations and everything else of it stay. :class:`ClusterError` with code 409 if it is not as ``base``
    any more.

    :param binary: new ``binaryData``; left as it is without.
    :param dry_run: the cluster checks it all and writes nothing.
    """
    where = _where(connection, namespace, name)
    with explained(where):
        if base.found is None:
            made = ConfigMap(
                apiVersion="v1",
                kind="ConfigMap",
                metadata=ObjectMeta(name=name, namespace=namespace),
                data=dict(data),
                binaryData=dict(binary) if binary else None,
            )
            return _state(connection.client.create(made, namespace=namespace, dry_run=dry_run))
        # A copy of what was read, so that a state can be edited twice.
        changed = copy.copy(base.found)
        changed.data = dict(data)
        if binary is not None:
            changed.binaryData = dict(binary) or None
        return _state(connection.client.replace(changed, dry_run=dry_run))


def edit_config_map(
    connection: Connection,
    edit: Edit,
    *,
    name: str = AWS_AUTH,
    namespace: str = NAMESPACE,
    before_write: Callable[[ConfigMapState, Mapping[str, str]], None] | None = None,
    attempts: int = ATTEMPTS,
) -> Edited:
    """Change a ConfigMap's texts by ``edit``, which is called again if somebody else wrote in between.

    :param edit: a pure function; what it raises ends the edit and nothing is written.
    :param before_write: gets what was read and what is about to be written at each attempt; may refuse by raising.
    :raises ClusterError: refused by the cluster, or others were faster ``attempts`` times.
    """

    def attempt() -> Edited:
        before = read_config_map(connection, name, namespace)
        data = dict(edit(before.data))
        if data == dict(before.data):
            return Edited(before, before)
        if before_write is not None:
            before_write(before, data)
        return Edited(before, write_config_map(connection, before, data, name=name, namespace=namespace))

    return retry_conflicts(attempt, _where(connection, namespace, name), attempts)


def retry_conflicts(attempt: Callable[[], _Result], where: str, attempts: int = ATTEMPTS) -> _Result:
    """``attempt`` made again while the cluster says that somebody else wrote in between, with growing random pauses."""
    for number in range(attempts):
        try:
            return attempt()
        except ClusterError as error:
            if error.code != CONFLICT:
                raise
        time.sleep(random.uniform(0.5, 1) * min(_FIRST_PAUSE * 2**number, _LONGEST_PAUSE))  # noqa: S311
    raise ClusterError(
        f"others changed it {attempts} times in a row while it was being edited",
        where=where,
        advice="see who does: kubectl -n kube-system get configmap aws-auth --show-managed-fields -o yaml; try again",
        code=CONFLICT,
    )


def _state(found: ConfigMap) -> ConfigMapState:
    version = found.metadata.resourceVersion if found.metadata else None
    return ConfigMapState(dict(found.data or {}), version or "", dict(found.binaryData or {}), found)


def _where(connection: Connection, namespace: str, name: str) -> str:
    return f"ConfigMap {namespace}/{name} of {connection.name}"
