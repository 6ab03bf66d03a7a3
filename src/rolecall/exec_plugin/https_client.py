"""One request, one bounded answer: certificates verified, time and size limited, no redirect followed."""

from __future__ import annotations

import http.client
import os
import ssl
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from rolecall.errors import RolecallError
from rolecall.exec_plugin.settings import Settings

MAX_ANSWER = 65_536


class UnreachableError(RolecallError):
    """A host did not answer, or not as a host should.

    :ivar sent: whether it may have seen the request.
    :ivar final: whether another attempt would end in the same way.
    """

    def __init__(self, what: str, *, where: str, advice: str = "", sent: bool, final: bool = False) -> None:
        self.sent = sent
        self.final = final
        super().__init__(what, where=where, advice=advice)


class Answer:
    """What a host answered.

    :ivar headers: by lower-case name.
    """

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body


def request(
    settings: Settings, method: str, target: str, headers: Mapping[str, str], body: bytes, environ: Mapping[str, str]
) -> Answer:
    """Send one request to the settings' endpoint, by way of the environment's proxy if there is one.

    :raises UnreachableError: with what a person can do about it.
    """
    url = urlsplit(settings.endpoint)
    where, sent = settings.endpoint, False
    ends = time.monotonic() + settings.connect_timeout + settings.read_timeout
    connection = _connection(settings, url.scheme, url.hostname or "", url.port, environ)
    try:
        connection.connect()
        connection.sock.settimeout(settings.read_timeout)
        sent = True
        connection.request(method, target, body=body, headers=dict(headers))
        response = connection.getresponse()
        found = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, found, _read(response, ends))
    except ssl.SSLCertVerificationError as error:
        raise UnreachableError(
            f"its certificate is not to be trusted: {error.verify_message}",
            where=where,
            advice="behind a proxy that opens TLS, give its certificate authority: AWS_CA_BUNDLE=FILE",
            sent=False,
            final=True,
        ) from None
    except TimeoutError:
        raise UnreachableError("it did not answer in time", where=where, advice=_NETWORK, sent=sent) from None
    except (OSError, http.client.HTTPException, ValueError) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise UnreachableError(f"it cannot be reached: {text}", where=where, advice=_NETWORK, sent=sent) from None
    finally:
        connection.close()


_NETWORK = "look at the network, HTTPS_PROXY and the region or AWS_ENDPOINT_URL"


def _read(response: http.client.HTTPResponse, ends: float) -> bytes:
    parts: list[bytes] = []
    length = 0
    while length <= MAX_ANSWER:
        if time.monotonic() > ends:
            raise TimeoutError
        part = response.read1(16_384)
        if not part:
            return b"".join(parts)
        parts.append(part)
        length += len(part)
    raise ValueError(f"the answer has more than {MAX_ANSWER} bytes")


def _connection(
    settings: Settings, scheme: str, host: str, port: int | None, environ: Mapping[str, str]
) -> http.client.HTTPConnection:
    proxy = _proxy(scheme, host, environ)
    timeout = settings.connect_timeout
    if scheme == "http":
        # Plain HTTP is this machine's own (or was allowed by name): no proxy stands between.
        return http.client.HTTPConnection(host, port, timeout=timeout)
    context = _trust(settings.ca_bundle)
    if not proxy:
        return http.client.HTTPSConnection(host, port, timeout=timeout, context=context)
    through = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if through.scheme != "http" or not through.hostname:
        raise UnreachableError(
            "the proxy is not one that this program can use",
            where="HTTPS_PROXY",
            advice="http://HOST:PORT",
            sent=False,
            final=True,
        )
    connection = http.client.HTTPSConnection(through.hostname, through.port or 8080, timeout=timeout, context=context)
    connection.set_tunnel(host, port or 443, headers=_proxy_authorization(through.username, through.password))
    return connection


def _proxy(scheme: str, host: str, environ: Mapping[str, str]) -> str:
    names = ("https_proxy", "HTTPS_PROXY")
    found = next((environ[name] for name in names if environ.get(name)), "") if scheme == "https" else ""
    if not found:
        return ""
    without = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    return "" if _bypasses(host, without) else found


def _bypasses(host: str, without: str) -> bool:
    """Whether a NO_PROXY list names a host: itself, a domain that it ends with, or ``*`` (as urllib reads it)."""
    names = [name.strip().lstrip(".").lower() for name in without.split(",") if name.strip()]
    return any(name == "*" or host.lower() == name or host.lower().endswith(f".{name}") for name in names)


def _proxy_authorization(user: str | None, password: str | None) -> dict[str, str]:
    if user is None:
        return {}
    from base64 import b64encode
    from urllib.parse import unquote

    pair = f"{unquote(user)}:{unquote(password or '')}"
    return {"Proxy-Authorization": f"Basic {b64encode(pair.encode()).decode()}"}


def _trust(bundle: str) -> ssl.SSLContext:
    paths = ssl.get_default_verify_paths()
    # A Python without the system's authorities, as on some Macs: botocore brings its own, like the AWS CLI.
    own = "" if bundle or paths.cafile or paths.capath else _botocore_authorities()
    try:
        context = ssl.create_default_context(cafile=os.path.expanduser(bundle) or own or None)
    except OSError as error:
        raise UnreachableError(
            f"the certificate authorities cannot be read: {error.strerror or error}",
            where=bundle or "the system's certificates",
            advice="AWS_CA_BUNDLE or ca_bundle is a file of PEM certificates",
            sent=False,
            final=True,
        ) from None
    return context


def _botocore_authorities() -> str:
    from importlib.util import find_spec

    spec = find_spec("botocore")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return os.path.join(folders[0], "cacert.pem") if folders else ""
