"""Which STS is asked, and how: region, endpoint, certificate authorities, timeouts. No I/O.

Source: AWS SDKs and Tools reference guide, "AWS Region", "Service-specific endpoints" (the order of the endpoint
settings), "Dual-stack and FIPS endpoints", "AWS STS Regional endpoints"; botocore ``configprovider.py``.
"""

from __future__ import annotations

import re

from rolecall.errors import RolecallError
from rolecall.local_files.aws_config import AwsConfigError, Profile
from rolecall.tokens.endpoints import sts_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rolecall.local_files.aws_config import AwsConfig

PLAIN_HTTP_VARIABLE = "ROLECALL_ALLOW_PLAIN_HTTP"
# Compiled when they are used: only an endpoint of one's own needs them.
_REGION = r"[A-Za-z0-9-]{1,40}"
_URL = r"(https?)://([A-Za-z0-9._-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?/?"
_LOOPBACK = r"localhost|127(?:\.[0-9]{1,3}){3}|\[::1\]"


class Settings:
    """How STS is reached.

    :ivar endpoint: ``https://HOST[:PORT]`` without a trailing slash: whom to ask, and whom a token is a call to.
    :ivar region: the region to sign for.
    :ivar ca_bundle: a file of certificate authorities; empty for the system's.
    """

    __slots__ = ("ca_bundle", "connect_timeout", "endpoint", "read_timeout", "region")

    def __init__(
        self, endpoint: str, region: str, ca_bundle: str = "", connect_timeout: float = 5.0, read_timeout: float = 10.0
    ) -> None:
        self.endpoint = endpoint
        self.region = region
        self.ca_bundle = ca_bundle
        self.connect_timeout = connect_timeout
        self.read_timeout = read_timeout


def resolve_settings(
    environ: Mapping[str, str],
    config: AwsConfig,
    profile: str,
    *,
    region: str | None = None,
    endpoint: str | None = None,
    ca_bundle: str | None = None,
) -> Settings:
    """The settings of the command line, else of the environment, else of the profile.

    :raises RolecallError: where a setting is not what it should be, or settings contradict each other.
    """
    values = config.profiles.get(profile or "default") or Profile(profile)
    region = (
        region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or values.text("region") or ""
    ).strip()
    fips = _flag("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT", environ, values)
    dual_stack = _flag("use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT", environ, values)
    bundle = ca_bundle or environ.get("AWS_CA_BUNDLE") or values.text("ca_bundle") or ""
    url, where = (endpoint, "--sts-endpoint") if endpoint else _configured_endpoint(environ, config, values)
    if url:
        if fips or dual_stack:
            raise RolecallError(
                "an endpoint of one's own is neither FIPS nor dual-stack",
                where=where,
                advice="unset AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, or the endpoint",
            )
        if region and not re.fullmatch(_REGION, region):
            raise RolecallError(f"{region[:60]!r} is not the name of a region")
        return Settings(check_endpoint(url, where, environ), region or "us-east-1", bundle)
    try:
        found, signing_region = sts_endpoint(region, fips=fips, dual_stack=dual_stack, legacy=_legacy(environ, values))
    except ValueError as error:
        raise RolecallError(str(error), advice="set --region, AWS_REGION or the profile's region") from None
    return Settings(found, signing_region, bundle)


def check_endpoint(url: str, where: str, environ: Mapping[str, str]) -> str:
    """A URL of STS without its trailing slash; refused where a token could not carry it, or where it is not safe."""
    match = re.fullmatch(_URL, url)
    if match is None or int((match[3] or ":0")[1:]) > 65_535:
        raise RolecallError(
            f"{url[:100]!r} is not the URL of a host", where=where, advice="it reads https://HOST or https://HOST:PORT"
        )
    if match[1] == "http" and not re.fullmatch(_LOOPBACK, match[2]) and environ.get(PLAIN_HTTP_VARIABLE) != "1":
        raise RolecallError(
            "credentials would travel unencrypted to a host that is not this machine",
            where=f"{where} ({url})",
            advice=f"use https; to do it all the same: {PLAIN_HTTP_VARIABLE}=1",
        )
    return url.rstrip("/")


def _configured_endpoint(environ: Mapping[str, str], config: AwsConfig, profile: Profile) -> tuple[str, str]:
    """Service before general, environment before file ("Service-specific endpoints")."""
    if _flag("ignore_configured_endpoint_urls", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", environ, profile):
        return "", ""
    for name in ("AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"):
        if environ.get(name):
            return environ[name], name
    services = profile.text("services")
    if services is not None:
        section = config.services.get(services)
        if section is None:
            raise AwsConfigError(f"there is no section [services {services}]", where=profile.where("services"))
        block = section.values.get("sts")
        if isinstance(block, dict) and block.get("endpoint_url"):
            return block["endpoint_url"], section.where("sts")
    return profile.text("endpoint_url") or "", profile.where("endpoint_url")


def _flag(key: str, variable: str, environ: Mapping[str, str], profile: Profile) -> bool:
    """A switch of the environment or the profile. botocore takes anything but ``true`` for no; here it is an error."""
    text = environ.get(variable) or profile.text(key) or "false"
    if text.lower() not in ("true", "false"):
        where = variable if environ.get(variable) else profile.where(key)
        raise AwsConfigError(f"{key} is true or false, not {text[:20]!r}", where=where)
    return text.lower() == "true"


def _legacy(environ: Mapping[str, str], profile: Profile) -> bool:
    text = environ.get("AWS_STS_REGIONAL_ENDPOINTS") or profile.text("sts_regional_endpoints") or "regional"
    if text.lower() not in ("legacy", "regional"):
        where = profile.where("sts_regional_endpoints") or "AWS_STS_REGIONAL_ENDPOINTS"
        raise AwsConfigError(f"sts_regional_endpoints is regional or legacy, not {text[:20]!r}", where=where)
    return text.lower() == "legacy"
