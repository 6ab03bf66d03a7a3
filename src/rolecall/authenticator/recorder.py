"""What is written down about a decision: a line of the log and an audit record, put together once for each decision.

Most of both depends on the decision alone; a token that is shown again is answered and recorded with the same texts,
to which only the time, the client and the duration are added.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rolecall.authenticator.decision_log import AuditLog, Log
from rolecall.authenticator.http_server import Request
from rolecall.authenticator.metrics import SUCCESS, Metrics
from rolecall.authenticator.review import Outcome
from rolecall.model import Identity, KubernetesUser

_encode = json.JSONEncoder(separators=(",", ":"), default=str).encode


_SCRUBBED = "(scrubbed)"
# Every decision is about such a request.
REQUEST = {"method": "POST", "path": "/authenticate"}


@dataclass(frozen=True, slots=True)
class Record:
    """The texts about one decision, without what differs from one request to the next.

    :param line: of the log up to the client's address; ``rest`` comes after it.
    """

    line: str
    rest: str
    audit: str


class Recorder:
    """Writes decisions down.

    :param cluster: written into every audit record.
    """

    def __init__(self, cluster: str, log: Log, audit: AuditLog, metrics: Metrics) -> None:
        self._cluster = cluster
        self._log = log
        self._audit = audit
        self._metrics = metrics
        self._second = 0
        self._stamp = ""

    def prepare(self, result: str, outcome: Outcome, scrubbed: frozenset[str]) -> Record:
        """The texts about an answered review. Identities of ``scrubbed`` accounts are not named."""
        identity, user, reason = outcome.identity, outcome.user, outcome.reason
        is_scrubbed = identity is not None and identity.account in scrubbed
        shown: dict[str, Any] = {}
        if identity is not None and not is_scrubbed:
            shown = {
                "arn": identity.canonical_arn,
                "accesskeyid": identity.access_key_id,
                "accountid": identity.account,
                "userid": identity.user_id,
                "session": identity.session_name,
                "stsendpoint": identity.sts_endpoint,
            }
        if user is not None:
            hidden = is_scrubbed and identity is not None and _reveals(user, identity)
            shown |= {"username": _SCRUBBED} if hidden else {
                "username": user.username, "uid": user.uid, "groups": user.groups
            }  # fmt: skip
        else:
            shown |= {"error": reason.text if reason else "", "code": outcome.code}
        if reason and reason.source and not (is_scrubbed and identity and identity.account in reason.source):
            shown["source"] = reason.source
        return self._record(result, outcome.code, shown)

    def unavailable(self, result: str, what: str) -> Record:
        """The texts about a review that got no answer."""
        return self._record(result, result, {"error": what, "code": result})

    def _record(self, result: str, code: str, shown: Mapping[str, Any]) -> Record:
        level, message = (20, "access granted") if result == SUCCESS else (30, "access denied")
        line, rest = "", ""
        if level >= self._log.level:
            line, rest = self._log.around(level, message, {**shown, **REQUEST}, "client")
        audit = ""
        if self._audit.wanted:
            audit = _encode(
                {
                    "kind": "authentication",
                    "cluster": self._cluster,
                    "decision": "allow" if result == SUCCESS else "deny",
                    "result": result,
                    "code": code,
                    "accessKeyId": shown.get("accesskeyid", ""),
                    "sessionName": shown.get("session", ""),
                    "canonicalArn": shown.get("arn", ""),
                    "accountId": shown.get("accountid", ""),
                    "principalId": shown.get("userid", ""),
                    "username": shown.get("username", ""),
                    "uid": shown.get("uid", ""),
                    "groups": shown.get("groups", ()),
                    "source": shown.get("source", ""),
                    "error": shown.get("error", ""),
                }
            )[1:]
        return Record(line, rest, audit)

    def write(self, record: Record, request: Request, seconds: float) -> None:
        """Write a decision down, before its answer leaves.

        :param seconds: how long it took.
        """
        if record.line:
            self._log.emit(record.line, request.peer, record.rest)
        if record.audit:
            milliseconds = round(seconds * 1000, 3)
            head = f'{{"time":"{self.now()}","client":"{request.client}","milliseconds":{milliseconds},'
            self._append(head + record.audit)

    def grant(self, client: str, shown: Mapping[str, Any]) -> None:
        """Write down that an access policy allows a request."""
        self._log.write(10, "access policy allows", {**shown, "client": client})
        if self._audit.wanted:
            members = {"kind": "authorization", "cluster": self._cluster, "decision": "allow", **shown}
            self._append(f'{{"time":"{self.now()}","client":"{client}",' + _encode(members)[1:])

    def now(self) -> str:
        """The time in UTC, to the millisecond."""
        seconds = time.time()
        whole = int(seconds)
        if whole != self._second:
            self._second = whole
            self._stamp = datetime.fromtimestamp(whole, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        return f"{self._stamp}.{int((seconds - whole) * 1000):03d}Z"

    def _append(self, record: str) -> None:
        try:
            self._audit.write(record)
        except OSError as error:
            # A full disk must not lock everybody out; the metric and the log say that records are missing.
            self._metrics.audit_failures.inc()
            self._log.error("an audit record could not be written", error=error.strerror or "")


def _reveals(user: KubernetesUser, identity: Identity) -> bool:
    """Whether a mapping has put something of the identity into the user's names: by a template, or as an account's."""
    parts = (
        identity.account,
        identity.access_key_id,
        identity.user_id,
        identity.session_name,
        identity.session_name.replace("@", "-"),
    )
    names = (user.username, *user.groups)
    return any(part in name for part in parts if part for name in names)
