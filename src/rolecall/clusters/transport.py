"""HTTP to one Kubernetes API: TLS by the cluster's own authority, a token on each request, bounded answers."""

from __future__ import annotations

import base64
import ssl
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from rolecall.clusters.errors import ClusterError
from rolecall.clusters.exec_credentials import TokenSource
from rolecall.tls import client_context

# A page of a list; etcd holds objects of 1.5 MiB and pages hold 500 of them, but not of that size.
MAX_ANSWER = 64 << 20
TIMEOUT = httpx2.Timeout(30, connect=10)
MAX_CONNECTIONS = 4


def utc_now() -> datetime:
    """The time now; adapters may ask for it."""
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a Kubernetes API is and how it is known.

    :param ca_pem: the authorities that may sign its certificate; empty: those of the system.
    :param client_key: of the client certificate; never shown.
    """

    server: str
    ca_pem: str = ""
    insecure: bool = False
    tls_server_name: str = ""
    proxy_url: str = ""
    client_certificate: str = ""
    client_key: str = field(default="", repr=False)
    impersonate: str = ""
    impersonate_uid: str = ""
    impersonate_groups: tuple[str, ...] = ()

    def as_exec_info(self) -> dict[str, Any]:
        """The cluster as a credential plugin gets it (``ExecCredential.spec.cluster``)."""
        found: dict[str, Any] = {"server": self.server}
        if self.tls_server_name:
            found["tls-server-name"] = self.tls_server_name
        if self.ca_pem:
            found["certificate-authority-data"] = base64.b64encode(self.ca_pem.encode()).decode()
        if self.insecure:
            found["insecure-skip-tls-verify"] = True
        return found

    def headers(self) -> list[tuple[str, str]]:
        """The headers by which a kubeconfig's user impersonates another."""
        return [
            *([("Impersonate-User", self.impersonate)] if self.impersonate else []),
            *([("Impersonate-Uid", self.impersonate_uid)] if self.impersonate_uid else []),
            *(("Impersonate-Group", group) for group in self.impersonate_groups),
        ]


def tls_context(endpoint: Endpoint) -> ssl.SSLContext:
    """What is trusted, and the client certificate if there is one."""
    try:
        context = client_context(cadata=endpoint.ca_pem or None)
        if endpoint.insecure:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if endpoint.client_certificate:
            # OpenSSL reads certificates of a client from files alone: this one only its owner can read, and for now.
            with tempfile.NamedTemporaryFile("w", suffix=".pem") as file:
                file.write(f"{endpoint.client_certificate}\n{endpoint.client_key}\n")
                file.flush()
                context.load_cert_chain(file.name)
    except (ssl.SSLError, ValueError) as error:
        raise ClusterError(f"a certificate that cannot be used: {error}", where=endpoint.server) from None
    return context


class KubernetesTransport(httpx2.BaseTransport):
    """Sends requests with a token, and once more with a new one where the cluster refuses it (401)."""

    def __init__(self, endpoint: Endpoint, tokens: TokenSource | None) -> None:
        self._endpoint, self._tokens = endpoint, tokens
        self._headers = endpoint.headers()
        self._http = httpx2.HTTPTransport(
            verify=tls_context(endpoint),
            trust_env=False,
            limits=httpx2.Limits(max_connections=MAX_CONNECTIONS),
            proxy=endpoint.proxy_url or _proxy_of_environment(endpoint.server),
            retries=1,  # of connecting alone, so nothing is sent twice
        )

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        request.headers["Accept-Encoding"] = "identity"
        for name, value in self._headers:
            request.headers = httpx2.Headers([*request.headers.multi_items(), (name, value)])
        if self._endpoint.tls_server_name:
            request.extensions = {**request.extensions, "sni_hostname": self._endpoint.tls_server_name}
        if self._tokens is None:
            return self._bounded(self._http.handle_request(request))
        token = self._tokens.token()
        response = self._send(request, token)
        if response.status_code == 401 and (other := self._tokens.token(refused=token)) != token:
            response.close()
            response = self._send(request, other)
        return response

    def _send(self, request: httpx2.Request, token: str) -> httpx2.Response:
        request.headers["Authorization"] = f"Bearer {token}"
        return self._bounded(self._http.handle_request(request))

    def _bounded(self, response: httpx2.Response) -> httpx2.Response:
        stream = response.stream
        assert isinstance(stream, httpx2.SyncByteStream)
        return httpx2.Response(
            response.status_code,
            headers=response.headers,
            stream=_Bounded(stream, self._endpoint.server),
            extensions=response.extensions,
        )

    def close(self) -> None:
        self._http.close()


class _Bounded(httpx2.SyncByteStream):
    """A body that ends with an error where it is longer than any Kubernetes API sends."""

    def __init__(self, stream: httpx2.SyncByteStream, where: str) -> None:
        self._stream, self._where = stream, where

    def __iter__(self) -> Iterator[bytes]:
        size = 0
        for piece in self._stream:
            size += len(piece)
            if size > MAX_ANSWER:
                raise ClusterError(f"an answer of more than {MAX_ANSWER >> 20} MiB", where=self._where)
            yield piece

    def close(self) -> None:
        self._stream.close()


def _proxy_of_environment(server: str) -> str | None:
    """The proxy that ``HTTPS_PROXY``, ``HTTP_PROXY`` and ``NO_PROXY`` name for a server, as kubectl has it."""
    url = urlsplit(server)
    if url.hostname is None or url.hostname in ("localhost", "127.0.0.1", "::1") or proxy_bypass(url.netloc):
        return None
    return getproxies().get(url.scheme)
