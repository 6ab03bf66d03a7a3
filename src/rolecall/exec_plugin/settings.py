"""Which STS is asked, and how: region, endpoint, certificate authorities, timeouts. No I/O.

Source: AWS SDKs and Tools reference guide, "AWS Region", "Service-specific endpoints" (the order of the endpoint
settings), "Dual-stack and FIPS endpoints", "AWS STS Regional endpoints"; botocore ``configprovider.py``.
"""

from __future__ import annotations

from rolecall.errors import RolecallError
from rolecall.local_files.aws_config import AwsConfigError, Profile
from rolecall.tokens.endpoints import sts_endpoint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rolecall.local_files.aws_config import AwsConfig

PLAIN_HTTP_VARIABLE = "ROLECALL_ALLOW_PLAIN_HTTP"
_DIGITS = frozenset("0123456789")
_LETTERS = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")
_REGION = _LETTERS | _DIGITS | {"-"}
_HOST = _REGION | {".", "_"}
_IPV6 = frozenset("0123456789ABCDEFabcdef:.")


class Settings:
    """How STS is reached.

    :ivar endpoint: ``https://HOST[:PORT]`` without a trailing slash: whom to ask, and whom a token is a call to.
    :ivar region: the region to sign for.
    :ivar ca_bundle: a file (or a folder) of certificate authorities; empty for the system's.
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

    :raises RolecallError: if a setting is not what it should be, or settings contradict each other.
    """
    values = config.profiles.get(profile or "default") or Profile(profile)
    region, region_from = _region(environ, values, region)
    fips = _flag("use_fips_endpoint", "AWS_USE_FIPS_ENDPOINT", environ, values)
    dual_stack = _flag("use_dualstack_endpoint", "AWS_USE_DUALSTACK_ENDPOINT", environ, values)
    bundle = (
        ca_bundle
        or environ.get("AWS_CA_BUNDLE")
        or values.text("ca_bundle")
        # botocore `endpoint.py`: after its own settings.
        or environ.get("REQUESTS_CA_BUNDLE")
        or ""
    )
    url, where = (endpoint, "--sts-endpoint") if endpoint else _configured_endpoint(environ, config, values)
    if url:
        if fips or dual_stack:
            raise RolecallError(
                "an endpoint of your own is neither FIPS nor dual-stack",
                where=where,
                advice="unset AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT, or the endpoint",
            )
        if region and not (_REGION.issuperset(region) and len(region) <= 40):
            raise _not_a_region(region, region_from)
        return Settings(check_endpoint(url, where, environ), region or "us-east-1", bundle)
    try:
        found, signing_region = sts_endpoint(region, fips=fips, dual_stack=dual_stack, legacy=_legacy(environ, values))
    except ValueError as error:
        if region and not _REGION.issuperset(region):
            raise _not_a_region(region, region_from) from None
        advice = "set --region, AWS_REGION or the region of the profile"
        raise RolecallError(str(error), where=region_from, advice=advice) from None
    return Settings(found, signing_region, bundle)


def _region(environ: Mapping[str, str], profile: Profile, given: str | None) -> tuple[str, str]:
    """The region, empty if none is set, and where it is set."""
    candidates = (
        (given, "--region"),
        (environ.get("AWS_REGION"), "AWS_REGION"),
        (environ.get("AWS_DEFAULT_REGION"), "AWS_DEFAULT_REGION"),
        (profile.text("region"), profile.where("region")),
    )
    for value, where in candidates:
        if value and (stripped := value.strip()):
            return stripped, where
    return "", ""


def _not_a_region(region: str, where: str) -> RolecallError:
    if "#" in region or ";" in region:
        advice = "a comment must be on a line of its own: behind a value it is part of the value"
    else:
        advice = "a region looks like eu-west-2"
    return RolecallError(f"{region[:60]!r} is not an AWS region", where=where, advice=advice)


def check_endpoint(url: str, where: str, environ: Mapping[str, str]) -> str:
    """A URL of STS without its trailing slash; refused if a token could not carry it, or if it is not safe."""
    scheme, host, _, path = split_url(url)
    if not host or path not in ("", "/"):
        raise RolecallError(
            f"{url[:100]!r} is not the URL of a host",
            where=where,
            advice="use https://HOST or https://HOST:PORT, without a path",
        )
    if scheme == "http" and not is_loopback(host) and environ.get(PLAIN_HTTP_VARIABLE) != "1":
        raise RolecallError(
            "credentials would travel unencrypted to a host that is not this machine",
            where=f"{where} ({url})",
            advice=f"use https; to allow it anyway, set {PLAIN_HTTP_VARIABLE}=1",
        )
    return url.rstrip("/")


def split_url(url: str) -> tuple[str, str, int, str]:
    """Scheme, host (an address of IPv6 in its brackets), port or 0, and the rest from the first slash on.

    The host is empty if the text is not such a URL; one with a user or a password is not.
    """
    scheme, slashes, rest = url.partition("://")
    place, slash, path = rest.partition("/")
    host, port = host_and_port(place)
    if scheme not in ("http", "https") or not slashes or not 0 <= port <= 65_535:
        return "", "", 0, ""
    return scheme, host, port, slash + path


def is_loopback(host: str) -> bool:
    """Whether a host of :func:`split_url` is this machine."""
    parts = host.split(".")
    is_ipv4 = len(parts) == 4 and all(0 < len(part) <= 3 and _DIGITS.issuperset(part) for part in parts)
    return host in ("localhost", "[::1]") or (is_ipv4 and parts[0] == "127")


def host_and_port(text: str) -> tuple[str, int]:
    """``HOST`` or ``HOST:PORT``; an empty host if the text is neither. Port 0: none is given."""
    before, colon, after = text.rpartition(":")
    host, port = (text, "0") if not colon or text.endswith("]") else (before, after)
    if not (port and len(port) <= 5 and _DIGITS.issuperset(port)):
        return "", 0
    if host.startswith("[") and host.endswith("]"):
        good = 4 <= len(host) <= 47 and _IPV6.issuperset(host[1:-1])
    else:
        good = 1 <= len(host) <= 253 and _HOST.issuperset(host)
    return (host if good else ""), int(port)


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
