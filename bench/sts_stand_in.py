"""A stand-in for STS that costs next to nothing: every GET is answered with one identity, over TLS or plainly.

What the authenticator can do is measured against it in the same run, so it parses no more than the end of the head.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import ssl
import sys

import uvloop

IDENTITY = {
    "GetCallerIdentityResponse": {
        "GetCallerIdentityResult": {
            "Account": "111122223333",
            "Arn": "arn:aws:sts::111122223333:assumed-role/Dev/ann@example.com",
            "UserId": "AROAEXAMPLEEXAMPLE123:ann@example.com",
        },
        "ResponseMetadata": {"RequestId": "00000000-0000-0000-0000-000000000000"},
    }
}
BODY = json.dumps(IDENTITY).encode()
ANSWER = (
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: "
    + str(len(BODY)).encode()
    + b"\r\n\r\n"
    + BODY
)


class StandIn(asyncio.Protocol):
    """Answers as many requests as the received bytes end."""

    def __init__(self) -> None:
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        ended = data.count(b"\r\n\r\n")
        self._rest = b"" if data.endswith(b"\r\n\r\n") else data[data.rfind(b"\r\n\r\n") + 4 :] if ended else data
        if ended:
            self._transport.write(ANSWER * ended)


async def serve(certificate: str, key: str, port: int) -> None:
    tls = None
    if certificate:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        tls.load_cert_chain(certificate, key)
    server = await asyncio.get_running_loop().create_server(StandIn, "127.0.0.1", port, ssl=tls, backlog=1024)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--certificate", default="")
    parser.add_argument("--key", default="")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    uvloop.run(serve(options.certificate, options.key, options.port))
