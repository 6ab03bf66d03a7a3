"""One process of the authenticator: its mappings, its way to STS, its webhook, from start to a graceful end."""

from __future__ import annotations

import asyncio
import gc
import logging
import signal
import ssl
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

from prometheus_client import Counter

from rolecall.authenticator.certificates import CertificateError, CertificateFiles, load_context, load_into
from rolecall.authenticator.decision_log import AuditLog, Log, StandardLogging
from rolecall.authenticator.http_server import TEXT, HttpServer, Request, Response
from rolecall.authenticator.mapping_store import MappingStore
from rolecall.authenticator.metrics import Metrics
from rolecall.authenticator.principal_proof import PrincipalProofs
from rolecall.authenticator.private_dns import PrivateDnsNames, ec2_describe
from rolecall.authenticator.rate_limit import RateLimit
from rolecall.authenticator.review import Review
from rolecall.authenticator.sources import Sources
from rolecall.authenticator.sts import AwsSts, StsEvents, tls_context
from rolecall.authenticator.verified_tokens import VerifiedTokens
from rolecall.authenticator.webhook import Webhook
from rolecall.authenticator.worker_options import WorkerOptions
from rolecall.mapping.backends.chain import (
    ACCESS_ENTRIES,
)
from rolecall.model import Identity
from rolecall.tokens.hosts import StsHosts

DRAIN_SECONDS = 10.0
CERTIFICATE_SECONDS = 1.0
LATE_SECONDS = 0.2
# Connections of kubelets and load balancers that ask for /healthz without TLS.
MAX_PROBES = 64


async def run_worker(options: WorkerOptions) -> None:
    """Serve until SIGTERM or SIGINT, or until ``parent`` is gone; then finish what is under way."""
    settings, log = options.settings, options.log
    root = logging.getLogger()
    root.handlers[:] = [StandardLogging(log)]
    metrics = Metrics()
    store = MappingStore(settings, options.modes, log, metrics)
    audit = AuditLog(settings.audit_log)
    stopped = _stop_signals(options.parent)
    tls = load_context(options.files)
    async with AwsSts(
        tls=tls_context(settings.sts_ca_file),
        connections=settings.sts_connections,
        seconds=settings.sts_timeout_seconds,
        own_endpoint=settings.sts_endpoint,
        events=_sts_events(metrics),
    ) as sts:
        proofs = PrincipalProofs(options.files.key.read_bytes(), settings.cluster_id)
        webhook = _webhook(options, sts, store, audit, metrics, proofs if ACCESS_ENTRIES in options.modes else None)
        server = HttpServer(webhook.handle)
        webhook.is_draining = lambda: server.draining
        running: list[asyncio.Task[None]] = []

        def start(part: Coroutine[Any, Any, None]) -> None:
            running.append(asyncio.create_task(part))
            running[-1].add_done_callback(lambda done: _died(done, log, stopped))

        Sources(options, store, metrics, lambda source: start(source.run())).start()
        start(_watch_certificate(tls, options.files, log, proofs))
        start(_reopen(audit))
        await server.listen(options.listening, tls)
        health = HttpServer(_healthz, most=MAX_PROBES)
        if options.healthz is not None:
            await health.listen(options.healthz, None)
        _spare_the_collector()
        options.ready()
        await stopped.wait()
        log.info("shutting down")
        await server.drain(DRAIN_SECONDS)
        await health.drain(0.0)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)


def _spare_the_collector() -> None:
    """Keep what is there from the start out of garbage collections, which would walk all of it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)


def _webhook(
    options: WorkerOptions,
    sts: AwsSts,
    store: MappingStore,
    audit: AuditLog,
    metrics: Metrics,
    proofs: PrincipalProofs | None,
) -> Webhook:
    settings = options.settings
    own = frozenset({settings.sts_endpoint.partition("://")[2]} if settings.sts_endpoint else ())
    hosts = StsHosts(settings.partition, own, frozenset(settings.sts_regions))
    review = Review(settings.cluster_id, hosts, sts, lambda one: store.chain.resolve(one), settings.max_token_length)

    async def ask(token: str) -> tuple[Identity, datetime]:
        call = review.read(token, now=datetime.now(UTC))
        metrics.token_asked.inc()
        return await review.confirm(call)

    names = PrivateDnsNames(
        ec2_describe(settings),
        rate=settings.ec2_qps,
        burst=settings.ec2_burst,
        log=options.log,
        counted=metrics.ec2_calls.inc,
    )
    return Webhook(
        cluster=settings.cluster_id,
        tokens=VerifiedTokens(ask, settings.token_cache_seconds),
        store=store,
        private_dns_name=names,
        log=options.log,
        audit=audit,
        metrics=metrics,
        rate_limit=RateLimit(settings.client_rate),
        proofs=proofs,
        api_audiences=settings.api_audiences,
    )


def _sts_events(metrics: Metrics) -> StsEvents:
    # A token's host was looked up in the list of regions before STS is asked, so there are few of them.
    responses: dict[tuple[int, str], Counter] = {}

    def answered(status: int, region: str) -> None:
        found = responses.get((status, region))
        if found is None:
            found = responses[status, region] = metrics.sts_responses.labels(str(status), region)
        found.inc()

    return StsEvents(
        answered=answered,
        failed=lambda region: metrics.sts_connection_failures.labels(region).inc(),
        throttled=lambda region: metrics.sts_throttling.labels(region).inc(),
        region_disabled=metrics.sts_disabled_region.inc,
    )


def _healthz(request: Request) -> Response:
    return Response(200, b"ok", TEXT) if request.path == "/healthz" else Response(404, b"404 page not found\n", TEXT)


def _stop_signals(parent: int | None) -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    if parent is not None:

        def gone() -> None:
            loop.remove_reader(parent)
            stopped.set()

        # Nothing is ever written to the pipe: it becomes readable when its other end is closed.
        loop.add_reader(parent, gone)
    return stopped


async def _watch_certificate(tls: ssl.SSLContext, files: CertificateFiles, log: Log, proofs: PrincipalProofs) -> None:
    """Serve new connections with a new certificate, whenever there is one, and prove with its key."""
    last = files.state()
    while True:
        await asyncio.sleep(CERTIFICATE_SECONDS)
        found = files.state()
        if found == last or not found:
            continue
        try:
            load_into(tls, files)
            proofs.renew(files.key.read_bytes())
        except CertificateError as error:
            # The key may be a moment behind its certificate: say so once it has stayed so.
            await asyncio.sleep(LATE_SECONDS)
            if files.state() == found:
                last = found
                log.error("the new certificate is not used", certPath=str(files.certificate), error=error.what)
            continue
        last = found
        log.info("loaded a new certificate", certPath=str(files.certificate))


async def _reopen(audit: AuditLog) -> None:
    while True:
        await asyncio.sleep(1.0)
        audit.reopen()


def _died(done: asyncio.Task[None], log: Log, stopped: asyncio.Event) -> None:
    """A source never ends by itself; a server whose mappings stand still must not look healthy."""
    if done.cancelled() or stopped.is_set():
        return
    error = done.exception()
    log.error("a part of the server has stopped: it ends, to be started again", error=repr(error)[:300])
    stopped.set()
