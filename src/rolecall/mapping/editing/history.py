"""The history of aws-auth's changes: what was there before each, bounded, and which of them were made.

A change is recorded before it is made, so a crash in between leaves a record of a change that was not made, never a
change without a record. Which of the two it is can be told afterwards: the next record, or the ConfigMap as it is now,
says what the texts were then.
"""

from __future__ import annotations

import base64
import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from rolecall.errors import RolecallError

MAX_CHANGES = 30
# A ConfigMap holds 1 MiB with all that belongs to it (Kubernetes documentation, "ConfigMaps").
MAX_BYTES = 700_000
MAX_TEXT = 4 << 20
_MAX_NOTE = 500


class HistoryError(RolecallError):
    """The history cannot be read, or not be written."""


class Outcome(StrEnum):
    """Whether a recorded change came about."""

    MADE = "made"
    NOT_MADE = "not made"
    UNCLEAR = "unclear"  # somebody else wrote too, so it cannot be told


@dataclass(frozen=True, slots=True)
class Change:
    """A recorded change.

    :param number: grows by one; a gap is a change that was forgotten or tried again.
    :param run: of one call; a call that is tried again replaces its own record.
    :param time: UTC, ISO 8601.
    :param who: the caller's ARN, or the name that the cluster knows the caller by.
    :param what: the change in a few words; ``why`` is what the caller said.
    :param base_version: the ConfigMap's ``resourceVersion`` that it was made from; empty: there was none.
    :param before: :func:`digest` of the texts before; ``after`` of those meant.
    """

    number: int
    run: str
    time: str
    who: str
    what: str
    why: str
    base_version: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class History:
    """Changes, oldest first, and the texts before each, by number."""

    changes: tuple[Change, ...] = ()
    texts: Mapping[int, bytes] = field(default_factory=dict)

    def data_before(self, number: int) -> dict[str, str]:
        """The ConfigMap's ``data`` as it was before a change; :class:`HistoryError` where it is not known."""
        packed = self.texts.get(number)
        if packed is None:
            known = ", ".join(str(change.number) for change in self.changes) or "none"
            raise HistoryError(f"there is no change {number}", advice=f"there are: {known}")
        return _unpacked(packed, number)


def digest(data: Mapping[str, str]) -> str:
    """A fingerprint of all texts of a ConfigMap: SHA-256 in hexadecimal."""
    return hashlib.sha256(json.dumps(dict(data), sort_keys=True).encode()).hexdigest()


def record(
    history: History,
    before: Mapping[str, str],
    after: Mapping[str, str],
    *,
    run: str,
    time: str,
    who: str,
    what: str,
    why: str,
    base_version: str,
) -> History:
    """The history with one more change, and without the oldest ones that no longer fit."""
    number = max((change.number for change in history.changes), default=0) + 1
    change = Change(
        number,
        run,
        time,
        who[:_MAX_NOTE],
        what[:_MAX_NOTE],
        why[:_MAX_NOTE],
        base_version,
        digest(before),
        digest(after),
    )
    changes = [*(known for known in history.changes if known.run != run), change]
    texts = {**history.texts, number: zlib.compress(json.dumps(dict(before)).encode(), 9)}

    def size() -> int:
        return sum(len(json.dumps(asdict(one))) + 2 * len(texts.get(one.number, b"")) for one in changes)

    while len(changes) > MAX_CHANGES or (len(changes) > 1 and size() > MAX_BYTES):
        del changes[0]
    if size() > MAX_BYTES:
        raise HistoryError(
            "the texts are too large to keep a copy of them in the cluster", advice="map roles instead of single people"
        )
    return History(tuple(changes), {one.number: texts[one.number] for one in changes if one.number in texts})


def outcomes(history: History, now: Mapping[str, str], version: str) -> tuple[Outcome, ...]:
    """Whether each change was made, as the record after it shows, or the ConfigMap as it is now.

    :param version: the ConfigMap's ``resourceVersion`` now.
    """
    seen = [(change.before, change.base_version) for change in history.changes[1:]] + [(digest(now), version)]
    return tuple(_outcome(change, *after) for change, after in zip(history.changes, seen, strict=False))


def _outcome(change: Change, then: str, version: str) -> Outcome:
    if then == change.after:
        return Outcome.MADE
    if version == change.base_version:
        return Outcome.NOT_MADE
    return Outcome.UNCLEAR


def last_made(history: History, found: Sequence[Outcome]) -> Change | None:
    """The latest change that was made."""
    made = [change for change, outcome in zip(history.changes, found, strict=True) if outcome is Outcome.MADE]
    return made[-1] if made else None


def others_changes(history: History, number: int, now: Mapping[str, str]) -> bool:
    """Whether somebody else wrote since change ``number``, so that going back before it would take that away too."""
    since = [change for change in history.changes if change.number >= number]
    seen = [*(change.before for change in since[1:]), digest(now)]
    # What is seen after each change is what it made, or what was there before where it was not made.
    return any(then not in (change.before, change.after) for change, then in zip(since, seen, strict=True))


def to_config_map(history: History) -> tuple[dict[str, str], dict[str, str]]:
    """The ``data`` and ``binaryData`` of the ConfigMap that keeps a history: notes for people, texts compressed."""
    data = {f"{change.number:08d}": json.dumps(asdict(change), indent=1) for change in history.changes}
    binary = {f"{number:08d}.z": base64.b64encode(text).decode() for number, text in history.texts.items()}
    return data, binary


def from_config_map(data: Mapping[str, str], binary: Mapping[str, str]) -> History:
    """The history in a ConfigMap; :class:`HistoryError` where somebody wrote something else into it."""
    try:
        changes = [Change(**_checked(json.loads(text))) for text in data.values()]
        texts = {int(key.removesuffix(".z")): base64.b64decode(text, validate=True) for key, text in binary.items()}
    except (ValueError, TypeError, KeyError, RecursionError):
        raise HistoryError(
            "the history is not what rolecall wrote",
            advice="look at it: kubectl -n kube-system get configmap rolecall-aws-auth-history -o yaml",
        ) from None
    return History(tuple(sorted(changes, key=lambda change: change.number)), texts)


def _checked(found: Any) -> dict[str, Any]:
    wanted = Change.__dataclass_fields__
    if set(found) != set(wanted) or not all(type(value).__name__ == wanted[key].type for key, value in found.items()):
        raise ValueError
    return dict(found)


def _unpacked(packed: bytes, number: int) -> dict[str, str]:
    unpacker = zlib.decompressobj()
    try:
        found = json.loads(unpacker.decompress(packed, MAX_TEXT))
        if unpacker.unconsumed_tail or not all(isinstance(x, str) for pair in found.items() for x in pair):
            raise ValueError
    except (zlib.error, ValueError, AttributeError, RecursionError):
        raise HistoryError(f"the texts before change {number} cannot be read") from None
    return dict(found)
