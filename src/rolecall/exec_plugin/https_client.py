"""One request, one bounded answer: certificates verified, time and size limited, no redirect followed.

By hand over :mod:`socket`, as HTTP/1.1 (RFC 9112) with a connection for each request: ``http.client`` brings in the
email package, which takes longer than the call.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

from rolecall.errors import RolecallError
from rolecall.exec_plugin.proxies import Proxy, proxy_for
from rolecall.exec_plugin.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl

MAX_ANSWER = 65_536
_MAX_HEAD = 16_384
_MAX_HEADERS = 100
_PART = 16_384
_NETWORK = "check the network, HTTPS_PROXY and the region or AWS_ENDPOINT_URL"


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


class _NotHttpError(Exception):
    """The peer's bytes are not an answer of HTTP, or more than is read."""


def request(
    settings: Settings, method: str, target: str, headers: Mapping[str, str], body: bytes, environ: Mapping[str, str]
) -> Answer:
    """Send one request to the settings' endpoint, through the environment's proxy if there is one.

    Plain HTTP goes to this machine (or was allowed explicitly): no proxy stands between.

    :raises RolecallError: with what a person can do about it; :class:`UnreachableError` if the host is the trouble.
    """
    scheme, _, netloc = settings.endpoint.partition("://")
    host, port = _split(netloc, 443 if scheme == "https" else 80)
    proxy = proxy_for(host, environ) if scheme == "https" else None
    message = _message(method, target, {"Host": netloc, **headers}, body)
    call = _Call(settings, proxy)
    try:
        call.connect(host, port, secure=scheme == "https")
        return call.exchange(message)
    except TimeoutError:
        raise call.failed("it did not answer in time") from None
    except (OSError, _NotHttpError) as error:
        text = getattr(error, "strerror", None) or str(error) or type(error).__name__
        raise call.failed(f"it cannot be reached: {text}") from None
    finally:
        call.close()


def _split(netloc: str, default: int) -> tuple[str, int]:
    """Host, an address of IPv6 without its brackets, and port of a checked URL."""
    before, colon, after = netloc.rpartition(":")
    if not colon or netloc.endswith("]"):
        return netloc.strip("[]"), default
    return before.strip("[]"), int(after)


def _message(method: str, target: str, headers: Mapping[str, str], body: bytes) -> bytes:
    every = {**headers, "Content-Length": str(len(body)), "Connection": "close"}
    lines = [f"{method} {target} HTTP/1.1", *(f"{name}: {value}" for name, value in every.items())]
    if any("\r" in line or "\n" in line for line in lines):
        raise RolecallError("a value to be sent to STS has a line break in it")
    return "\r\n".join((*lines, "", "")).encode("latin-1") + body


class _Call:
    """One connection and what happened on it."""

    def __init__(self, settings: Settings, proxy: Proxy | None) -> None:
        self._settings = settings
        self._proxy = proxy
        self._ends = time.monotonic() + settings.connect_timeout + settings.read_timeout
        self._socket: socket.socket | None = None
        self._sent = False
        self._tunnelled = proxy is None

    def connect(self, host: str, port: int, *, secure: bool) -> None:
        # Bytes: for a text the socket module would load the tables of international names.
        place = (host, port) if self._proxy is None else (self._proxy.host, self._proxy.port)
        timeout = self._settings.connect_timeout
        found = socket.create_connection((place[0].encode(), place[1]), timeout)  # type: ignore[arg-type]
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = found
        if self._proxy is not None:
            self._tunnel(self._proxy, f"[{host}]:{port}" if ":" in host else f"{host}:{port}")
        if secure:
            self._secure(found, host)

    def exchange(self, message: bytes) -> Answer:
        found = self._connected()
        found.settimeout(self._settings.read_timeout)
        self._sent = True
        found.sendall(message)
        status, headers, rest = self._head()
        while 100 <= status < 200:
            status, headers, rest = self._head(rest)
        return Answer(status, headers, self._body(status, headers, rest))

    def failed(self, what: str) -> UnreachableError:
        where = self._settings.endpoint if self._tunnelled or self._proxy is None else self._proxy.where
        return UnreachableError(what, where=where, advice=_NETWORK, sent=self._sent)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()

    def _connected(self) -> socket.socket:
        assert self._socket is not None
        return self._socket

    def _tunnel(self, proxy: Proxy, target: str) -> None:
        lines = [f"CONNECT {target} HTTP/1.1", f"Host: {target}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        self._connected().sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
        status, _, rest = self._head()
        if status != 200 or rest:
            raise UnreachableError(
                f"the proxy refuses to connect to {target}: HTTP {status}",
                where=proxy.where,
                advice="check the proxy, its user and password, and whether NO_PROXY should name this host",
                sent=False,
            )
        self._tunnelled = True

    def _secure(self, plain: socket.socket, host: str) -> None:
        import ssl

        try:
            self._socket = tls_context(self._settings.ca_bundle).wrap_socket(plain, server_hostname=host.encode())
        except ssl.SSLCertVerificationError as error:
            raise UnreachableError(
                f"its certificate is not trusted: {error.verify_message}",
                where=self._settings.endpoint,
                advice="behind a proxy that opens TLS, name its certificate authority: AWS_CA_BUNDLE=FILE",
                sent=False,
                final=True,
            ) from None

    def _receive(self) -> bytes:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError
        found = self._connected()
        found.settimeout(min(left, self._settings.read_timeout))
        return found.recv(_PART)

    def _head(self, data: bytes = b"") -> tuple[int, dict[str, str], bytes]:
        """Status, headers by lower-case name, and what came behind them."""
        while (end := data.find(b"\r\n\r\n")) < 0:
            part = self._receive()
            if not part or len(data) > _MAX_HEAD:
                raise _NotHttpError("its answer is not HTTP" if data else "it closed the connection")
            data += part
        first, *lines = data[:end].decode("latin-1").split("\r\n")
        words = first.split(" ", 2)
        if not words[0].startswith("HTTP/1.") or len(words) < 2 or len(words[1]) != 3 or not words[1].isdecimal():
            raise _NotHttpError("its answer is not HTTP")
        if len(lines) > _MAX_HEADERS:
            raise _NotHttpError(f"its answer has more than {_MAX_HEADERS} headers")
        pairs = (line.partition(":") for line in lines)
        return int(words[1]), {name.strip().lower(): value.strip() for name, _, value in pairs}, data[end + 4 :]

    def _body(self, status: int, headers: Mapping[str, str], data: bytes) -> bytes:
        if status in (204, 304):
            return b""
        chunked = "chunked" in headers.get("transfer-encoding", "").lower()
        length = None if chunked else headers.get("content-length")
        if length is not None and not (length.isascii() and length.isdecimal() and len(length) < 10):
            raise _NotHttpError("its answer has no valid length")
        while True:
            if len(data) > MAX_ANSWER or (length is not None and int(length) > MAX_ANSWER):
                raise _NotHttpError(f"its answer has more than {MAX_ANSWER} bytes")
            if chunked and (whole := _unchunked(data)) is not None:
                return whole
            if length is not None and len(data) >= int(length):
                return data[: int(length)]
            if not (part := self._receive()):
                if chunked or length is not None:
                    raise _NotHttpError("its answer is cut off")
                return data
            data += part


def _unchunked(data: bytes) -> bytes | None:
    """The body of a chunked message (RFC 9112, 7.1), ``None`` if there is more to come."""
    parts: list[bytes] = []
    while True:
        line, end, rest = data.partition(b"\r\n")
        if not end:
            return None
        try:
            size = int(line.partition(b";")[0], 16)
        except ValueError:
            raise _NotHttpError("its answer is not HTTP") from None
        if size < 0:
            raise _NotHttpError("its answer is not HTTP")
        if size == 0:
            return b"".join(parts)
        if len(rest) < size + 2:
            return None
        parts.append(rest[:size])
        data = rest[size + 2 :]


def tls_context(bundle: str) -> ssl.SSLContext:
    """A context that trusts the authorities in ``bundle``, a file or folder, or the system's if it is empty."""
    import ssl

    from rolecall.tls import client_context

    paths = ssl.get_default_verify_paths()
    # A Python without the system's authorities, as on some Macs: botocore brings its own, like the AWS CLI.
    own = "" if bundle or paths.cafile or paths.capath else _botocore_authorities()
    place = os.path.expanduser(bundle) or own
    is_folder = bool(place) and os.path.isdir(place)
    try:
        return client_context(cafile=place if place and not is_folder else None, capath=place if is_folder else None)
    except OSError as error:
        raise UnreachableError(
            f"the certificate authorities cannot be read: {error.strerror or error}",
            where=bundle or "the system's certificates",
            advice="AWS_CA_BUNDLE, ca_bundle or REQUESTS_CA_BUNDLE must be a file of PEM certificates",
            sent=False,
            final=True,
        ) from None


def _botocore_authorities() -> str:
    from importlib.util import find_spec

    spec = find_spec("botocore")
    folders = list(spec.submodule_search_locations or ()) if spec else []
    return os.path.join(folders[0], "cacert.pem") if folders else ""
