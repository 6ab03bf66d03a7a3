"""STS as tests need it: right, slow, throttling, gone, talking nonsense. It says who the token's key id names."""

from __future__ import annotations

import asyncio
import json
import re
import ssl
from dataclasses import dataclass, field
from typing import Any

KEY = re.compile(rb"X-Amz-Credential=([A-Z0-9]+)")
ROLES = {
    # key id -> (ARN, user id)
    "ASIADEVDEVDEVDEVDEV1": ("arn:aws:sts::111122223333:assumed-role/Dev/ann@example.com", "AROADEV:ann@example.com"),
    "ASIAOPSOPSOPSOPSOPS1": ("arn:aws:sts::111122223333:assumed-role/Ops/bob", "AROAOPS:bob"),
    "ASIANODENODENODENOD1": (
        "arn:aws:sts::111122223333:assumed-role/Node/i-0123456789abcdef0",
        "AROANODE:i-0123456789abcdef0",
    ),
    "ASIASSOSSOSSOSSOSSO1": (
        "arn:aws:sts::111122223333:assumed-role/AWSReservedSSO_Admin_0123456789abcdef/cy",
        "AROASSO:cy",
    ),
    "ASIASECRETSECRETSEC1": ("arn:aws:sts::999999999999:assumed-role/Hidden/eve", "AROAHIDDEN:eve"),
    "AKIAUSERUSERUSERUSE1": ("arn:aws:iam::111122223333:user/people/dan", "AIDADAN"),
    "AKIAROOTROOTROOTROO1": ("arn:aws:iam::111122223333:root", "111122223333"),
    "ASIAFEDFEDFEDFEDFED1": ("arn:aws:sts::111122223333:federated-user/fred", "111122223333:fred"),
    "ASIABADBADBADBADBAD1": ("arn:aws:sts::111122223333:federated-user/fred", "111122223333"),
}
DEV, OPS, NODE, SSO, HIDDEN, USER, ROOT, FEDERATED, MALFORMED = ROLES


@dataclass
class StsStandIn:
    """An HTTP server on the loopback interface.

    :ivar status: of the next answers; ``body`` replaces the identity where it is set.
    :ivar asked: the heads of the requests.
    :ivar tls: to speak TLS with.
    """

    status: int = 200
    body: bytes | None = None
    raw: bytes | None = None
    delay: float = 0.0
    hang_up: bool = False
    headers: str = ""
    asked: list[bytes] = field(default_factory=list)
    connections: int = 0
    close_after: int = 0
    tls: ssl.SSLContext | None = None

    async def __aenter__(self) -> StsStandIn:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self.tls)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self._writers: set[asyncio.StreamWriter] = set()
        return self

    async def __aexit__(self, *_: Any) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def endpoint(self) -> str:
        return f"http{'s' if self.tls else ''}://{self.host}"

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.add(writer)
        served = 0
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                self.asked.append(head)
                if self.hang_up:
                    break
                await asyncio.sleep(self.delay)
                writer.write(self.raw if self.raw is not None else self._answer(head))
                await writer.drain()
                served += 1
                if self.close_after and served >= self.close_after:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            self._writers.discard(writer)
            writer.close()

    def _answer(self, head: bytes) -> bytes:
        body = self.body
        if body is None:
            found = KEY.search(head)
            arn, user_id = ROLES.get(found[1].decode() if found else "", ("", ""))
            if self.status == 200 and not arn:
                return _response(403, b'{"Error":{"Code":"InvalidClientTokenId"}}', "")
            result = {"Arn": arn, "Account": arn.split(":")[4] if arn else "", "UserId": user_id}
            body = json.dumps({"GetCallerIdentityResponse": {"GetCallerIdentityResult": result}}).encode()
        return _response(self.status, body, self.headers)


def _response(status: int, body: bytes, headers: str) -> bytes:
    return f"HTTP/1.1 {status} X\r\n{headers}Content-Length: {len(body)}\r\n\r\n".encode() + body
