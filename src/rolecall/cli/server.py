"""``rolecall server`` and ``rolecall init``: the flags, variables and file of aws-iam-authenticator, and our own."""

from __future__ import annotations

import sys
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rolecall.cli.extras import require_extra
from rolecall.cli.go_flags import whole_number
from rolecall.cli.server_settings import (
    CLUSTER_VARIABLE,
    DIRECTORIES_GATE,
    LEVEL_VARIABLE,
    GlobalFlags,
    gates,
    read_settings,
)

OURS, TUNING = "Options that aws-iam-authenticator does not have", "Towards STS"
DEFAULT_KUBECONFIG = "aws-iam-authenticator.kubeconfig"


class KeepOrEmpty(StrEnum):
    """What becomes of a mapping that is gone."""

    keep = "keep"
    empty = "empty"


class KeepOrPartial(StrEnum):
    """What becomes of a mapping that is broken."""

    keep = "keep"
    partial = "partial"


def _option(*names: str, metavar: str = "", text: str, panel: str | None = None) -> Any:
    return typer.Option(*names, metavar=metavar or None, help=text, rich_help_panel=panel, show_default=False)


def _number(name: str, *, metavar: str, text: str, panel: str | None = None) -> Any:
    return typer.Option(
        name, metavar=metavar, help=text, rich_help_panel=panel, show_default=False, parser=whole_number
    )


Config = Annotated[str | None, _option("--config", "-c", metavar="FILE", text="Configuration file.")]
ClusterId = Annotated[
    str | None,
    _option(
        "--cluster-id",
        "-i",
        metavar="ID",
        text=f"Cluster ID, the same as in the clients' tokens (or ${CLUSTER_VARIABLE}).",
    ),
]
LogForm = Annotated[
    str,
    _option(
        "--log-format",
        "-l",
        metavar="FORMAT",
        text="Format of the log on standard error: text or json (default: text).",
    ),
]
LogLevel = Annotated[
    str | None,
    _option(
        "--log-verbosity",
        "-v",
        metavar="LEVEL",
        text=f"Lowest level to log: error, warning, info, debug or trace (default: ${LEVEL_VARIABLE} or info).",
    ),
]
OldLogLevel = Annotated[str | None, typer.Option("--loglevel", hidden=True)]
Gates = Annotated[
    list[str] | None,
    _option(
        "--feature-gates",
        metavar="NAME=true|false,...",
        text="Feature gates: SSORoleMatch (default: on), ConfiguredInitDirectories.",
    ),
]
Partition = Annotated[
    str | None,
    _option(
        "--partition", "--aws-partition", "-p", metavar="NAME", text="AWS partition of the STS hosts (default: aws)."
    ),
]
Address = Annotated[
    str | None, _option("--address", metavar="IP", text="IP address to listen on (default: 127.0.0.1).")
]
Port = Annotated[int | None, _number("--port", metavar="PORT", text="Port to listen on (default: 21362).")]
Hostname = Annotated[
    str | None,
    _option("--hostname", metavar="NAME", text="Name for the webhook's URL and certificate (default: localhost)."),
]
StateDir = Annotated[
    str | None,
    _option(
        "--state-dir",
        metavar="DIRECTORY",
        text="Directory of the generated certificate and key (default: /var/aws-iam-authenticator).",
    ),
]
GenerateKubeconfig = Annotated[
    str | None,
    _option(
        "--generate-kubeconfig",
        metavar="FILE",
        text="Where to write the kubeconfig for --authentication-token-webhook-config-file.",
    ),
]
Pregenerated = Annotated[
    bool | None, _option("--kubeconfig-pregenerated/--no-kubeconfig-pregenerated", text="Do not write that kubeconfig.")
]
Kubeconfig = Annotated[
    str | None,
    _option(
        "--kubeconfig",
        metavar="FILE",
        text="Kubeconfig for the backends EKSConfigMap and CRD (default: the pod's service account).",
    ),
]
Master = Annotated[str | None, _option("--master", metavar="URL", text="URL of the API server for these backends.")]
Backends = Annotated[
    list[str] | None,
    _option(
        "--backend-mode",
        metavar="NAME,...",
        text="Backends in order: MountedFile, EKSConfigMap, CRD, DynamicFile, AccessEntries (default: MountedFile).",
    ),
]
Ec2Qps = Annotated[
    int | None, _number("--ec2-describeInstances-qps", metavar="NUMBER", text="Calls to EC2 per second (default: 15).")
]
Ec2Burst = Annotated[
    int | None, _number("--ec2-describeInstances-burst", metavar="NUMBER", text="Calls to EC2 at once (default: 5).")
]
Scrubbed = Annotated[
    list[str] | None,
    _option(
        "--scrubbed-accounts", metavar="ACCOUNT,...", text="Accounts whose identities appear in no log, uid or extra."
    ),
]
DynamicFile = Annotated[
    str | None, _option("--dynamicfilepath", metavar="FILE", text="File of the backend DynamicFile.")
]
UserIdStrict = Annotated[
    bool | None,
    _option(
        "--dynamicfileUserIDStrict/--no-dynamicfileUserIDStrict",
        text="Match entries of DynamicFile by the principal's unique ID.",
    ),
]
BackendModeFile = Annotated[
    str | None,
    _option("--dynamicBackendModePath", metavar="FILE", text="JSON file that holds the order of the backends."),
]
Audiences = Annotated[
    list[str] | None,
    _option(
        "--api-audiences",
        metavar="NAME,...",
        text="Audiences that kube-apiserver has (default: https://kubernetes.default.svc, also with .cluster.local).",
        panel=OURS,
    ),
]
Workers = Annotated[
    int | None, _number("--workers", metavar="NUMBER", text="Number of processes (default: 1).", panel=OURS)
]
HealthzPort = Annotated[
    int | None,
    _number(
        "--healthz-port", metavar="PORT", text="Port of /healthz without TLS, 0 for none (default: 21363).", panel=OURS
    ),
]
HealthzAddress = Annotated[
    str | None,
    _option(
        "--healthz-address", metavar="IP", text="Address of /healthz without TLS (default: every address).", panel=OURS
    ),
]
TlsCert = Annotated[
    str | None,
    _option("--tls-cert-file", metavar="FILE", text="Your own certificate; reloaded when it changes.", panel=OURS),
]
TlsKey = Annotated[
    str | None, _option("--tls-private-key-file", metavar="FILE", text="Private key of that certificate.", panel=OURS)
]
Audit = Annotated[
    str | None,
    _option(
        "--audit-log",
        metavar="FILE",
        text="Write a record of every decision to this file, or to standard output if it is -.",
        panel=OURS,
    ),
]
MissingMap = Annotated[
    KeepOrEmpty | None,
    _option(
        "--missing-map",
        text="If a mapping is gone: keep the last one, or use an empty one (default: keep).",
        panel=OURS,
    ),
]
BrokenMap = Annotated[
    KeepOrPartial | None,
    _option(
        "--broken-map",
        text="If a mapping is broken: keep the last one, or use what can be read (default: keep).",
        panel=OURS,
    ),
]
RolePaths = Annotated[
    bool | None, _option("--role-paths/--no-role-paths", text="Match role ARNs that have a path.", panel=OURS)
]
Wildcards = Annotated[
    bool | None, _option("--wildcard-arns/--no-wildcard-arns", text="Match * and ? in role names.", panel=OURS)
]
EntriesFile = Annotated[
    str | None, _option("--access-entries", metavar="FILE", text="File of EKS access entries.", panel=OURS)
]
EntriesCluster = Annotated[
    str | None,
    _option("--access-entries-cluster", metavar="CLUSTER", text="EKS cluster to read access entries of.", panel=OURS),
]
EntriesSeconds = Annotated[
    int | None,
    _number("--access-entries-seconds", metavar="SECONDS", text="How often to read them (default: 60).", panel=OURS),
]
Region = Annotated[str | None, _option("--region", metavar="REGION", text="AWS region of EC2 and EKS.", panel=OURS)]
StsEndpoint = Annotated[
    str | None,
    _option(
        "--sts-endpoint",
        metavar="URL",
        text="Trust this endpoint as STS in addition to AWS's own: for labs and tests.",
        panel=TUNING,
    ),
]
StsCa = Annotated[
    str | None, _option("--sts-ca-file", metavar="FILE", text="Certificate authorities of that endpoint.", panel=TUNING)
]
StsRegions = Annotated[
    list[str] | None,
    _option("--sts-regions", metavar="REGION,...", text="Regions newer than this release to trust.", panel=TUNING),
]
StsConnections = Annotated[
    int | None,
    _number(
        "--sts-connections", metavar="NUMBER", text="Connections to the STS of one region (default: 64).", panel=TUNING
    ),
]
StsTimeout = Annotated[
    int | None,
    _number(
        "--sts-timeout-seconds",
        metavar="SECONDS",
        text="Time for one review, retries included (default: 10).",
        panel=TUNING,
    ),
]
TokenCache = Annotated[
    int | None,
    _number(
        "--token-cache-seconds",
        metavar="SECONDS",
        text="How long an answer of STS is remembered, 0 for not at all (default: 10).",
        panel=TUNING,
    ),
]
ClientRate = Annotated[
    int | None,
    _number(
        "--client-rate",
        metavar="NUMBER",
        text="Questions to STS per second and client, 0 for any number (default: 1000).",
        panel=TUNING,
    ),
]
MaxTokenLength = Annotated[
    int | None,
    _number(
        "--max-token-length",
        metavar="NUMBER",
        text="Longest token in characters, up to 16384 (default: 4096).",
        panel=TUNING,
    ),
]


def server(
    config: Config = None,
    cluster_id: ClusterId = None,
    log_format: LogForm = "text",
    log_verbosity: LogLevel = None,
    loglevel: OldLogLevel = None,
    feature_gates: Gates = None,
    partition: Partition = None,
    address: Address = None,
    port: Port = None,
    hostname: Hostname = None,
    state_dir: StateDir = None,
    generate_kubeconfig: GenerateKubeconfig = None,
    kubeconfig_pregenerated: Pregenerated = None,
    kubeconfig: Kubeconfig = None,
    master: Master = None,
    backend_mode: Backends = None,
    ec2_qps: Ec2Qps = None,
    ec2_burst: Ec2Burst = None,
    scrubbed_accounts: Scrubbed = None,
    dynamic_file: DynamicFile = None,
    user_id_strict: UserIdStrict = None,
    dynamic_backend_mode_file: BackendModeFile = None,
    api_audiences: Audiences = None,
    workers: Workers = None,
    healthz_port: HealthzPort = None,
    healthz_address: HealthzAddress = None,
    tls_cert_file: TlsCert = None,
    tls_key_file: TlsKey = None,
    audit_log: Audit = None,
    missing_map: MissingMap = None,
    broken_map: BrokenMap = None,
    role_paths: RolePaths = None,
    wildcard_arns: Wildcards = None,
    access_entries_file: EntriesFile = None,
    access_entries_cluster: EntriesCluster = None,
    access_entries_seconds: EntriesSeconds = None,
    region: Region = None,
    sts_endpoint: StsEndpoint = None,
    sts_ca_file: StsCa = None,
    sts_regions: StsRegions = None,
    sts_connections: StsConnections = None,
    sts_timeout_seconds: StsTimeout = None,
    token_cache_seconds: TokenCache = None,
    client_rate: ClientRate = None,
    max_token_length: MaxTokenLength = None,
) -> None:
    """Run the webhook that a Kubernetes API server asks who a token belongs to.

    Takes the flags, variables, configuration file, endpoints, CRD and metrics of aws-iam-authenticator v0.7. Flags
    override variables, and variables override the file.

    \b
    Examples:
      rolecall server -c /etc/aws-iam-authenticator/config.yaml
      rolecall server -i prod --backend-mode EKSConfigMap,CRD --workers 2

    Exit codes: 0 stopped by a signal, 1 the server cannot start, 2 wrong usage.
    """
    require_extra("server")
    from rolecall.authenticator.supervisor import serve

    given = dict(locals())
    flags = GlobalFlags(config, log_format, log_verbosity if loglevel is None else loglevel, feature_gates)
    log = flags.log()
    settings = read_settings(flags, given)
    serve(settings, str(Path(config).absolute()) if config else "", log)


def init(
    config: Config = None,
    cluster_id: ClusterId = None,
    log_format: LogForm = "text",
    log_verbosity: LogLevel = None,
    loglevel: OldLogLevel = None,
    feature_gates: Gates = None,
    address: Address = None,
    port: Port = None,
    hostname: Hostname = None,
    state_dir: StateDir = None,
    generate_kubeconfig: GenerateKubeconfig = None,
) -> None:
    """Write the server's certificate, key and webhook kubeconfig before its first start.

    Without --state-dir and --generate-kubeconfig the files are written to the current directory, as
    aws-iam-authenticator does. With --feature-gates ConfiguredInitDirectories=true they are written to the
    directories that the server reads.

    \b
    Examples:
      rolecall init -i prod
      rolecall init -i prod --state-dir /var/aws-iam-authenticator

    Exit codes: 0 done, 1 a file cannot be written, 2 wrong usage.
    """
    require_extra("server")
    from rolecall.authenticator.certificates import ensure_certificate, write_kubeconfig
    from rolecall.mapping.backends.server_config import check_settings

    given = dict(locals())
    flags = GlobalFlags(config, log_format, log_verbosity if loglevel is None else loglevel, feature_gates)
    log = flags.log()
    settings = read_settings(flags, given)
    if not gates(feature_gates or ())[DIRECTORIES_GATE]:
        settings = replace(
            settings, state_dir=state_dir or ".", generate_kubeconfig=generate_kubeconfig or DEFAULT_KUBECONFIG
        )
    check_settings(settings)
    files = ensure_certificate(settings, datetime.now(UTC), log)
    path = write_kubeconfig(settings, files, settings.port, log)
    sys.stdout.write(
        f"copy {files.certificate} and {files.key} to the server's --state-dir on each control plane node,\n"
        f"copy {path} to where kube-apiserver can read it, and start kube-apiserver with\n"
        f"  --authentication-token-webhook-config-file={path}\n"
        "  --authentication-token-webhook-version=v1\n"
        "  --authentication-token-webhook-cache-ttl=2m\n"
    )
