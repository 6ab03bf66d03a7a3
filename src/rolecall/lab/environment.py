"""What a lab gives a person: the AWS CLI files of its HOME, and the variables that point there."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rolecall.lab.home import ADMINISTRATOR, LabError, LabHome, LabSettings
from rolecall.lab.shell import with_rolecall
from rolecall.local_files.private import write_private

# Variables of the person that would override the lab's profile or point the tools somewhere else.
# AWS CLI user guide, "Configuration settings and precedence": environment variables beat profiles.
_OVERRIDING = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SECURITY_TOKEN",
    "AWS_ROLE_ARN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONFIG_FILE",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_DEFAULT_PROFILE",
    "AWS_CA_BUNDLE",
    "AWS_ENDPOINT_URL_STS",
    "AWS_ENDPOINT_URL_IAM",
    "AWS_ENDPOINT_URL_EKS",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "KUBECONFIG",
)


_ENDPOINTS = ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL_IAM", "AWS_ENDPOINT_URL_EKS")
_BEAT_PROFILE = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_WEB_IDENTITY_TOKEN_FILE")
_SPOIL_KEY = ("AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN", "AWS_PROFILE", "AWS_DEFAULT_PROFILE")


@dataclass(frozen=True, slots=True)
class AdministratorKey:
    """An access key of an account's administrator in the lab."""

    account: str
    access_key_id: str
    secret_access_key: str = field(repr=False)


def profile_name(settings: LabSettings, account: str) -> str:
    """The AWS CLI profile of an account's administrator: ``lab-admin``, ``lab-admin-ACCOUNT`` for further accounts."""
    return ADMINISTRATOR if account == settings.accounts[0] else f"{ADMINISTRATOR}-{account}"


def profiles(settings: LabSettings) -> dict[str, str]:
    """The profile of each account's administrator, by account."""
    return {account: profile_name(settings, account) for account in settings.accounts}


def write_profiles(home: LabHome, settings: LabSettings, keys: Mapping[str, AdministratorKey]) -> None:
    """Write the administrators' profiles into the lab's AWS CLI files; what a person wrote there stays."""
    _put_sections(
        home.user_home / ".aws" / "credentials",
        {
            profile_name(settings, account): (
                f"aws_access_key_id = {key.access_key_id}\naws_secret_access_key = {key.secret_access_key}\n"
            )
            for account, key in keys.items()
        },
    )
    _put_sections(
        home.user_home / ".aws" / "config",
        {
            f"profile {profile_name(settings, account)}": f"region = {settings.region}\noutput = json\n"
            for account in keys
        },
    )


def file_variables(home: LabHome, settings: LabSettings, endpoint: str) -> dict[str, str]:
    """The variables that point the AWS CLI and kubectl at the lab's own files."""
    aws = home.user_home / ".aws"
    return {
        "AWS_CONFIG_FILE": str(aws / "config"),
        "AWS_SHARED_CREDENTIALS_FILE": str(aws / "credentials"),
        "KUBECONFIG": str(home.user_home / ".kube" / "config"),
        **_endpoint_variables(settings, endpoint),
        "AWS_PROFILE": ADMINISTRATOR,
    }


def key_variables(home: LabHome, settings: LabSettings, endpoint: str) -> dict[str, str]:
    """The variables that give a program the administrator's key itself. They are enough for every AWS SDK and CLI."""
    key = administrator_key(home, settings)
    return {
        **_endpoint_variables(settings, endpoint),
        "AWS_ACCESS_KEY_ID": key.access_key_id,
        "AWS_SECRET_ACCESS_KEY": key.secret_access_key,
    }


def shell_environment(
    home: LabHome, settings: LabSettings, endpoint: str, environ: Mapping[str, str]
) -> dict[str, str]:
    """The whole environment of ``lab shell``: the person's own, with HOME, endpoint, region and profile replaced."""
    environment = {name: value for name, value in environ.items() if name not in _OVERRIDING}
    environment |= _endpoint_variables(settings, endpoint)
    environment |= {
        "HOME": str(home.user_home),
        "PATH": with_rolecall(environ.get("PATH", os.defpath)),
        "AWS_PROFILE": ADMINISTRATOR,
        "ROLECALL_LAB_HOME": str(home.folder),
        "no_proxy": _with_loopback(environ.get("no_proxy", "")),
        "NO_PROXY": _with_loopback(environ.get("NO_PROXY", "")),
    }
    # pyenv's shims look below HOME unless this is set, and an `aws` behind a shim would not start.
    if (pyenv := Path(os.path.expanduser("~/.pyenv"))).is_dir():
        environment.setdefault("PYENV_ROOT", str(pyenv))
    return environment


def overriding_variables(environ: Mapping[str, str], *, keys: bool = False) -> list[str]:
    """Variables of ``environ`` because of which what ``lab env`` exports would not be used.

    :param keys: whether it exports the key itself: then a session token of another key spoils it, and so does a profile
        that does not exist; otherwise any credentials in the environment beat the lab's profile.
    """
    return [name for name in (*(_SPOIL_KEY if keys else _BEAT_PROFILE), *_ENDPOINTS) if environ.get(name)]


def administrator_key(home: LabHome, settings: LabSettings) -> AdministratorKey:
    """The key of the lab's administrator, as its profile in the lab's credentials file holds it."""
    import configparser

    file = home.user_home / ".aws" / "credentials"
    parser = configparser.RawConfigParser()
    try:
        parser.read(file)
        section = parser[ADMINISTRATOR]
        return AdministratorKey(settings.accounts[0], section["aws_access_key_id"], section["aws_secret_access_key"])
    except (configparser.Error, KeyError) as error:
        raise LabError(
            f"has no usable profile {ADMINISTRATOR}: {error}",
            where=str(file),
            advice="create new keys: rolecall lab reset",
        ) from error


def _endpoint_variables(settings: LabSettings, endpoint: str) -> dict[str, str]:
    # botocore and the AWS CLI 1 know AWS_DEFAULT_REGION alone (botocore, configprovider.py), other SDKs AWS_REGION.
    return {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_REGION": settings.region,
        "AWS_DEFAULT_REGION": settings.region,
    }


def _put_sections(path: Path, sections: Mapping[str, str]) -> None:
    text = path.read_text() if path.exists() else ""
    for name, body in sections.items():
        heading = f"[{name}]\n"
        if heading not in text:
            text += f"{chr(10) if text else ''}{heading}{body}"
            continue
        # The lab's own lines are updated, such as the region; lines that were added below them stay.
        before, _, after = text.partition(heading)
        for line in body.splitlines(keepends=True):
            key = line.partition("=")[0]
            own, bracket, others = after.partition("\n[")
            literal = line.replace("\\", r"\\")
            after = re.sub(rf"(?m)^{re.escape(key)}=.*\n?", literal, own, count=1) + bracket + others
        text = before + heading + after
    write_private(path, text)


def _with_loopback(value: str) -> str:
    return ",".join([*filter(None, [value]), "127.0.0.1", "localhost"])
