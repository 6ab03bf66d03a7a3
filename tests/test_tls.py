"""Every client of rolecall accepts an old authority on every Python, and still checks chain, host and dates.

Sources: Python documentation, "What's new in Python 3.13" (ssl: VERIFY_X509_PARTIAL_CHAIN and VERIFY_X509_STRICT are set by
default); kubernetes-client/python issue 2394; aws/containers-roadmap issue 2638.
"""

from __future__ import annotations

import ast
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from botocore.session import Session

from rolecall.authenticator import sts
from rolecall.clusters import transport
from rolecall.errors import RolecallError
from rolecall.exec_plugin import https_client
from rolecall.exec_plugin.botocore_credentials import fetch
from rolecall.exec_plugin.credential_plan import Source
from rolecall.exec_plugin.settings import Settings
from rolecall.lab.kubernetes.certificates import Authority, ensure_certificates, serving_context
from rolecall.tls import authorities_for_botocore, client_context

SOURCE = Path(__file__).resolve().parents[1] / "src" / "rolecall"
OF_3_13 = ssl.VERIFY_X509_STRICT | ssl.VERIFY_X509_PARTIAL_CHAIN


@pytest.fixture(autouse=True)
def newer_python(monkeypatch: pytest.MonkeyPatch) -> None:
    """What Python 3.13 does, on every Python."""
    usual = ssl.create_default_context

    def strict(*arguments: object, **named: object) -> ssl.SSLContext:
        context = usual(*arguments, **named)  # type: ignore[arg-type]
        context.verify_flags |= OF_3_13
        return context

    monkeypatch.setattr(ssl, "create_default_context", strict)


class Server:
    """Speaks TLS on the loopback interface and says hello."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.address = self._listener.getsockname()
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._listener.accept()
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    connection.sendall(b"hello")
            except ssl.SSLError:
                continue
            except OSError:
                return

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Server]]:
    folder = tmp_path_factory.mktemp("ca")
    ensure_certificates(folder, datetime.now(UTC), old_ca=True)
    server = Server(serving_context(folder / "serving.pem"))
    yield folder / "ca.pem", server
    server.close()


CLIENTS: dict[str, Callable[[Path], ssl.SSLContext]] = {
    "any client": lambda ca: client_context(cafile=ca),
    "a cluster's API": lambda ca: transport.tls_context(transport.Endpoint("https://127.0.0.1", ca_pem=ca.read_text())),
    "the credential plugin": lambda ca: https_client.tls_context(str(ca)),
    "the authenticator towards STS": lambda ca: sts.tls_context(str(ca)),
}


def greeting(context: ssl.SSLContext, server: Server, host: str = "127.0.0.1") -> bytes:
    with socket.create_connection(server.address) as plain, context.wrap_socket(plain, server_hostname=host) as secure:
        return secure.recv(16)


def test_a_plain_context_of_newer_python_refuses_it(authority: tuple[Path, Server]) -> None:
    ca, server = authority
    with pytest.raises(ssl.SSLCertVerificationError, match="Missing Authority Key Identifier"):
        greeting(ssl.create_default_context(cafile=ca), server)


@pytest.mark.parametrize("client", CLIENTS)
def test_an_old_authority_is_accepted(client: str, authority: tuple[Path, Server]) -> None:
    ca, server = authority
    assert greeting(CLIENTS[client](ca), server) == b"hello"


@pytest.mark.parametrize("client", CLIENTS)
def test_the_host_and_the_chain_are_checked(client: str, authority: tuple[Path, Server], tmp_path: Path) -> None:
    ca, server = authority
    with pytest.raises(ssl.SSLCertVerificationError, match="Hostname mismatch"):
        greeting(CLIENTS[client](ca), server, "elsewhere.example.com")
    (tmp_path / "other.pem").write_text(Authority(datetime.now(UTC), old=True).pem)
    with pytest.raises(ssl.SSLCertVerificationError):
        greeting(CLIENTS[client](tmp_path / "other.pem"), server)


def test_the_dates_are_checked(tmp_path: Path) -> None:
    ensure_certificates(tmp_path, datetime(2001, 1, 1, tzinfo=UTC), old_ca=True)
    server = Server(serving_context(tmp_path / "serving.pem"))
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        greeting(client_context(cafile=tmp_path / "ca.pem"), server)
    server.close()


def test_contexts_of_clients_are_made_in_one_place() -> None:
    """A context that is made elsewhere would refuse old authorities on a newer Python."""
    found = []
    for path in SOURCE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            name = node.attr if isinstance(node, ast.Attribute) else ""
            if name in ("create_default_context", "PROTOCOL_TLS_CLIENT", "_create_unverified_context"):
                found.append(str(path.relative_to(SOURCE)))
    assert found == ["tls.py"]


def test_botocore_gets_the_authorities_that_openssl_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    # OpenSSL, SSL_CTX_set_default_verify_paths(3): SSL_CERT_FILE; botocore's own settings come first.
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    assert authorities_for_botocore() == ""
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/corp.pem")
    assert authorities_for_botocore() == "/etc/corp.pem"
    assert authorities_for_botocore("/etc/aws.pem") == "/etc/aws.pem"


def test_sources_of_credentials_use_them(monkeypatch: pytest.MonkeyPatch) -> None:
    import botocore.credentials

    seen: list[object] = []

    def resolver(session: Session) -> object:
        seen.append(session.get_config_variable("ca_bundle"))
        raise OSError("enough")

    monkeypatch.setattr(botocore.credentials, "create_credential_resolver", resolver)
    for variables, wanted in (
        ({"SSL_CERT_FILE": "/etc/corp.pem"}, "/etc/corp.pem"),
        ({"SSL_CERT_FILE": "/etc/corp.pem", "AWS_CA_BUNDLE": "/etc/aws.pem"}, "/etc/aws.pem"),
    ):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        settings = Settings("https://sts.eu-west-2.amazonaws.com", "eu-west-2", variables.get("AWS_CA_BUNDLE", ""))
        with pytest.raises(RolecallError):
            fetch(Source("web-identity", "", "the environment"), settings)
        assert seen.pop() == wanted
