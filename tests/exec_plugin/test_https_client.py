"""How STS is reached: certificates are verified, proxies are used, and neither time nor size is without end."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from exec_plugin_person import ROLE, Person
from rolecall.exec_plugin.https_client import UnreachableError, request
from rolecall.exec_plugin.settings import Settings
from sts_double import sts_double


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A PEM file of a self-signed certificate for 127.0.0.1, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "sts")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
        .serial_number(1).not_valid_before(now - timedelta(hours=1)).not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .sign(key, hashes.SHA256())
    )  # fmt: skip
    path = tmp_path / "sts.pem"
    path.write_bytes(
        made.public_bytes(serialization.Encoding.PEM)
        + key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return path


def test_only_a_certificate_that_is_trusted(person: Person, certificate: Path) -> None:
    with sts_double(str(certificate)) as double:
        variables = {"AWS_ENDPOINT_URL": double.endpoint, "AWS_REGION": "eu-west-2"}
        refused = person.run("token", "-i", "prod", "-r", ROLE, check=False, **variables)
        assert refused.returncode == 1
        assert "certificate is not trusted" in refused.stderr
        assert "AWS_CA_BUNDLE" in refused.stderr
        assert double.calls == []
        person.run("token", "-i", "prod", "-r", ROLE, AWS_CA_BUNDLE=str(certificate), **variables)
        assert double.actions() == ["AssumeRole"]
        missing = person.run("token", "-i", "x", "-r", ROLE + "2", AWS_CA_BUNDLE="/none", check=False, **variables)
        assert "certificate authorities cannot be read" in missing.stderr


@contextmanager
def raw_server(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with connection:
                try:
                    answer(connection)
                except (OSError, ssl.SSLError):
                    continue

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()[1]
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()


def ask(port: int, **timeouts: float) -> None:
    request(Settings(f"http://127.0.0.1:{port}", "eu-west-2", **timeouts), "POST", "/", {}, b"x", {})


def test_a_host_that_says_nothing() -> None:
    started = time.monotonic()
    with (
        raw_server(lambda connection: time.sleep(1.5)) as port,
        pytest.raises(UnreachableError, match="in time") as error,
    ):
        ask(port, connect_timeout=0.3, read_timeout=0.3)
    assert error.value.sent
    assert time.monotonic() - started < 10


def test_a_host_that_never_ends() -> None:
    def drip(connection: socket.socket) -> None:
        connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        for _ in range(40):
            connection.sendall(b"x")
            time.sleep(0.05)

    with raw_server(drip) as port, pytest.raises(UnreachableError, match="in time"):
        ask(port, connect_timeout=0.3, read_timeout=0.3)


@pytest.mark.parametrize(
    "head",
    [b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 200_000, b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n" + b"x" * 100_000,
     b"\x00" * 100, b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 500 + b"\r\n", b"HTTP/1.1 999999 x\r\n\r\n", b""],
)  # fmt: skip
def test_answers_that_are_none(head: bytes) -> None:
    def send(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(head)

    with raw_server(send) as port, pytest.raises(UnreachableError):
        ask(port, connect_timeout=2.0, read_timeout=2.0)


def test_a_proxy_is_asked_for_a_tunnel() -> None:
    seen: list[bytes] = []

    def refuse(connection: socket.socket) -> None:
        seen.append(connection.recv(4000))
        connection.sendall(b"HTTP/1.1 403 no\r\n\r\n")

    settings = Settings("https://sts.eu-west-2.amazonaws.com", "eu-west-2")
    with raw_server(refuse) as port, pytest.raises(UnreachableError):
        request(settings, "POST", "/", {}, b"", {"HTTPS_PROXY": f"http://me:p%40ss@127.0.0.1:{port}"})
    assert seen[0].startswith(b"CONNECT sts.eu-west-2.amazonaws.com:443 HTTP/1")
    assert b"Proxy-Authorization: Basic bWU6cEBzcw==" in seen[0]
