"""AssumeRole and GetCallerIdentity, by our own signer over http.client.

Source: AWS STS API reference 2011-06-15, AssumeRole, GetCallerIdentity, "Common Error Types".
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from urllib.parse import urlencode, urlsplit
from xml.sax.saxutils import unescape

import rolecall
from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import Hop, Key, read_moment
from rolecall.exec_plugin.https_client import Answer, UnreachableError, request
from rolecall.exec_plugin.settings import Settings
from rolecall.sigv4 import Credentials, HttpRequest, sign

ATTEMPTS = 3
# Common errors that another attempt may cure (botocore `_retry.json`).
_THROTTLED = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
_CLOCK = {"RequestExpired", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "InvalidSignatureException"}
_SKEW = 300.0
_KEY_ID = re.compile(r"[A-Za-z0-9_]{16,128}", re.ASCII)
_TOKEN = re.compile(r"[\x21-\x7e]{1,65536}", re.ASCII)


class StsError(RolecallError):
    """STS refuses. ``code`` is its own word for why."""

    def __init__(self, code: str, what: str, *, where: str, advice: str = "") -> None:
        self.code = code
        super().__init__(what, where=where, advice=advice)


class Sts:
    """STS at the settings' endpoint.

    :ivar skew: how many seconds this machine's clock is ahead of STS's, as of the last answer; ``None`` before one.
    """

    def __init__(self, settings: Settings, environ: Mapping[str, str]) -> None:
        self._settings = settings
        self._environ = environ
        self.skew: float | None = None

    def assume_role(self, hop: Hop, session_name: str, key: Key, code: str | None) -> Key:
        """The role session's credentials.

        :param code: of the MFA device, where the hop has one. It is good once, so nothing is sent a second time.
        :raises StsError: where STS refuses.
        """
        fields = {"RoleArn": hop.role_arn, "RoleSessionName": session_name}
        optional = {
            "ExternalId": hop.external_id,
            "DurationSeconds": None if hop.duration is None else str(hop.duration),
            "SourceIdentity": hop.source_identity,
            "SerialNumber": hop.mfa_serial,
            "TokenCode": code,
        }
        fields |= {name: value for name, value in optional.items() if value is not None}
        body = self._call("AssumeRole", fields, key, once=code is not None)
        found = Key(
            self._element(body, "AccessKeyId"),
            self._element(body, "SecretAccessKey"),
            self._element(body, "SessionToken"),
            read_moment(self._element(body, "Expiration"), self._settings.endpoint),
        )
        if not _KEY_ID.fullmatch(found.access_key_id) or not _TOKEN.fullmatch(found.session_token or ""):
            raise self._nonsense("its credentials are none")
        return found

    def caller(self, key: Key) -> tuple[str, str]:
        """ARN and user id of whoever the key is: ``AROA...:SESSION`` or ``AIDA...``."""
        body = self._call("GetCallerIdentity", {}, key, once=False)
        return self._element(body, "Arn"), self._element(body, "UserId")

    def _call(self, action: str, fields: Mapping[str, str], key: Key, *, once: bool) -> str:
        body = urlencode({"Action": action, "Version": "2011-06-15", **fields}).encode()
        for attempt in range(1, ATTEMPTS + 1):
            last = attempt == ATTEMPTS
            try:
                answer = self._send(body, key)
                if answer.status == 200:
                    return answer.body.decode("utf-8", "replace")
                error = self._refusal(answer, action)
                if last or not (error.code in _THROTTLED or (answer.status >= 500 and not once)):
                    raise error
            except UnreachableError as error:
                # What may have arrived is not repeated where it counts: a code is good once.
                if last or error.final or (once and error.sent):
                    raise
            time.sleep(random.uniform(0.05, 0.2) * 2**attempt)  # noqa: S311 -- to spread attempts, not to be secret
        raise AssertionError("unreachable: the last attempt answers or raises")

    def _send(self, body: bytes, key: Key) -> Answer:
        host = urlsplit(self._settings.endpoint).netloc
        unsigned = HttpRequest(
            "POST",
            b"/",
            b"",
            ((b"Host", host.encode()), (b"Content-Type", b"application/x-www-form-urlencoded; charset=utf-8")),
            body,
        )
        signed = sign(
            unsigned,
            Credentials(key.access_key_id, key.secret_access_key, key.session_token),
            region=self._settings.region,
            service="sts",
            now=datetime.now(UTC),
        )
        headers = {name.decode(): value.decode("latin-1") for name, value in signed.headers}
        headers |= {"User-Agent": f"rolecall/{rolecall.__version__}", "Accept": "text/xml"}
        answer = request(self._settings, "POST", "/", headers, body, self._environ)
        self._note_date(answer)
        return answer

    def _note_date(self, answer: Answer) -> None:
        try:
            self.skew = time.time() - parsedate_to_datetime(answer.headers.get("date", "")).timestamp()
        except (ValueError, TypeError, OverflowError):
            return

    def clock_trouble(self) -> str:
        """A sentence where this machine's clock is further off than STS allows; else empty."""
        if self.skew is None or abs(self.skew) <= _SKEW:
            return ""
        how = "ahead of" if self.skew > 0 else "behind"
        return (
            f"this machine's clock is {abs(self.skew):.0f} seconds {how} that of STS: clusters will refuse its tokens"
        )

    def _refusal(self, answer: Answer, action: str) -> StsError:
        text = answer.body.decode("utf-8", "replace")
        code = _find(text, "Code") or f"HTTP {answer.status}"
        message = _printable(_find(text, "Message") or "no reason given")
        advice = self.clock_trouble() if code in _CLOCK else _ADVICE.get(code, "")
        return StsError(code, f"STS refuses {action}: {_printable(code)}: {message}", where="", advice=advice)

    def _element(self, body: str, name: str) -> str:
        found = _find(body, name)
        if not found:
            raise self._nonsense(f"its answer has no {name}")
        return found

    def _nonsense(self, what: str) -> UnreachableError:
        return UnreachableError(
            what, where=self._settings.endpoint, advice="is this STS? look at AWS_ENDPOINT_URL", sent=True
        )


_ADVICE = {
    "AccessDenied": "the role's trust policy and the caller's own policies both have to allow it",
    "ExpiredToken": "get new credentials first, then again",
    "InvalidClientTokenId": "the access key does not exist (any more), or belongs to another partition",
    "RegionDisabledException": "STS is switched off in this region for the account: use another region",
}


def _find(text: str, name: str) -> str | None:
    match = re.search(rf"<{name}>([^<]{{0,65536}})</{name}>", text)
    return unescape(match[1].strip(), {"&quot;": '"', "&apos;": "'", "&#39;": "'"}) if match else None


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:500]
