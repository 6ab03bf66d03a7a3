"""AssumeRole and GetCallerIdentity, by our own signer and our own HTTP.

Source: AWS STS API reference 2011-06-15, AssumeRole, GetCallerIdentity, "Common Error Types".
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

import rolecall
from rolecall.access_keys import InvalidKeyError, Key, check_key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.aws_times import read_http_date, read_moment
from rolecall.exec_plugin.credential_plan import Hop
from rolecall.exec_plugin.https_client import Answer, UnreachableError, request
from rolecall.exec_plugin.settings import Settings
from rolecall.sigv4.authorization import authorization
from rolecall.sigv4.canonical import encode

ATTEMPTS = 3
# Common errors that another attempt may cure (botocore `_retry.json`).
_THROTTLED = {"Throttling", "ThrottlingException", "RequestLimitExceeded", "TooManyRequestsException"}
_CLOCK = {"RequestExpired", "SignatureDoesNotMatch", "RequestTimeTooSkewed", "InvalidSignatureException"}
_SKEW = 300.0
_FIELDS = ("AccessKeyId", "SecretAccessKey", "SessionToken")
_FORM = "application/x-www-form-urlencoded; charset=utf-8"
_MAX_ELEMENT = 65_536
_ENTITIES = (("&lt;", "<"), ("&gt;", ">"), ("&quot;", '"'), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&"))


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

        :param code: of the MFA device, if the hop has one. It is valid once, so nothing is sent a second time.
        :raises StsError: if STS refuses.
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
        try:
            check_key(found, _FIELDS, (self._settings.endpoint,) * 3)
        except InvalidKeyError as error:
            raise self._nonsense(f"the {error.what} in its answer") from None
        return found

    def caller(self, key: Key) -> tuple[str, str]:
        """ARN and user id of the key's owner: ``AROA...:SESSION`` or ``AIDA...``."""
        body = self._call("GetCallerIdentity", {}, key, once=False)
        return self._element(body, "Arn"), self._element(body, "UserId")

    def _call(self, action: str, fields: Mapping[str, str], key: Key, *, once: bool) -> str:
        form = {"Action": action, "Version": "2011-06-15", **fields}
        body = "&".join([f"{name}={encode(value)}" for name, value in form.items()]).encode()
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
                # What may have arrived is not repeated if it counts: a code is valid once.
                if last or error.final or (once and error.sent):
                    raise
            # 0.05 to 0.2 seconds, then twice that: attempts of many processes are spread.
            time.sleep((0.05 + 0.15 * os.urandom(1)[0] / 255) * 2**attempt)
        raise AssertionError("unreachable: the last attempt answers or raises")

    def _send(self, body: bytes, key: Key) -> Answer:
        host = self._settings.endpoint.partition("://")[2]
        timestamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
        # In the order of their names, as they are signed.
        headers = {"Content-Type": _FORM, "Host": host, "X-Amz-Date": timestamp}
        if key.session_token:
            headers["X-Amz-Security-Token"] = key.session_token
        headers["Authorization"] = authorization(
            "POST",
            b"/",
            (),
            [(name.lower(), value) for name, value in headers.items()],
            body,
            (key.access_key_id, key.secret_access_key),
            region=self._settings.region,
            service="sts",
            timestamp=timestamp,
        )
        headers |= {"User-Agent": f"rolecall/{rolecall.__version__}", "Accept": "text/xml"}
        answer = request(self._settings, "POST", "/", headers, body, self._environ)
        if (date := read_http_date(answer.headers.get("date", ""))) is not None:
            self.skew = time.time() - date
        return answer

    def clock_trouble(self) -> str:
        """A sentence if this machine's clock is further off than STS allows; else empty."""
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
            what, where=self._settings.endpoint, advice="is this STS? check AWS_ENDPOINT_URL", sent=True
        )


_ADVICE = {
    "AccessDenied": "the role's trust policy and the caller's own policies must both allow it",
    "ExpiredToken": "get new credentials, then try again",
    "InvalidClientTokenId": "the access key does not exist (any more), or belongs to another partition",
    "RegionDisabledException": "STS is switched off in this region for the account: use another region",
}


def _find(text: str, name: str) -> str | None:
    """The text of the first element of that name; ``None`` if there is none, or it has elements of its own."""
    _, found, after = text.partition(f"<{name}>")
    value, end, rest = after.partition("<")
    if not found or not end or not rest.startswith(f"/{name}>") or len(value) > _MAX_ELEMENT:
        return None
    value = value.strip()
    for entity, character in _ENTITIES:
        value = value.replace(entity, character)
    return value


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else " " for character in text)[:500]
