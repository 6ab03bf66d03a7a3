"""Credentials that only botocore can get: SSO, processes, web identity, logins, containers and instances.

Importing botocore takes longer than everything else together, so only these sources pay for it.
"""

from __future__ import annotations

from typing import Any

from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import Key, Source
from rolecall.exec_plugin.settings import Settings

_METHODS = {"container": "container-role", "instance": "iam-role"}
_ADVICE = {
    "sso": "log in: aws sso login --profile {profile}",
    "process": "run the credential_process of the profile by hand to see what it says",
    "web-identity": "look at the token file and the trust policy of the role",
    "login": "log in: aws login --profile {profile}",
    "container": "look at the container's role",
    "instance": "there is no key, no profile with credentials, and no instance role: name a profile (AWS_PROFILE)",
}


def fetch(source: Source, settings: Settings) -> Key:
    """The credentials of a source.

    :raises RolecallError: where there are none.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        found = _load(source, settings)
        frozen = found.get_frozen_credentials() if found is not None else None
    except (BotoCoreError, ClientError, OSError, ValueError) as error:
        raise _failed(source, f"{type(error).__name__}: {error}") from None
    if found is None or frozen is None or not frozen.access_key or not frozen.secret_key:
        raise _failed(source, "no credentials were found")
    expires = getattr(found, "_expiry_time", None)
    return Key(frozen.access_key, frozen.secret_key, frozen.token, expires.timestamp() if expires else None)


def _load(source: Source, settings: Settings) -> Any:
    from botocore.config import Config
    from botocore.credentials import create_credential_resolver
    from botocore.session import Session

    session = Session(profile=source.profile or None)
    session.set_config_variable("region", settings.region)
    if settings.ca_bundle:
        session.set_config_variable("ca_bundle", settings.ca_bundle)
    # botocore's own bounds let one kubectl wait for many minutes: a minute for each of five attempts, twice over.
    session.set_default_client_config(
        Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
    )
    if source.kind in _METHODS:
        return create_credential_resolver(session).get_provider(_METHODS[source.kind]).load()
    if source.kind == "web-identity" and not source.profile:
        # The environment's own web identity comes before any profile's key, but after the environment's key.
        return create_credential_resolver(session).get_provider("assume-role-with-web-identity").load()
    return session.get_credentials()


def _failed(source: Source, why: str) -> RolecallError:
    # A credential process may repeat its input in an error: one line of it is enough.
    line = " ".join(why.split())[:300]
    advice = _ADVICE[source.kind].format(profile=source.profile or "default")
    return RolecallError(f"no credentials by {source.kind}: {line}", where=source.where, advice=advice)
