"""Where the backends' mappings come from: the source of each runs from the moment its backend is asked.

The order of the backends can change while the server runs (``dynamicBackendModePath``), to any backend that the
settings make possible, as in aws-iam-authenticator v0.7 ``pkg/server/server.go`` (``CallBackForFileLoad``).
"""

from __future__ import annotations

import os
from collections.abc import Callable

from rolecall.authenticator import file_sources
from rolecall.authenticator.mapping_store import MappingStore, Source, Version
from rolecall.authenticator.metrics import Metrics
from rolecall.authenticator.worker_options import WorkerOptions
from rolecall.mapping.backends.chain import (
    EKS_CONFIG_MAP,
    MOUNTED_FILE,
    TableBackend,
)
from rolecall.mapping.backends.entry_table import EntryTable, MatchOptions
from rolecall.mapping.backends.server_config import ConfigError


class Sources:
    """The sources of one worker.

    :param run: starts a source in the worker's event loop.
    """

    def __init__(
        self, options: WorkerOptions, store: MappingStore, metrics: Metrics, run: Callable[[Source], None]
    ) -> None:
        settings = options.settings
        self._options = options
        self._store = store
        self._metrics = metrics
        self._run = run
        self._matching = MatchOptions(settings.sso_role_match, settings.role_paths, settings.wildcard_arns)
        self._started: set[str] = set()
        self._is_serving = False
        self._configuration: file_sources.ConfigurationFile | None = None

    def start(self) -> None:
        """Start what the configured order asks for, and watch the file that changes the order.

        Files are read before this returns, so that their mappings and prefixes are in force from the first answer.
        """
        settings, modes = self._options.settings, self._options.modes
        if self._options.config_file:
            # Also without MountedFile: reserved prefixes are for every backend.
            configuration = file_sources.ConfigurationFile(self._options.config_file, self._store, self._matching)
            self._configuration = configuration
        self._start(modes)
        if self._configuration is not None:
            self._run_file(self._configuration)
        if settings.dynamic_backend_mode_file:
            path = settings.dynamic_backend_mode_file
            self._run_file(file_sources.backend_mode_file(path, self._store, self._metrics, modes, self.use))

        self._is_serving = True

    def _run_file(self, source: file_sources.WatchedFile | file_sources.ConfigurationFile) -> None:
        if not self._is_serving:
            source.look()
        self._run(source)

    def use(self, modes: tuple[str, ...]) -> None:
        """Ask these backends in this order from now on; :class:`ConfigError` if one of them cannot be asked."""
        for mode in modes:
            if why := self._why_not(mode):
                raise ConfigError(f"{mode} cannot be used: {why}")
        self._start(modes)
        self._store.set_modes(modes)

    def _why_not(self, mode: str) -> str:
        """What a backend that is not among the configured ones lacks; empty if nothing."""
        settings = self._options.settings
        if mode in self._options.modes:
            return ""
        match mode:
            case "DynamicFile":
                return "" if settings.dynamic_file else "dynamicfilepath is not set"
            case "AccessEntries":
                has_entries = settings.access_entries_file or settings.access_entries_cluster
                return "" if has_entries else "neither accessEntriesFile nor accessEntriesCluster is set"
            case "EKSConfigMap" | "CRD":
                has_cluster = settings.kubeconfig or settings.master or os.environ.get("KUBERNETES_SERVICE_HOST")
                return "" if has_cluster else "not in a pod, and neither kubeconfig nor master is set"
            case _:
                return ""

    def _start(self, modes: tuple[str, ...]) -> None:
        for mode in modes:
            if mode not in self._started:
                self._started.add(mode)
                self._start_one(mode)

    def _start_one(self, mode: str) -> None:
        settings, store = self._options.settings, self._store
        match mode:
            case "MountedFile":
                if self._configuration is not None:
                    self._configuration.serve_mappings()
                else:
                    store.take(Version(TableBackend(MOUNTED_FILE, EntryTable()), "no configuration file"))
            case "DynamicFile":
                self._run_file(
                    file_sources.dynamic_file(
                        settings.dynamic_file,
                        store,
                        self._matching,
                        self._metrics,
                        user_id_strict=settings.user_id_strict,
                    )
                )
            case "EKSConfigMap" | "CRD":
                self._run(self._of_cluster(mode))
            case _:
                self._start_entries()

    def _of_cluster(self, mode: str) -> Source:
        # Libraries for clusters are imported for these backends only.
        from rolecall.authenticator.cluster_sources import ClusterAddress, config_map, identity_mappings

        settings = self._options.settings
        address = ClusterAddress(settings.kubeconfig, settings.master)
        if mode == EKS_CONFIG_MAP:
            return config_map(address, self._store, self._matching, self._metrics)
        log, is_first = self._options.log, self._options.place == 0
        return identity_mappings(address, self._store, self._matching, log, write_status=is_first)

    def _start_entries(self) -> None:
        settings = self._options.settings
        if settings.access_entries_file:
            self._run_file(file_sources.access_entry_file(settings.access_entries_file, self._store))
            return
        from rolecall.authenticator.eks_entries import EksEntries

        cluster, seconds = settings.access_entries_cluster, settings.access_entries_seconds
        self._run(EksEntries(cluster, settings.region, seconds, self._store, self._options.log))
