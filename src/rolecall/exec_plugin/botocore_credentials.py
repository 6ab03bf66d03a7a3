"""Credentials that only botocore can get: SSO, web identity, and logins that have to be renewed.

Importing botocore takes longer than everything else together, so only these sources pay for it.
"""

from __future__ import annotations

from typing import Any

from rolecall.access_keys import Key, check_key
from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import Source
from rolecall.exec_plugin.settings import Settings
from rolecall.tls import authorities_for_botocore

_NAMES = ("the access key id", "the secret access key", "the session token")


def fetch(source: Source, settings: Settings) -> Key:
    """The credentials of a source.

    :raises RolecallError: if there are none, in one sentence.
    """
    from botocore.exceptions import MissingDependencyException

    try:
        found = _load(source, settings)
        frozen = found.get_frozen_credentials() if found is not None else None
    except MissingDependencyException:
        raise RolecallError(
            "the sign-in of `aws login` has to be renewed, and botocore needs its extra `crt` for that",
            advice="pip install 'rolecall[login]', or sign in again: aws login",
        ) from None
    # What is in a cache file, an answer or a token file reaches botocore as it is, and fails there in any way.
    except Exception as error:
        raise RolecallError(f"{type(error).__name__}: {error}") from None
    if found is None or frozen is None or not frozen.access_key or not frozen.secret_key:
        raise RolecallError("no credentials were found")
    expires = getattr(found, "_expiry_time", None)
    key = Key(frozen.access_key, frozen.secret_key, frozen.token, expires.timestamp() if expires else None)
    check_key(key, _NAMES, ("", "", ""))
    return key


def _load(source: Source, settings: Settings) -> Any:
    from botocore.config import Config
    from botocore.credentials import create_credential_resolver
    from botocore.session import Session

    session = Session(profile=source.profile or None)
    session.set_config_variable("region", settings.region)
    if bundle := authorities_for_botocore(settings.ca_bundle):
        session.set_config_variable("ca_bundle", bundle)
    # botocore's own bounds let one kubectl wait for many minutes: a minute for each of five attempts, twice over.
    session.set_default_client_config(
        Config(
            connect_timeout=settings.connect_timeout,
            read_timeout=settings.read_timeout,
            retries={"mode": "standard", "total_max_attempts": 2},
        )
    )
    if source.kind == "web-identity" and not source.profile:
        # The environment's own web identity comes before any profile's key, but after the environment's key.
        return create_credential_resolver(session).get_provider("assume-role-with-web-identity").load()
    return session.get_credentials()
