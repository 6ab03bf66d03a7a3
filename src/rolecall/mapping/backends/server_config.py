"""The authenticator's configuration file: every key of aws-iam-authenticator v0.7, and some of our own.

Keys are found in any case and values are converted loosely, as viper does it for the original. Sources:
aws-iam-authenticator v0.7 ``cmd/aws-iam-authenticator/root.go`` (``getConfig``), ``server.go`` (flags and defaults) and
README, "Full Configuration Format". Keys that nobody knows are doubts, not errors: the client's share the file.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from rolecall.arn import PARTITIONS, Arn
from rolecall.errors import InvalidArnError, RolecallError
from rolecall.mapping.backends.chain import BACKEND_MODES, DEPRECATED_MODES, DYNAMIC_FILE, MOUNTED_FILE, TableBackend
from rolecall.mapping.backends.entry_table import EntryTable, MatchOptions, build_table
from rolecall.mapping.go_values import parse_bool
from rolecall.mapping.reading.aws_auth import Problem
from rolecall.mapping.reading.bounded_yaml import (
    Kind,
    Node,
    UnreadableYamlError,
    by_lower_key,
    duplicate_key,
    is_null,
    members,
    read_document,
)
from rolecall.mapping.reading.entries import ROLES, USERS, EntryReader, number_text
from rolecall.mapping.reading.go_scalars import GoYaml, scalar_value
from rolecall.tokens import LONGEST_TOKEN, MAX_TOKEN_LENGTH, is_cluster_id
from rolecall.tokens.regions import MAX_MORE, wrong_regions

# What an API server calls itself where nobody says otherwise: its audiences are its service account issuer by default,
# here the two names that kube-apiserver's documentation and kubeadm use.
API_AUDIENCES = ("https://kubernetes.default.svc", "https://kubernetes.default.svc.cluster.local")
KEEP, EMPTY, PARTIAL = "keep", "empty", "partial"
_ENDPOINT = re.compile(r"(https?)://([A-Za-z0-9.-]{1,253}|\[[0-9a-fA-F:]{2,45}\])(:[0-9]{1,5})?", re.ASCII)
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")


class ConfigError(RolecallError):
    """The authenticator cannot start with this configuration."""


def _in_file(default: Any, key: str) -> Any:
    """A setting that the file holds under ``key``, with what counts where it does not."""
    metadata = {"key": key}
    if isinstance(default, tuple):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """What the authenticator is started with. Field metadata names the key in the file.

    :param backend_modes: in the order in which they are asked.
    :param missing_map: ``keep`` the last mapping where a file, ConfigMap or object list is gone, or have it ``empty``.
    :param broken_map: ``keep`` the last good mapping, or take what can be read of a broken aws-auth (``partial``).
    :param api_audiences: what the API server calls itself (its ``--api-audiences``): all that a token is good for.
    :param healthz_address: where ``/healthz`` without TLS is; empty for every address.
    :param sts_endpoint: an endpoint of one's own instead of STS, for labs and tests; ``http(s)://HOST:PORT``.
    :param sts_regions: regions that are newer than this release; tokens may name their STS too.
    :param sts_connections: at once, to the STS of one region.
    :param token_cache_seconds: how long STS's answer for a token counts; 0 asks STS every time.
    :param client_rate: questions to STS per second that one client address may cause; 0 for any number.
    :param reserved: prefixes that no username from a backend may have, by backend (``reservedPrefixConfig``).
    :param max_token_length: characters of a token; the original allows 4,096.
    """

    cluster_id: str = _in_file("", "clusterID")
    partition: str = _in_file("aws", "server.partition")
    address: str = _in_file("127.0.0.1", "server.address")
    port: int = _in_file(21362, "server.port")
    hostname: str = _in_file("localhost", "server.hostname")
    state_dir: str = _in_file("/var/aws-iam-authenticator", "server.stateDir")
    generate_kubeconfig: str = _in_file(
        "/etc/kubernetes/aws-iam-authenticator/kubeconfig.yaml", "server.generateKubeconfig"
    )
    kubeconfig_pregenerated: bool = _in_file(False, "server.kubeconfigPregenerated")
    kubeconfig: str = _in_file("", "server.kubeconfig")
    master: str = _in_file("", "server.master")
    backend_modes: tuple[str, ...] = _in_file((MOUNTED_FILE,), "server.backendMode")
    ec2_role_arn: str = _in_file("", "server.ec2DescribeInstancesRoleARN")
    source_arn: str = _in_file("", "server.sourceARN")
    ec2_qps: int = _in_file(15, "server.ec2DescribeInstancesQps")
    ec2_burst: int = _in_file(5, "server.ec2DescribeInstancesBurst")
    scrubbed_accounts: tuple[str, ...] = _in_file((), "server.scrubbedAccounts")
    dynamic_file: str = _in_file("", "server.dynamicfilepath")
    user_id_strict: bool = _in_file(False, "server.dynamicfileUserIDStrict")
    dynamic_backend_mode_file: str = _in_file("", "server.dynamicBackendModePath")
    api_audiences: tuple[str, ...] = _in_file(API_AUDIENCES, "server.apiAudiences")
    workers: int = _in_file(1, "server.workers")
    healthz_port: int = _in_file(21363, "server.healthzPort")
    healthz_address: str = _in_file("", "server.healthzAddress")
    tls_cert_file: str = _in_file("", "server.tlsCertFile")
    tls_key_file: str = _in_file("", "server.tlsPrivateKeyFile")
    audit_log: str = _in_file("", "server.auditLog")
    missing_map: str = _in_file(KEEP, "server.missingMap")
    broken_map: str = _in_file(KEEP, "server.brokenMap")
    role_paths: bool = _in_file(False, "server.rolePaths")
    wildcard_arns: bool = _in_file(False, "server.wildcardARNs")
    access_entries_file: str = _in_file("", "server.accessEntriesFile")
    access_entries_cluster: str = _in_file("", "server.accessEntriesCluster")
    access_entries_seconds: int = _in_file(60, "server.accessEntriesSeconds")
    region: str = _in_file("", "server.region")
    sts_endpoint: str = _in_file("", "server.stsEndpoint")
    sts_ca_file: str = _in_file("", "server.stsCAFile")
    sts_regions: tuple[str, ...] = _in_file((), "server.stsRegions")
    sts_connections: int = _in_file(64, "server.stsConnections")
    sts_timeout_seconds: int = _in_file(10, "server.stsTimeoutSeconds")
    token_cache_seconds: int = _in_file(10, "server.tokenCacheSeconds")
    client_rate: int = _in_file(1000, "server.clientRate")
    max_token_length: int = _in_file(MAX_TOKEN_LENGTH, "server.maxTokenLength")
    sso_role_match: bool = True
    reserved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


_FIELDS = {one.metadata["key"].lower(): one for one in fields(ServerSettings) if "key" in one.metadata}
_BOUNDS = (
    ("server.port", 0, 65_535),
    ("server.healthzPort", 0, 65_535),
    ("server.workers", 1, 64),
    ("server.stsConnections", 1, 4_096),
    ("server.stsTimeoutSeconds", 1, 60),
    ("server.tokenCacheSeconds", 0, 900),
    ("server.clientRate", 0, 1_000_000),
    ("server.maxTokenLength", MAX_TOKEN_LENGTH, LONGEST_TOKEN),
    ("server.accessEntriesSeconds", 1, 86_400),
    ("server.ec2DescribeInstancesQps", 1, 1_000),
    ("server.ec2DescribeInstancesBurst", 1, 1_000),
)
_MAPS = frozenset(
    f"server.{name}" for name in ("maproles", "mapusers", "mapaccounts", "reservedprefixconfig", "featuregates")
)
# Keys of the file that belong to the client.
_CLIENTS = frozenset({"defaultrole", "feature-gates"})


@dataclass(frozen=True, slots=True)
class ConfigReading:
    """A configuration file as read.

    :param values: settings by field name, those that the file holds.
    :param backend: its MountedFile mappings.
    :param reserved: prefixes of usernames by backend.
    :param problems: what makes the file unfit for use.
    """

    values: Mapping[str, Any]
    backend: TableBackend
    reserved: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    doubts: tuple[Problem, ...] = ()


def read_server_config(text: str, options: MatchOptions, where: str = "") -> ConfigReading:
    """The configuration in a text; never fails, what is wrong is in ``problems``.

    As the original, it reads the first YAML document, and no key may be given twice, in any case of letters.
    """
    empty = TableBackend(MOUNTED_FILE, EntryTable(), where)
    try:
        document = read_document(text, GoYaml.V3)
        if document.fault is not None:
            raise document.fault
    except UnreadableYamlError as error:
        return ConfigReading({}, empty, problems=(Problem("", error.line, error.what),))
    node = document.root
    if node is None or is_null(node):
        return ConfigReading({}, empty)
    if node.kind is not Kind.MAPPING:
        return ConfigReading({}, empty, problems=(Problem("", node.line, "not a mapping of settings"),))
    problems: list[Problem] = []
    doubts: list[Problem] = []
    if found := duplicate_key(node, any_case=True):
        again, first = found
        problems.append(Problem("", again.line, f"{again.value} is given twice, also in line {first.line}"))
    if document.more:
        doubts.append(Problem("", document.more, "a second YAML document begins here and is ignored"))
    server = by_lower_key(node, GoYaml.V3).get("server")
    is_mapping = server is not None and server.kind is Kind.MAPPING
    if server is not None and not is_null(server) and not is_mapping:
        problems.append(Problem("server", server.line, "not a mapping of settings"))
    values = dict(_values(node, "", problems, doubts))
    if server is not None and is_mapping:
        values |= _values(server, "server.", problems, doubts)
    maps = by_lower_key(server, GoYaml.V3)
    reader = EntryReader(loose=True)
    entries = [*reader.entries(maps.get("maproles"), ROLES), *reader.entries(maps.get("mapusers"), USERS)]
    table, wrong, unsure = build_table(entries, reader.accounts(maps.get("mapaccounts")), options)
    reserved = _reserved(maps.get("reservedprefixconfig"), problems)
    return ConfigReading(
        values,
        TableBackend(MOUNTED_FILE, table, where),
        reserved,
        (*problems, *reader.problems, *wrong),
        (*doubts, *reader.doubts, *unsure),
    )


def _values(node: Node, prefix: str, problems: list[Problem], doubts: list[Problem]) -> Iterator[tuple[str, Any]]:
    for spelled, (key, value) in members(node, GoYaml.V3).items():
        name = prefix + spelled.lower()
        known = _FIELDS.get(name)
        if known is None:
            if name not in _MAPS and name not in _CLIENTS and name != "server":
                doubts.append(Problem("", key.line, f"{prefix}{spelled} is not a setting"))
        elif not is_null(value):
            try:
                yield known.name, _convert(value, known.default)
            except ValueError:
                problems.append(Problem("", value.line, f"{prefix}{spelled} is not of the right kind"))


def _convert(node: Node, default: Any) -> Any:
    if default is None or not isinstance(default, (bool, int, str)):
        if node.kind is Kind.SEQUENCE:
            return tuple(_scalar(item) for item in node.children)
        return tuple(_scalar(node).replace(",", " ").split())
    text = _scalar(node)
    if isinstance(default, bool):
        wanted = parse_bool(text)
        if wanted is None:
            # `yes` and `on` among them, which the original reads as false: people who write them mean true.
            raise ValueError
        return wanted
    if isinstance(default, int):
        if not re.fullmatch(r"[0-9]{1,9}", text, re.ASCII):
            raise ValueError
        return int(text)
    return text


def _scalar(node: Node) -> str:
    """A value as text, as viper makes it (cast.ToString): numbers in decimal digits."""
    if node.kind is not Kind.SCALAR:
        raise ValueError
    value = scalar_value(node, GoYaml.V3, strict=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return node.value if value is None or isinstance(value, str) else number_text(value)


def _reserved(node: Node | None, problems: list[Problem]) -> dict[str, tuple[str, ...]]:
    """Prefixes by backend; those of several items for one backend count together."""
    found: dict[str, tuple[str, ...]] = {}
    if node is None or is_null(node):
        return found
    for item in node.children if node.kind is Kind.SEQUENCE else [node]:
        keys = by_lower_key(item, GoYaml.V3)
        mode, prefixes = keys.get("backendmode"), keys.get("usernameprefixreservelist")
        if mode is None or mode.kind is not Kind.SCALAR:
            problems.append(Problem("reservedPrefixConfig", item.line, "backendMode is missing"))
            continue
        try:
            name = mode_name(mode.value)
            found[name] = found.get(name, ()) + tuple(_prefixes(prefixes))
        except (ValueError, ConfigError):
            problems.append(Problem("reservedPrefixConfig", item.line, "a backend and a list of prefixes is needed"))
    return found


def _prefixes(node: Node | None) -> Iterator[str]:
    if node is None or is_null(node):
        return
    for item in node.children if node.kind is Kind.SEQUENCE else [node]:
        # viper splits a text at its commas and nowhere else: a prefix may have a space.
        yield from _scalar(item).split(",") if item is node else (_scalar(item),)


def mode_name(text: str) -> str:
    """The name of a backend; :class:`ConfigError` where there is no such backend."""
    name = DEPRECATED_MODES.get(text, text)
    if name not in BACKEND_MODES:
        raise ConfigError(
            f"backend-mode {text!r} is not a valid mode",
            advice=f"one of {', '.join(BACKEND_MODES)}, in the order wanted",
        )
    return name


def mode_names(modes: Iterable[str]) -> tuple[str, ...]:
    """The names of backends in order, each once at most."""
    names = tuple(mode_name(mode) for mode in modes)
    if not names:
        raise ConfigError("backend-mode is empty", advice=f"name one of {', '.join(BACKEND_MODES)}")
    if len(names) != len(set(names)):
        raise ConfigError(f"backend-mode {','.join(names)} has duplicates")
    return names


def check_settings(settings: ServerSettings) -> None:
    """:class:`ConfigError` for the first thing that cannot be meant."""
    if not settings.cluster_id:
        raise ConfigError("cluster ID cannot be empty", advice="give -i ID, or clusterID in the file of -c FILE")
    if not is_cluster_id(settings.cluster_id):
        raise ConfigError("the cluster ID has characters that no HTTP header can carry, or more than 256")
    if settings.partition not in PARTITIONS:
        raise ConfigError(f"Invalid partition {settings.partition!r}", advice=f"one of {', '.join(PARTITIONS)}")
    names = mode_names(settings.backend_modes)
    if (DYNAMIC_FILE in names) != bool(settings.dynamic_file):
        missing = "dynamicfilepath is not set" if DYNAMIC_FILE in names else f"{DYNAMIC_FILE} is not in backend-mode"
        raise ConfigError(f"{missing}", advice="the backend DynamicFile and dynamicfilepath need each other")
    for name, value, allowed in (
        ("missing-map", settings.missing_map, (KEEP, EMPTY)),
        ("broken-map", settings.broken_map, (KEEP, PARTIAL)),
    ):
        if value not in allowed:
            raise ConfigError(f"{name} {value!r} is unknown", advice=f"one of {', '.join(allowed)}")
    if bool(settings.tls_cert_file) != bool(settings.tls_key_file):
        raise ConfigError("a certificate and its key are needed together", advice="give both files, or neither")
    if settings.access_entries_file and settings.access_entries_cluster:
        raise ConfigError("access entries come from a file or from EKS, not from both")
    _check_endpoint(settings.sts_endpoint)
    _check_regions(settings)
    for key, least, most in _BOUNDS:
        if not least <= getattr(settings, _FIELDS[key.lower()].name) <= most:
            raise ConfigError(f"{key} is not from {least} to {most}")
    for account in settings.scrubbed_accounts:
        if not re.fullmatch(r"[0-9]{12}", account, re.ASCII):
            raise ConfigError(
                f"scrubbedAccounts: {account[:40]!r} is not an account id of 12 digits, so it hides no account"
            )
    if settings.ec2_role_arn:
        try:
            Arn.parse(settings.ec2_role_arn)
        except InvalidArnError as error:
            raise ConfigError(f"ec2DescribeInstancesRoleARN: {error.what}") from None


def _check_regions(settings: ServerSettings) -> None:
    if wrong := wrong_regions(settings.sts_regions, settings.partition):
        raise ConfigError(
            f"stsRegions: {wrong[0][:40]!r} is not a region of partition {settings.partition}",
            advice="give region names such as eu-west-9",
        )
    if len(settings.sts_regions) > MAX_MORE:
        raise ConfigError(f"stsRegions has more than {MAX_MORE} regions")


def _check_endpoint(endpoint: str) -> None:
    if not endpoint:
        return
    found = _ENDPOINT.fullmatch(endpoint)
    if not found or (found[1] == "http" and found[2] not in _LOOPBACK):
        raise ConfigError(
            f"{endpoint[:100]!r} is not an endpoint that can stand for STS",
            advice="give https://HOST:PORT, or http://127.0.0.1:PORT of a lab, without a path",
        )
