"""``rolecall server`` and ``rolecall init``: the flags, environment and file of aws-iam-authenticator, and our own."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from rolecall.cli.go_flags import listed
from rolecall.errors import RolecallError

CLUSTER_VARIABLE = "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID"
OURS, TUNING = "Options of rolecall's own", "Towards STS"


class LogFormat(StrEnum):
    """Forms of log lines."""

    text = "text"
    json = "json"


class KeepOrEmpty(StrEnum):
    """What becomes of a mapping that is gone."""

    keep = "keep"
    empty = "empty"


class KeepOrPartial(StrEnum):
    """What becomes of a mapping that is broken."""

    keep = "keep"
    partial = "partial"


Config = Annotated[
    str | None, typer.Option("--config", "-c", metavar="FILENAME", help="Load configuration from a file.")
]
ClusterId = Annotated[
    str | None,
    typer.Option(
        "--cluster-id", "-i", metavar="ID", help=f"Unique identifier of the cluster (also ${CLUSTER_VARIABLE})."
    ),
]
LogForm = Annotated[LogFormat, typer.Option("--log-format", "-l", help="Form of the log on standard error.")]
LogLevel = Annotated[str, typer.Option("--loglevel", help="debug, info, warn, error or fatal.")]
Gates = Annotated[
    list[str] | None,
    typer.Option("--feature-gates", metavar="NAME=true|false,...", help="SSORoleMatch (on unless switched off)."),
]
Address = Annotated[str | None, typer.Option("--address", help="IP address to listen on.", show_default="127.0.0.1")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65535, help="Port to listen on.", show_default="21362")]
Hostname = Annotated[
    str | None, typer.Option("--hostname", help="Name in the self-signed certificate.", show_default="localhost")
]
StateDir = Annotated[
    str | None,
    typer.Option(
        "--state-dir", help="Directory of the generated certificate and key.", show_default="/var/aws-iam-authenticator"
    ),
]
GenerateKubeconfig = Annotated[
    str | None,
    typer.Option(
        "--generate-kubeconfig",
        metavar="PATH",
        help="Where to write the webhook kubeconfig for --authentication-token-webhook-config-file.",
    ),
]


def server(
    config: Config = None,
    cluster_id: ClusterId = None,
    log_format: LogForm = LogFormat.text,
    loglevel: LogLevel = "info",
    feature_gates: Gates = None,
    partition: Annotated[
        str | None, typer.Option("--partition", "--aws-partition", "-p", help="The AWS partition.", show_default="aws")
    ] = None,
    address: Address = None,
    port: Port = None,
    hostname: Hostname = None,
    state_dir: StateDir = None,
    generate_kubeconfig: GenerateKubeconfig = None,
    kubeconfig_pregenerated: Annotated[
        bool | None,
        typer.Option("--kubeconfig-pregenerated/--no-kubeconfig-pregenerated", help="Write no webhook kubeconfig."),
    ] = None,
    kubeconfig: Annotated[
        str | None, typer.Option("--kubeconfig", help="Kubeconfig for the backends EKSConfigMap and CRD.")
    ] = None,
    master: Annotated[
        str | None, typer.Option("--master", help="URL of the API server, in place of the kubeconfig's.")
    ] = None,
    backend_mode: Annotated[
        list[str] | None,
        typer.Option(
            "--backend-mode",
            help="Where mappings come from, in order: MountedFile, EKSConfigMap, CRD, DynamicFile, AccessEntries.",
            show_default="MountedFile",
        ),
    ] = None,
    ec2_qps: Annotated[
        int | None, typer.Option("--ec2-describeInstances-qps", help="Calls to EC2 a second.", show_default="15")
    ] = None,
    ec2_burst: Annotated[
        int | None, typer.Option("--ec2-describeInstances-burst", help="Calls to EC2 at once.", show_default="5")
    ] = None,
    scrubbed_accounts: Annotated[
        list[str] | None, typer.Option("--scrubbed-accounts", help="Accounts to keep out of logs, uids and extras.")
    ] = None,
    dynamic_file: Annotated[
        str | None, typer.Option("--dynamicfilepath", help="File of the DynamicFile backend.")
    ] = None,
    user_id_strict: Annotated[
        bool | None,
        typer.Option(
            "--dynamicfileUserIDStrict/--no-dynamicfileUserIDStrict", help="Its entries count by principal id."
        ),
    ] = None,
    dynamic_backend_mode_file: Annotated[
        str | None, typer.Option("--dynamicBackendModePath", help="File that holds the order of the backends.")
    ] = None,
    api_audiences: Annotated[
        list[str] | None,
        typer.Option(
            "--api-audiences",
            help="What kube-apiserver calls itself (its flag of this name); no other audience is confirmed.",
            show_default="https://kubernetes.default.svc and ...svc.cluster.local",
            rich_help_panel=OURS,
        ),
    ] = None,
    workers: Annotated[int | None, typer.Option(help="Processes.", show_default="1", rich_help_panel=OURS)] = None,
    healthz_port: Annotated[
        int | None,
        typer.Option(help="Port of /healthz without TLS; 0: none.", show_default="21363", rich_help_panel=OURS),
    ] = None,
    tls_cert_file: Annotated[
        str | None, typer.Option(help="Certificate of one's own; reloaded when it changes.", rich_help_panel=OURS)
    ] = None,
    tls_key_file: Annotated[
        str | None, typer.Option("--tls-private-key-file", help="Its key.", rich_help_panel=OURS)
    ] = None,
    audit_log: Annotated[
        str | None,
        typer.Option(help="File for a record of every decision; - for standard output.", rich_help_panel=OURS),
    ] = None,
    missing_map: Annotated[
        KeepOrEmpty | None,
        typer.Option(help="Keep the last mapping when it is gone.", show_default="keep", rich_help_panel=OURS),
    ] = None,
    broken_map: Annotated[
        KeepOrPartial | None,
        typer.Option(help="Keep the last mapping while it is broken.", show_default="keep", rich_help_panel=OURS),
    ] = None,
    role_paths: Annotated[
        bool | None, typer.Option(help="Let role ARNs with a path match.", rich_help_panel=OURS)
    ] = None,
    wildcard_arns: Annotated[
        bool | None, typer.Option(help="Let * and ? in role names match.", rich_help_panel=OURS)
    ] = None,
    access_entries_file: Annotated[
        str | None, typer.Option("--access-entries", metavar="FILE", help="EKS access entries.", rich_help_panel=OURS)
    ] = None,
    access_entries_cluster: Annotated[
        str | None, typer.Option(help="EKS cluster whose access entries count.", rich_help_panel=OURS)
    ] = None,
    access_entries_seconds: Annotated[
        int | None, typer.Option(help="How often EKS is asked for them.", show_default="60", rich_help_panel=OURS)
    ] = None,
    region: Annotated[str | None, typer.Option(help="AWS region of EC2 and EKS.", rich_help_panel=OURS)] = None,
    sts_endpoint: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Trust this endpoint as STS besides AWS's: for labs and tests.", rich_help_panel=TUNING
        ),
    ] = None,
    sts_ca_file: Annotated[
        str | None, typer.Option("--sts-ca-file", help="Authorities for its certificate.", rich_help_panel=TUNING)
    ] = None,
    sts_regions: Annotated[
        list[str] | None,
        typer.Option(
            metavar="REGION,...", help="Accept the STS of regions newer than this release.", rich_help_panel=TUNING
        ),
    ] = None,
    sts_connections: Annotated[
        int | None,
        typer.Option(help="Connections to the STS of one region.", show_default="64", rich_help_panel=TUNING),
    ] = None,
    sts_timeout_seconds: Annotated[
        int | None, typer.Option(help="For one review, retries included.", show_default="10", rich_help_panel=TUNING)
    ] = None,
    token_cache_seconds: Annotated[
        int | None,
        typer.Option(help="How long STS's answer counts; 0: not at all.", show_default="10", rich_help_panel=TUNING),
    ] = None,
    client_rate: Annotated[
        int | None,
        typer.Option(help="Questions to STS a client and second; 0: any.", show_default="1000", rich_help_panel=TUNING),
    ] = None,
    max_token_length: Annotated[
        int | None,
        typer.Option(help="Longest token, in characters (up to 16384).", show_default="4096", rich_help_panel=TUNING),
    ] = None,
) -> None:
    """Answer an API server's token reviews: who is it that AWS says signed this token?

    Takes the flags, the file, the endpoints, the CRD and the metrics of aws-iam-authenticator v0.7.

    Examples:

        rolecall server -c /etc/aws-iam-authenticator/config.yaml

        rolecall server -i prod --backend-mode EKSConfigMap,CRD --workers 2 --audit-log /var/log/rolecall/audit.log
    """
    from rolecall.authenticator.decision_log import Log
    from rolecall.authenticator.supervisor import serve

    given = dict(locals())
    log = Log(log_format.value, loglevel)
    settings = _settings(config, given, feature_gates, log)
    code = serve(settings, str(Path(config).absolute()) if config else "", log, on_ready=lambda url: None)
    raise typer.Exit(code)


def init(
    config: Config = None,
    cluster_id: ClusterId = None,
    log_format: LogForm = LogFormat.text,
    loglevel: LogLevel = "info",
    feature_gates: Gates = None,
    address: Address = None,
    port: Port = None,
    hostname: Hostname = None,
    state_dir: StateDir = None,
    generate_kubeconfig: GenerateKubeconfig = None,
) -> None:
    """Make the server's certificate, key and webhook kubeconfig ahead of its start.

    Without --state-dir and --generate-kubeconfig the files are put into the current directory, as the original does.

    Example:

        rolecall init -i prod --state-dir /var/aws-iam-authenticator
    """
    from rolecall.authenticator.certificates import ensure_certificate, write_kubeconfig
    from rolecall.authenticator.decision_log import Log
    from rolecall.mapping.backends.server_config import check_settings

    given = dict(locals())
    log = Log(log_format.value, loglevel)
    settings = _settings(config, given, feature_gates, log)
    in_files = _file_values(config, log)
    if state_dir is None and "state_dir" not in in_files:
        settings = replace(settings, state_dir=".")
    if generate_kubeconfig is None and "generate_kubeconfig" not in in_files:
        settings = replace(settings, generate_kubeconfig="aws-iam-authenticator.kubeconfig")
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


def _file_values(config: str | None, log: Any) -> Mapping[str, Any]:
    from rolecall.mapping.backends.entry_table import MatchOptions
    from rolecall.mapping.backends.server_config import read_server_config

    if not config:
        return {}
    try:
        text = Path(config).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise RolecallError(f"can't read the configuration file: {reason}", where=config) from None
    reading = read_server_config(text, MatchOptions(), config)
    if reading.problems:
        first = reading.problems[0]
        more = f" (and {len(reading.problems) - 1} more)" if len(reading.problems) > 1 else ""
        section = f"{first.section}: " if first.section else ""
        raise RolecallError(
            f"{section}{first.text}{more}",
            where=f"{config} line {first.line}",
            advice="the server starts with a file that means what it says only; mend that line",
        )
    return {**reading.values, "reserved": reading.reserved}


def _settings(config: str | None, given: Mapping[str, Any], gates: list[str] | None, log: Any) -> Any:
    """Flags before the environment before the file before defaults, as the original (viper) has it."""
    from rolecall.mapping.backends.server_config import ServerSettings

    values: dict[str, Any] = dict(_file_values(config, log))
    if os.environ.get(CLUSTER_VARIABLE):
        values["cluster_id"] = os.environ[CLUSTER_VARIABLE]
    known = ServerSettings.__dataclass_fields__
    for name, value in given.items():
        if name in known and value is not None:
            values[name] = value.value if isinstance(value, StrEnum) else value
    for name, option in (
        ("backend_modes", "backend_mode"),
        ("scrubbed_accounts", "scrubbed_accounts"),
        ("api_audiences", "api_audiences"),
        ("sts_regions", "sts_regions"),
    ):
        items = listed(given.get(option))
        if items is not None:
            values[name] = items
    for gate in listed(gates) or ():
        name, _, value = gate.partition("=")
        if name == "SSORoleMatch":
            values["sso_role_match"] = value.lower() != "false"
        elif name not in ("ConfiguredInitDirectories", "IAMIdentityMappingCRD"):
            raise RolecallError(f"unknown feature gate {name!r}", where="--feature-gates")
    return ServerSettings(**values)
