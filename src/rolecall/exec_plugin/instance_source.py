"""The role of the EC2 instance that this runs on.

Source: EC2 user guide, "Use the Instance Metadata Service"; botocore ``InstanceMetadataFetcher`` (its settings, its way
back to version 1, and that credentials which have expired are used for a while: AWS calls it static stability).
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from rolecall.access_keys import Key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.answers import InvalidAnswerError, key_of, read_answer
from rolecall.exec_plugin.https_client import Answer, UnreachableError, request
from rolecall.exec_plugin.settings import Settings, split_url

_IPV4, _IPV6 = "http://169.254.169.254", "http://[fd00:ec2::254]"
_ROLES = "/latest/meta-data/iam/security-credentials/"
_NAMES = ("AccessKeyId", "SecretAccessKey", "Token")
_TTL = {"x-aws-ec2-metadata-token-ttl-seconds": "21600"}
# Expired credentials are tried for so long before the machine is asked again.
_EXTENSION = 600.0
# Variable, and setting of a profile that counts without it.
_SETTINGS = {
    "AWS_EC2_METADATA_SERVICE_ENDPOINT": "ec2_metadata_service_endpoint",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE": "ec2_metadata_service_endpoint_mode",
    "AWS_EC2_METADATA_V1_DISABLED": "ec2_metadata_v1_disabled",
    "AWS_METADATA_SERVICE_TIMEOUT": "metadata_service_timeout",
    "AWS_METADATA_SERVICE_NUM_ATTEMPTS": "metadata_service_num_attempts",
}


def ask_instance(details: Mapping[str, str], environ: Mapping[str, str]) -> Key:
    """The credentials that the metadata service gives now.

    :param details: settings of the profile, by their names in the file.
    :raises RolecallError: if it gives none, or this is not an instance.
    """
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise RolecallError("AWS_EC2_METADATA_DISABLED forbids to ask this machine")
    found = {name: environ.get(name) or details.get(key, "") for name, key in _SETTINGS.items()}
    service = _Service(found)
    token = service.token()
    if not token and found["AWS_EC2_METADATA_V1_DISABLED"].lower() == "true":
        raise InvalidAnswerError("it gives no token for version 2, and version 1 is disabled")
    headers = {"x-aws-ec2-metadata-token": token} if token else {}
    role = service.text(_ROLES, headers).partition("\n")[0].strip()
    if not role or not role.isprintable() or not role.isascii() or " " in role:
        raise InvalidAnswerError("this machine has no role")
    answer = read_answer(service.text(_ROLES + role, headers).encode())
    if "AccessKeyId" not in answer and isinstance(answer.get("Message"), str):
        raise InvalidAnswerError(f"{answer.get('Code')}: {answer['Message']}"[:300])
    now = time.time()
    key = key_of(answer, _NAMES, float("-inf"))
    if key.expires is not None and key.expires <= now:
        key.expires = now + _EXTENSION
    return key


class _Service:
    def __init__(self, found: Mapping[str, str]) -> None:
        ipv6 = found["AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE"].lower() == "ipv6"
        url = found["AWS_EC2_METADATA_SERVICE_ENDPOINT"] or (_IPV6 if ipv6 else _IPV4)
        scheme, host, port, path = split_url(url)
        if not host:
            raise RolecallError(f"{url[:100]!r} is not a URL", where="AWS_EC2_METADATA_SERVICE_ENDPOINT")
        seconds = _number(found, "AWS_METADATA_SERVICE_TIMEOUT")
        self._settings = Settings(f"{scheme}://{host}{f':{port}' if port else ''}", "", "", seconds, seconds)
        self._path = path.rstrip("/")
        self._attempts = _number(found, "AWS_METADATA_SERVICE_NUM_ATTEMPTS")

    def token(self) -> str:
        """The token of version 2; empty if the service knows version 1 only, or does not answer across a container."""
        try:
            answer = self._ask("PUT", "/latest/api/token", _TTL)
        except UnreachableError as error:
            if not error.sent:
                raise RolecallError("this machine has no metadata service") from None
            return ""
        if answer.status in (403, 404, 405):
            return ""
        text = answer.body.decode("latin-1").strip()
        if answer.status != 200 or not text.isprintable() or not text.isascii():
            raise InvalidAnswerError(f"the metadata service answers with HTTP {answer.status} instead of a token")
        return text

    def text(self, path: str, headers: Mapping[str, str]) -> str:
        try:
            answer = self._ask("GET", path, headers)
        except UnreachableError as error:
            raise RolecallError(error.what, where=error.where) from None
        if answer.status != 200:
            raise InvalidAnswerError(f"the metadata service answers with HTTP {answer.status}")
        return answer.body.decode("utf-8", "replace")

    def _ask(self, method: str, path: str, headers: Mapping[str, str]) -> Answer:
        for attempt in range(1, self._attempts + 1):
            try:
                answer = request(self._settings, method, self._path + path, headers, b"", {})
            except UnreachableError:
                if attempt == self._attempts:
                    raise
            else:
                if answer.status < 500 or attempt == self._attempts:
                    return answer
            time.sleep(0.1 * 2**attempt)
        raise AssertionError("unreachable: the last attempt answers or raises")


def _number(found: Mapping[str, str], name: str) -> int:
    text = found[name] or "1"
    if not (text.isascii() and text.isdigit() and 0 < int(text[:6]) <= 100):
        raise RolecallError(f"{text[:20]!r} is not a number from 1 to 100", where=name)
    return int(text)
