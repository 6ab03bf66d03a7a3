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


@contextmanager
def proxy(
    answer: bytes = b"HTTP/1.1 200 Connection established\r\nVia: x\r\n\r\n",
) -> Iterator[tuple[int, list[bytes]]]:
    """A proxy that tunnels; gives its port and the heads that it was sent."""
    heads: list[bytes] = []

    def tunnel(client: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += client.recv(1)
        heads.append(head)
        client.sendall(answer)
        if b" 200 " not in answer:
            return
        host, port = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((host.strip("[]"), int(port))) as server:
            threads = [
                threading.Thread(target=_pump, args=pair, daemon=True) for pair in ((client, server), (server, client))
            ]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

    with raw_server(tunnel) as port:
        yield port, heads


def _pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65_536):
            target.sendall(data)
        target.shutdown(socket.SHUT_WR)
    except OSError:
        return


@pytest.mark.parametrize(
    "form", ["http://127.0.0.1:{}", "127.0.0.1:{}", "http://127.0.0.1:{}/ ", "http://me:p%40ss@127.0.0.1:{}"]
)
def test_through_a_proxy(person: Person, certificate: Path, form: str) -> None:
    with sts_double(str(certificate)) as double, proxy() as (port, heads):
        variables = {"AWS_ENDPOINT_URL": double.endpoint, "AWS_REGION": "eu-west-2", "AWS_CA_BUNDLE": str(certificate)}
        person.run("token", "-i", "prod", "-r", ROLE, HTTPS_PROXY=form.format(port), **variables)
        assert double.actions() == ["AssumeRole"]
        assert heads[0].startswith(f"CONNECT {double.endpoint.removeprefix('https://')} HTTP/1.1\r\n".encode())
        assert (b"Proxy-Authorization: Basic bWU6cEBzcw==\r\n" in heads[0]) == ("@" in form)
        person.run(
            "token",
            "-i",
            "x",
            "-r",
            ROLE,
            "--no-cache",
            HTTPS_PROXY="http://127.0.0.1:1",
            NO_PROXY="127.0.0.1",
            **variables,
        )
        assert len(double.calls) == 2


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 502 Bad Gateway\r\n\r\n",
        b"",
        b"nonsense\r\n\r\n",
    ],
)
def test_a_proxy_that_refuses_is_named(person: Person, answer: bytes) -> None:
    with proxy(answer) as (port, _):
        url = f"http://me:secret@127.0.0.1:{port}"
        done = person.run("token", "-i", "prod", "-r", ROLE, AWS_REGION="eu-west-2", HTTPS_PROXY=url, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert f"error: HTTPS_PROXY (127.0.0.1:{port}): " in done.stderr
    assert "secret" not in done.stderr


# botocore `endpoint.py`: REQUESTS_CA_BUNDLE counts after AWS's own settings
def test_which_authorities_are_trusted(person: Person, certificate: Path) -> None:
    with sts_double(str(certificate)) as double:
        variables = {"AWS_ENDPOINT_URL": double.endpoint, "AWS_REGION": "eu-west-2", "ROLECALL_CACHE": "off"}
        run = ("token", "-i", "prod", "-r", ROLE)
        person.run(*run, REQUESTS_CA_BUNDLE=str(certificate), **variables)
        person.run(*run, REQUESTS_CA_BUNDLE="/none", AWS_CA_BUNDLE=str(certificate), **variables)
        assert (
            person.run(
                *run, REQUESTS_CA_BUNDLE=str(certificate), AWS_CA_BUNDLE="/none", check=False, **variables
            ).returncode
            == 1
        )
        credentials = (person.home / ".aws" / "credentials").read_text()
        person.write(f"[default]\nca_bundle = {certificate}\n", credentials)
        person.run(*run, REQUESTS_CA_BUNDLE="/none", **variables)
        assert len(double.calls) == 3


def test_a_container_over_tls_is_asked_with_the_same_authorities(person: Person, certificate: Path) -> None:
    body = b'{"AccessKeyId": "ASIAMACHINE000000001", "SecretAccessKey": "s", "Token": "t", "Expiration": "2999-01-01T00:00:00Z"}'
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(certificate))

    def answer(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secure:
            secure.recv(4000)
            secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))

    person.write(credentials="")
    with raw_server(answer) as port:
        variables = {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": f"https://127.0.0.1:{port}/role?a=b",
            "AWS_REGION": "eu-west-2",
        }
        person.run("token", "-i", "prod", AWS_CA_BUNDLE=str(certificate), **variables)
        refused = person.run("token", "-i", "prod", check=False, **variables)
    assert (refused.returncode, "certificate is not trusted" in refused.stderr) == (1, True)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/x",
        "http://example.com/x",
        "ftp://127.0.0.1/x",
        "127.0.0.1",
        "http://127.0.0.1:99999/x",
        "http://me@127.0.0.1/x",
        "http://127.0.0.1.evil.example/x",
    ],
)
def test_a_container_elsewhere_is_not_asked_in_plain(person: Person, url: str) -> None:
    person.write(credentials="")
    done = person.run("token", "-i", "x", AWS_CONTAINER_CREDENTIALS_FULL_URI=url, AWS_REGION="eu-west-2", check=False)
    assert (done.returncode, "AWS_CONTAINER_CREDENTIALS_FULL_URI" in done.stderr) == (1, True)
    assert "Traceback" not in done.stderr


BODIES = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabcdef", b"abc"),
    (b"HTTP/1.1 200 OK\r\n\r\nabc", b"abc"),
    (b"HTTP/1.0 200\r\n\r\n", b""),
    (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
    (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nx", b"x"),
    # RFC 9112, 7.1
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n", b"abcde"),
]


@pytest.mark.parametrize(("answer", "body"), BODIES)
@pytest.mark.parametrize("size", [1, 7, 1000])
def test_answers_in_any_pieces(answer: bytes, body: bytes, size: int) -> None:
    def send(connection: socket.socket) -> None:
        connection.recv(1000)
        for place in range(0, len(answer), size):
            connection.sendall(answer[place : place + size])

    with raw_server(send) as port:
        settings = Settings(f"http://127.0.0.1:{port}", "eu-west-2")
        assert request(settings, "GET", "/", {}, b"", {}).body == body


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nab", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n" + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: \xb2\r\n\r\n", b"HTTP/2 200\r\n\r\n", b"HTTP/1.1 \xb2\xb2\xb2 OK\r\n\r\n", b"x" * 40_000,
    ],
)  # fmt: skip
def test_answers_that_are_cut_off_or_too_long(answer: bytes) -> None:
    def send(connection: socket.socket) -> None:
        connection.recv(1000)
        connection.sendall(answer)

    with raw_server(send) as port, pytest.raises(UnreachableError):
        ask(port, connect_timeout=2.0, read_timeout=2.0)
