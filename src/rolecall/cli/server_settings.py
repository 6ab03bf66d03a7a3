"""The settings of ``rolecall server`` and ``rolecall init``: flags before variables before the file before defaults.

Source: aws-iam-authenticator v0.7 ``cmd/aws-iam-authenticator/root.go`` and ``server.go`` (viper); its feature gates
are those of k8s.io/component-base ``featuregate/feature_gate.go``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from rolecall.authenticator.log_lines import LEVELS, Log
from rolecall.cli.go_flags import items
from rolecall.errors import RolecallError
from rolecall.mapping.backends.entry_table import MatchOptions
from rolecall.mapping.backends.server_config import ServerSettings, read_server_config
from rolecall.mapping.go_values import parse_bool

CLUSTER_VARIABLE = "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID"
LEVEL_VARIABLE = "AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY"
LOG_FORMATS = ("text", "json")
# The gates of aws-iam-authenticator; all are alpha. Permission sets match without a gate here (docs/adr/0011).
SSO_GATE, DIRECTORIES_GATE = "SSORoleMatch", "ConfiguredInitDirectories"
GATES = {SSO_GATE: True, DIRECTORIES_GATE: False, "IAMIdentityMappingCRD": False}
ALL_ALPHA, ALL_BETA = "AllAlpha", "AllBeta"
# Settings that are lists, and the parameters they are given by.
_LISTS = (
    ("backend_modes", "backend_mode"),
    ("scrubbed_accounts", "scrubbed_accounts"),
    ("api_audiences", "api_audiences"),
    ("sts_regions", "sts_regions"),
)


@dataclass(frozen=True, slots=True)
class GlobalFlags:
    """The options that every command of aws-iam-authenticator takes, as they were given."""

    config: str | None = None
    log_format: str = "text"
    log_verbosity: str | None = None
    feature_gates: list[str] | None = None
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)

    def log(self) -> Log:
        """The log that they ask for; :class:`RolecallError` if there is no such level."""
        level = self.log_verbosity
        if level is None:
            level = self.environ.get(LEVEL_VARIABLE) or "info"
        if level.lower() not in LEVELS:
            raise RolecallError(f"Invalid log level {level!r}", advice=f"valid values are: {', '.join(LEVELS)}")
        log = Log(self.log_format, level.lower())
        if self.log_format not in LOG_FORMATS:
            log.warning(f"Unknown log format specified ({self.log_format}), will use default text formatter instead.")
        return log


def read_settings(flags: GlobalFlags, given: Mapping[str, Any]) -> ServerSettings:
    """The settings in force.

    :param given: values of flags by parameter name; ``None`` for a flag that was not given.
    :raises RolecallError: if the file cannot be used, or a gate does not exist.
    """
    values = file_values(flags.config)
    if flags.environ.get(CLUSTER_VARIABLE):
        values["cluster_id"] = flags.environ[CLUSTER_VARIABLE]
    known = ServerSettings.__dataclass_fields__
    for name, value in given.items():
        if name in known and value is not None:
            values[name] = value.value if isinstance(value, StrEnum) else value
    for name, option in _LISTS:
        listed = items(given.get(option))
        if listed is not None:
            values[name] = listed
    values["sso_role_match"] = gates(flags.feature_gates or ())[SSO_GATE]
    return ServerSettings(**values)


def file_values(config: str | None) -> dict[str, Any]:
    """The settings that the configuration file holds; none without a file.

    :raises RolecallError: if it cannot be read, or a line cannot mean what it says.
    """
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
            advice="correct that line; the server does not start with a file that has errors",
        )
    return {**reading.values, "reserved": reading.reserved}


def gates(given: Iterable[str]) -> dict[str, bool]:
    """Which feature gates are on: ``SSORoleMatch=false,AllAlpha=true``, several times.

    :raises RolecallError: if a gate does not exist, or its value is not one that Go's ``strconv.ParseBool`` reads.
    """
    found: dict[str, bool] = {}
    for value in given:
        wanted = dict(_gate(one) for one in value.split(",") if one)
        found |= wanted
        if ALL_ALPHA in wanted:
            # Gates that were named keep their value, before and after.
            found = {**dict.fromkeys(GATES, wanted[ALL_ALPHA]), **found}
    return {name: found.get(name, default) for name, default in GATES.items()}


def _gate(text: str) -> tuple[str, bool]:
    name, equals, value = text.partition("=")
    name = name.strip()
    if not equals:
        raise RolecallError(f"missing bool value for {name}", where="--feature-gates", advice=f"write {name}=true")
    wanted = parse_bool(value.strip())
    if wanted is None:
        raise RolecallError(
            f"invalid value of {name}={value.strip()}", where="--feature-gates", advice="write true or false"
        )
    if name not in (*GATES, ALL_ALPHA, ALL_BETA):
        raise RolecallError(
            f"unknown feature gate {name!r}", where="--feature-gates", advice=f"gates: {', '.join(GATES)}"
        )
    return name, wanted
