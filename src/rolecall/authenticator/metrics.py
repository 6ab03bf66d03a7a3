"""Metrics: every name of aws-iam-authenticator v0.7 (``pkg/metrics/metrics.go``), and phases, reloads and caches.

With several workers each keeps its figures in files of a folder that all of them read, by the number of its place and
not of its process: a worker that replaces another goes on with its figures, so that no counter ever falls.
"""

from __future__ import annotations

import os
from pathlib import Path

import prometheus_client
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
    values,
)
from prometheus_client.multiprocess import MultiProcessCollector

NAMESPACE = "aws_iam_authenticator"
CONTENT_TYPE = prometheus_client.CONTENT_TYPE_LATEST
# Results of an authentication; the slip in "uknown_user" is the original's, and dashboards have it.
MALFORMED, INVALID, STS_ERROR = "malformed_request", "invalid_token", "sts_error"
STS_THROTTLING, UNKNOWN, SUCCESS = "sts_throttling", "uknown_user", "success"
RATE_LIMITED, NOT_READY = "rate_limited", "not_ready"
PHASES = ("parse", "sts", "mapping")
_FINE = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def share_between_workers(folder: Path, place: int) -> None:
    """Keep this process's figures in ``folder`` under its place; to be called before :class:`Metrics` is made."""
    os.environ[FOLDER_VARIABLE] = str(folder)
    values.ValueClass = values.MultiProcessValue(lambda: place)  # type: ignore[no-untyped-call]


class Metrics:
    """The collectors of one process."""

    def __init__(self) -> None:
        self._shared = FOLDER_VARIABLE in os.environ
        self.registry = registry = CollectorRegistry()
        # Times of creation double the length of a scrape, and nobody asks for them.
        disable_created_metrics()  # type: ignore[no-untyped-call]
        if not self._shared:
            ProcessCollector(registry=registry)

        def counter(name: str, text: str, labels: tuple[str, ...] = ()) -> Counter:
            return Counter(name, text, labels, namespace=NAMESPACE, registry=registry)

        def gauge(name: str, text: str, labels: tuple[str, ...] = (), *, summed: bool = False) -> Gauge:
            mode = "sum" if summed else "max"
            return Gauge(
                name,
                text,
                labels,
                namespace=NAMESPACE,
                registry=registry,
                multiprocess_mode=mode,  # type: ignore[arg-type]
            )

        def histogram(name: str, text: str, labels: tuple[str, ...], buckets: tuple[float, ...]) -> Histogram:
            return Histogram(name, text, labels, namespace=NAMESPACE, registry=registry, buckets=buckets)

        latency = histogram("authenticate_latency_seconds", "Authenticate call latency", ("result",), _FINE)
        results = (MALFORMED, INVALID, STS_ERROR, STS_THROTTLING, UNKNOWN, SUCCESS, RATE_LIMITED, NOT_READY)
        # Looked up once: finding a label's child takes longer than counting.
        self.authenticate = {result: latency.labels(result) for result in results}
        phase = histogram("phase_latency_seconds", "Latency of the phases of an authentication", ("phase",), _FINE)
        self.phase = {name: phase.labels(name) for name in PHASES}
        self.authorize = histogram("authorize_latency_seconds", "Authorize call latency", ("result",), _FINE)
        self.config_map_watch_failures = counter("configmap_watch_failures_total", "EKS Configmap watch failures")
        self.dynamic_file_failures = counter("dynamicfile_failures_total", "Dynamic file failures")
        self.sts_connection_failures = counter(
            "sts_connection_failures_total", "Sts call could not succeed or timedout", ("StsRegion",)
        )
        self.sts_throttling = counter("sts_throttling_total", "Sts call got throttled", ("StsRegion",))
        self.sts_responses = counter(
            "sts_responses_total", "Sts responses with error code label", ("ResponseCode", "StsRegion")
        )
        # A gauge, because a counter's name would get a suffix here that the original's has not.
        self.sts_disabled_region = gauge(
            "sts_disabled_region_call", "Number of STS calls made to regions that are disabled / disabling", summed=True
        )
        self.ec2_calls = counter("ec2_describe_instances_calls_total", "Number of EC2 describe instances calls.")
        self.dynamic_latency = histogram(
            "dynamic_e2e_latency_seconds",
            "End to end latency in seconds partitioned by type.",
            ("type",),
            (1, 3, 5, 10, 15, 20, 30, 60),
        )
        self.dynamic_file_enabled = gauge("dynamic_file_enabled", "Dynamic file in backend mode is enabled")
        self.dynamic_file_only = gauge("dynamic_file_only", "Only dynamic file in backend mode is enabled")
        self.tokens = counter("verified_tokens_total", "Tokens by where their identity came from", ("source",))
        self.token_cached, self.token_joined, self.token_asked = (
            self.tokens.labels(source) for source in ("cache", "in_flight", "sts")
        )
        self.reloads = counter("mapping_reloads_total", "Mappings read again, by outcome", ("backend", "outcome"))
        self.mapping_broken = gauge("mapping_broken", "1 while the newest mapping is not in force", ("backend",))
        self.audit_failures = counter("audit_failures_total", "Audit records that could not be written")

    def exposition(self) -> bytes:
        """The text for Prometheus, over all workers."""
        if not self._shared:
            return bytes(generate_latest(self.registry))
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
        return bytes(generate_latest(registry))
