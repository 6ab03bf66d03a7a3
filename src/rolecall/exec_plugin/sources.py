"""Ask a source for its credentials, whatever kind of source it is, and say in the same words why there are none."""

from __future__ import annotations

import time

from rolecall.errors import RolecallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rolecall.access_keys import Key
    from rolecall.exec_plugin.credential_plan import Source
    from rolecall.exec_plugin.settings import Settings

_ADVICE = {
    "sso": "log in: aws sso login --profile {profile}",
    "process": "run the credential_process of the profile by hand to see what it says",
    "web-identity": "check the token file and the trust policy of the role",
    "login": "log in: aws login --profile {profile}",
    "container": "check the role of the container",
    "instance": "there is no key, no profile with credentials, and no instance role: name a profile (AWS_PROFILE)",
}


def ask(source: Source, settings: Settings, environ: Mapping[str, str]) -> Key:
    """The credentials that a source gives now; not for a key that is written in a profile.

    :raises RolecallError: with the kind of source, where it is written, and what to do.
    """
    try:
        return _ask(source, settings, environ)
    except RolecallError as error:
        # A process may repeat its input in an error: one line of it is enough.
        line = " ".join((f"{error.where}: {error.what}" if error.where else error.what).split())[:400]
        advice = error.advice or _ADVICE[source.kind].format(profile=source.profile or "default")
        raise RolecallError(f"no credentials by {source.kind}: {line}", where=source.where, advice=advice) from None


def _ask(source: Source, settings: Settings, environ: Mapping[str, str]) -> Key:
    if source.kind == "process":
        from rolecall.exec_plugin.process_source import ask_process

        return ask_process(source.details["credential_process"], environ)
    if source.kind == "container":
        from rolecall.exec_plugin.container_source import ask_container

        return ask_container(environ, settings.ca_bundle)
    if source.kind == "instance":
        from rolecall.exec_plugin.instance_source import ask_instance

        return ask_instance(source.details, environ)
    if source.kind == "login":
        from rolecall.exec_plugin.signed_in import login_key

        if (found := login_key(source, environ, time.time())) is not None:
            return found
    from rolecall.exec_plugin.botocore_credentials import fetch

    return fetch(source, settings)
