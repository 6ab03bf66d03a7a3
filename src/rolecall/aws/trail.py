"""Who did something in an account, as CloudTrail's event history tells: the management events of the last 90 days.

Sources: CloudTrail API reference, ``LookupEvents`` (two requests a second for each account and region, 50 events each);
CloudTrail user guide, "CloudTrail record contents" and "Global service events" (where those of IAM are recorded).
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rolecall.aws.errors import AwsError, explained

# What an account did with one name in 90 days is looked through back to here; further back nobody is named.
MAX_PAGES = 4
MAX_EVENT = 512 * 1024
# The region in which a partition records what happens in IAM.
IAM_REGIONS = {"aws": "us-east-1", "aws-cn": "cn-north-1", "aws-us-gov": "us-gov-west-1"}

Parameters = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class TrailEvent:
    """One call that succeeded.

    :param name: of the event, such as ``UpdateAssumeRolePolicy``.
    :param who: the ARN of the caller, or what CloudTrail calls it.
    :param parameters: ``requestParameters``.
    """

    time: datetime
    name: str
    who: str
    parameters: Parameters


class Trail:
    """The event history of one account in one region; each kind of event is asked for once.

    :param client: of CloudTrail.
    :param where: for errors.
    """

    def __init__(self, client: Any, where: str) -> None:
        self._client, self._where = client, where
        self._known: dict[str, tuple[TrailEvent, ...]] = {}

    def last(self, names: Iterable[str], about: Callable[[Parameters], bool]) -> TrailEvent | None:
        """The latest event of these names with parameters about something; :class:`AwsError` where AWS refuses."""
        found = (event for name in names for event in self._events(name) if about(event.parameters))
        return max(found, key=lambda event: event.time, default=None)

    def _events(self, name: str) -> tuple[TrailEvent, ...]:
        if name not in self._known:
            self._known[name] = tuple(self._lookup(name))
        return self._known[name]

    def _lookup(self, name: str) -> Iterator[TrailEvent]:
        wanted: dict[str, Any] = {
            "LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}],
            "MaxResults": 50,
        }
        for _ in range(MAX_PAGES):
            with explained(self._where):
                page = self._client.lookup_events(**wanted)
            events = page.get("Events")
            if not isinstance(events, list):
                raise AwsError("this is not an answer of CloudTrail", where=self._where)
            yield from (event for one in events if (event := _event(one)) is not None)
            if not page.get("NextToken"):
                return
            wanted["NextToken"] = page["NextToken"]


def _event(found: Mapping[str, Any]) -> TrailEvent | None:
    """An event that succeeded; ``None`` for others, and for what cannot be read."""
    text = found.get("CloudTrailEvent")
    if not isinstance(text, str) or len(text) > MAX_EVENT or not isinstance(found.get("EventTime"), datetime):
        return None
    try:
        record = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(record, dict) or record.get("errorCode"):
        return None
    identity, parameters = record.get("userIdentity"), record.get("requestParameters")
    identity = identity if isinstance(identity, dict) else {}
    who = identity.get("arn") or identity.get("invokedBy") or found.get("Username") or "unknown"
    time = found["EventTime"].astimezone(UTC)
    return TrailEvent(
        time, str(found.get("EventName", "")), str(who), parameters if isinstance(parameters, dict) else {}
    )
