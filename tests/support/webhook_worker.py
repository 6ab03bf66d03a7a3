"""An authenticator in this process: the real worker on real sockets, asked over TLS."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import logging
import signal
import ssl
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp

from rolecall.authenticator.certificates import ensure_certificate
from rolecall.authenticator.decision_log import Log
from rolecall.authenticator.supervisor import bound_sockets
from rolecall.authenticator.worker import run_worker
from rolecall.authenticator.worker_options import WorkerOptions
from rolecall.mapping.backends.server_config import ServerSettings, mode_names
from rolecall.sigv4 import Credentials
from rolecall.tokens.mint import mint

CLUSTER = "prod"


@dataclass
class Worker:
    """A running worker."""

    url: str
    session: aiohttp.ClientSession
    tls: ssl.SSLContext
    log: io.StringIO
    sts: str

    def token(self, key: str, secret: str = "s") -> str:
        credentials = Credentials(key, secret, "session" if key.startswith("ASIA") else None)
        return mint(credentials, CLUSTER, region="eu-west-2", now=datetime.now(UTC), endpoint=self.sts).value

    async def post(self, path: str, body: Any) -> tuple[int, str]:
        return (await self.exchange(path, body))[:2]

    async def exchange(self, path: str, body: Any) -> tuple[int, str, Mapping[str, str]]:
        """Status, text and headers of an answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        async with self.session.post(f"{self.url}{path}", data=data, ssl=self.tls) as response:
            return response.status, await response.text(), response.headers

    async def get(self, path: str) -> tuple[int, str]:
        async with self.session.get(f"{self.url}{path}", ssl=self.tls) as response:
            return response.status, await response.text()

    async def review(self, token: str, version: str = "v1", **spec: Any) -> tuple[int, dict[str, Any]]:
        question = {
            "apiVersion": f"authentication.k8s.io/{version}",
            "kind": "TokenReview",
            "spec": {"token": token, **spec},
        }
        status, text = await self.post("/authenticate", question)
        return status, json.loads(text) if status == 200 else {"text": text}

    async def who(self, key: str) -> str:
        """The username for a key, empty where it is refused."""
        status, answer = await self.review(self.token(key))
        assert status == 200, answer
        found = answer["status"]
        return str(found["user"]["username"]) if found["authenticated"] else ""

    async def until(self, key: str, username: str, seconds: float = 300.0) -> float:
        """Seconds until a key is taken for ``username``."""
        loop = asyncio.get_running_loop()
        started = loop.time()
        while (found := await self.who(key)) != username:
            assert loop.time() < started + seconds, f"still {found!r}: {self.log.getvalue()}"
            await asyncio.sleep(0.05)
        return loop.time() - started

    async def logged(self, words: str, times: int = 1) -> None:
        """Wait until the log has these words."""
        async with asyncio.timeout(300):
            while self.log.getvalue().count(words) < times:  # noqa: ASYNC110 -- a stream tells nobody
                await asyncio.sleep(0.02)


@contextlib.asynccontextmanager
async def worker(folder: Path, sts: str, config: Path | None = None, **settings: Any) -> AsyncIterator[Worker]:
    """Run a worker; it is stopped at the end, as SIGTERM stops it."""
    options = ServerSettings(
        **{"cluster_id": CLUSTER, "state_dir": str(folder / "state"), "sts_endpoint": sts, "client_rate": 0, **settings}
    )
    stream = io.StringIO()
    log = Log("text", "info", stream)
    files = ensure_certificate(options, datetime.now(UTC), log)
    listening = bound_sockets("127.0.0.1", 0, 1)[0]
    port = listening.getsockname()[1]
    ready = asyncio.Event()
    modes = mode_names(options.backend_modes)
    handlers = logging.getLogger().handlers[:]
    task = asyncio.create_task(
        run_worker(WorkerOptions(options, str(config or ""), files, listening, log, modes=modes, ready=ready.set))
    )
    try:
        waiting = asyncio.create_task(ready.wait())
        await asyncio.wait({task, waiting}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        tls = ssl.create_default_context(cafile=files.certificate)
        async with aiohttp.ClientSession() as session:
            yield Worker(f"https://localhost:{port}", session, tls, stream, sts)
    finally:
        if not task.done():
            signal.raise_signal(signal.SIGTERM)
        await asyncio.wait_for(task, 300)
        logging.getLogger().handlers[:] = handlers
