"""Change aws-auth in a cluster, with a record in the cluster of what was there before.

The order is: read, edit, check, record, write. The record comes first, so that whatever happens to this process, no
change is without the texts that it replaced; a record of a change that was not made is recognised afterwards
(:mod:`rolecall.mapping.editing.history`). Both writes carry the ``resourceVersion`` that was read.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime

from rolecall.clusters.config_maps import (
    NAMESPACE,
    ConfigMapState,
    Edit,
    Edited,
    edit_config_map,
    read_config_map,
    retry_conflicts,
    write_config_map,
)
from rolecall.clusters.connect import Connection
from rolecall.clusters.transport import utc_now
from rolecall.mapping.editing.history import History, from_config_map, record, to_config_map
from rolecall.moments import write_moment

HISTORY = "rolecall-aws-auth-history"


@dataclass(frozen=True, slots=True)
class Author:
    """Who changes aws-auth, and why; kept with the change.

    :param who: an ARN, or the name that the cluster knows the caller by.
    :param what: the change in a few words.
    :param why: what the caller says about it; may be empty.
    """

    who: str
    what: str
    why: str = ""


def change_aws_auth(
    connection: Connection,
    edit: Edit,
    author: Author,
    *,
    check: Callable[[Mapping[str, str], Mapping[str, str]], None] | None = None,
    clock: Callable[[], datetime] = utc_now,
) -> Edited:
    """Change aws-auth by a pure function, made again if somebody else wrote in between; it is created if it is missing.

    :param check: gets the texts before and after each attempt; it refuses by raising, and nothing is written.
    :raises ClusterError: refused by the cluster; with code 409 if others were faster every time.
    """
    run = uuid.uuid4().hex

    def before_write(before: ConfigMapState, data: Mapping[str, str]) -> None:
        if check is not None:
            check(before.data, data)
        _record(connection, before, data, author, run, clock)

    return edit_config_map(connection, edit, before_write=before_write)


def read_history(connection: Connection) -> History:
    """The recorded changes; none if rolecall never changed anything."""
    found = read_config_map(connection, HISTORY)
    return from_config_map(found.data, found.binary)


def _record(
    connection: Connection,
    before: ConfigMapState,
    data: Mapping[str, str],
    author: Author,
    run: str,
    clock: Callable[[], datetime],
) -> None:
    def attempt() -> None:
        kept = read_config_map(connection, HISTORY)
        history = record(
            from_config_map(kept.data, kept.binary),
            before.data,
            data,
            run=run,
            time=write_moment(clock()),
            who=author.who,
            what=author.what,
            why=author.why,
            base_version=before.version,
        )
        notes, texts = to_config_map(history)
        write_config_map(connection, kept, notes, binary=texts, name=HISTORY)

    retry_conflicts(attempt, f"ConfigMap {NAMESPACE}/{HISTORY} of {connection.name}")
