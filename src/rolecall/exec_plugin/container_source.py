"""The credentials of a container: Amazon ECS, EKS Pod Identity, and what speaks like them.

Source: AWS SDKs and Tools reference guide, "Container credential provider"; botocore ``ContainerMetadataFetcher``.
"""

from __future__ import annotations

import time
from collections.abc import Mapping

from rolecall.access_keys import Key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.answers import InvalidAnswerError, key_of, read_answer
from rolecall.exec_plugin.https_client import Answer, UnreachableError, request
from rolecall.exec_plugin.settings import Settings, is_loopback, split_url

RELATIVE, FULL = "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"
_TOKEN, _TOKEN_FILE = "AWS_CONTAINER_AUTHORIZATION_TOKEN", "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE"
_AGENT = "http://169.254.170.2"
# Besides this machine itself, the only hosts that plain HTTP may ask.
_PLAIN_HOSTS = ("169.254.170.2", "169.254.170.23", "[fd00:ec2::23]")
_NAMES = ("AccessKeyId", "SecretAccessKey", "Token")
_ATTEMPTS = 3
_SECONDS = 2.0
_MAX_TOKEN = 65_536


def ask_container(environ: Mapping[str, str], ca_bundle: str) -> Key:
    """The credentials that the container's agent gives now.

    :param ca_bundle: certificate authorities for an agent that is asked over TLS; empty for the system's.
    :raises RolecallError: if it gives none.
    """
    # As in botocore, the relative one counts if both are set.
    url = f"{_AGENT}{environ[RELATIVE]}" if environ.get(RELATIVE) else environ.get(FULL, "")
    endpoint, path = _checked(url, RELATIVE if environ.get(RELATIVE) else FULL)
    headers = {"Accept": "application/json"}
    if (token := _authorization(environ)) is not None:
        headers["Authorization"] = token
    answer = _ask(Settings(endpoint, "", ca_bundle, _SECONDS, _SECONDS), path, headers)
    return key_of(read_answer(answer.body), _NAMES, time.time())


def _checked(url: str, where: str) -> tuple[str, str]:
    scheme, host, port, path = split_url(url)
    plain_allowed = host in _PLAIN_HOSTS or is_loopback(host)
    if not host or not path.isprintable() or not path.isascii() or " " in path:
        raise RolecallError(f"{url[:100]!r} is not a URL that can be asked", where=where)
    if scheme == "http" and not plain_allowed:
        hosts = ", ".join(_PLAIN_HOSTS)
        raise RolecallError(f"plain HTTP is allowed to this machine and to {hosts} only, not to {host}", where=where)
    return f"{scheme}://{host}{f':{port}' if port else ''}", path or "/"


def _authorization(environ: Mapping[str, str]) -> str | None:
    path = environ.get(_TOKEN_FILE)
    if not path:
        text = environ.get(_TOKEN)
    else:
        try:
            with open(path, "rb") as file:
                text = file.read(_MAX_TOKEN + 1).decode().strip()
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
            raise RolecallError(f"{path[:200]} cannot be read: {reason}", where=_TOKEN_FILE) from None
    if not text:
        return None
    if len(text) > _MAX_TOKEN or not text.isprintable() or not text.isascii():
        raise RolecallError("this is not a token that a header can carry", where=_TOKEN_FILE if path else _TOKEN)
    return text


def _ask(settings: Settings, path: str, headers: Mapping[str, str]) -> Answer:
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            answer = request(settings, "GET", path, headers, b"", {})
        except UnreachableError as error:
            if attempt == _ATTEMPTS or error.final:
                raise RolecallError(error.what, where=error.where) from None
        else:
            if answer.status == 200:
                return answer
            if attempt == _ATTEMPTS or answer.status < 500:
                raise InvalidAnswerError(f"it answers with HTTP {answer.status}")
        time.sleep(0.2 * 2**attempt)
    raise AssertionError("unreachable: the last attempt answers or raises")
