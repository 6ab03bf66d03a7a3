"""A stand-in for STS that counts: it answers AssumeRole and GetCallerIdentity as it is told, over plain HTTP."""

from __future__ import annotations

import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs


@dataclass
class StsDouble:
    """How it answers, and what it was asked.

    :ivar calls: the form of each request, flat.
    :ivar errors: answers to give first: status, code, message.
    :ivar codes: MFA codes that are accepted; every other one is refused in STS's words.
    :ivar skew: what its clock is ahead by, in seconds.
    """

    endpoint: str = ""
    calls: list[dict[str, str]] = field(default_factory=list)
    errors: list[tuple[int, str, str]] = field(default_factory=list)
    codes: set[str] = field(default_factory=set)
    delay: float = 0.0
    lifetime: float = 3600.0
    skew: float = 0.0
    raw: bytes | None = None
    session_token: str = "SESSION"
    lock: threading.Lock = field(default_factory=threading.Lock)

    def actions(self) -> list[str]:
        return [call["Action"] for call in self.calls]

    def answer(self, form: dict[str, str], authorization: str) -> tuple[int, bytes]:
        """Status and body for a form; ``authorization`` is the header of a signed request."""
        with self.lock:
            self.calls.append({**form, "key": authorization.split("Credential=")[-1].split("/")[0]})
            number = len(self.calls)
            if self.errors:
                status, code, message = self.errors.pop(0)
                return status, _error(code, message)
        time.sleep(self.delay)
        if self.raw is not None:
            return 200, self.raw
        if form["Action"] == "GetCallerIdentity":
            return 200, (
                b"<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::111122223333:user/people/alice"
                b"</Arn><UserId>AIDACKCEVSQ6C2EXAMPLE</UserId><Account>111122223333</Account>"
                b"</GetCallerIdentityResult></GetCallerIdentityResponse>"
            )
        if "TokenCode" in form and form["TokenCode"] not in self.codes:
            return 403, _error("AccessDenied", "MultiFactorAuthentication failed with invalid MFA one time pass code.")
        ends = (datetime.now(UTC) + timedelta(seconds=self.lifetime)).strftime("%Y-%m-%dT%H:%M:%SZ")
        return 200, (
            f"<{form['Action']}Response><{form['Action']}Result><Credentials>"
            f"<AccessKeyId>ASIA{number:016}</AccessKeyId><SecretAccessKey>secret&amp;{number}</SecretAccessKey>"
            f"<SessionToken>{self.session_token}</SessionToken><Expiration>{ends}</Expiration>"
            f"</Credentials></{form['Action']}Result></{form['Action']}Response>"
        ).encode()


def _error(code: str, message: str) -> bytes:
    return f"<ErrorResponse><Error><Code>{code}</Code><Message>{message}</Message></Error></ErrorResponse>".encode()


@contextmanager
def sts_double(certificate: str = "") -> Iterator[StsDouble]:
    """A stand-in on the loopback interface; over TLS where a PEM file with certificate and key is given."""
    double = StsDouble()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            form = {name: values[0] for name, values in parse_qs(body).items()}
            status, answer = double.answer(form, self.headers["Authorization"] or "")
            self.send_response_only(status)
            self.send_header("Date", formatdate(time.time() + double.skew, usegmt=True))
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    double.endpoint = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield double
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
