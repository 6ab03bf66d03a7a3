"""From the environment and the AWS CLI's files to a plan: whose key, and which roles one after the other. No I/O.

The order in which sources are looked at is botocore's (``credentials.py``: ``create_credential_resolver``,
``ProfileProviderBuilder``, ``AssumeRoleProvider``), as described in the AWS SDKs and Tools reference guide,
"Standardized credential providers" and "Assume role credential provider". Differences, each towards refusing: a
``duration_seconds`` that is not a number is an error, and so is a key that nothing can be signed with.
"""

from __future__ import annotations

import os
from binascii import crc32

from rolecall.local_files.aws_config import AwsConfigError, Profile, Section, no_such_profile
from rolecall.local_files.aws_keys import ENVIRONMENT, environment_key, section_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rolecall.access_keys import Key
    from rolecall.local_files.aws_config import AwsConfig

_NAMED_SOURCES = {"Ec2InstanceMetadata": "instance", "EcsContainer": "container"}
_CONTAINER_VARIABLES = ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI")
# The AWS SDKs and Tools reference guide, "IMDS credential provider".
_METADATA_SETTINGS = (
    "ec2_metadata_service_endpoint",
    "ec2_metadata_service_endpoint_mode",
    "ec2_metadata_v1_disabled",
    "metadata_service_timeout",
    "metadata_service_num_attempts",
)
_SSO_PROFILE, _SSO_PORTAL = ("sso_account_id", "sso_role_name"), ("sso_start_url", "sso_region")


class Source:
    """Where the first credentials come from.

    :ivar kind: ``key``, or what has to be asked: ``sso``, ``process``, ``web-identity``, ``login``, ``container``,
        ``instance``.
    :ivar profile: the profile that it is written in; empty if it is in the environment.
    :ivar where: for a person: the environment, or file and line.
    :ivar key: the key itself if the kind is ``key``.
    :ivar details: the settings that it is asked with.
    """

    __slots__ = ("details", "key", "kind", "profile", "where")

    def __init__(
        self, kind: str, profile: str, where: str, *, key: Key | None = None, details: dict[str, str] | None = None
    ) -> None:
        self.kind = kind
        self.profile = profile
        self.where = where
        self.key = key
        self.details = details or {}

    def binding(self) -> dict[str, object]:
        """What is known of the source without asking it; an entry of the cache is for this and nothing else.

        A secret is compared by its checksum: one that was corrected must not find what the wrong one signed.
        """
        words: dict[str, object] = {"kind": self.kind, "profile": self.profile, **self.details}
        if self.key is not None:
            secrets = f"{self.key.secret_access_key} {self.key.session_token or ''}"
            words |= {"key": self.key.access_key_id, "checksum": crc32(secrets.encode())}
        return words


class Hop:
    """One AssumeRole.

    :ivar session_name: ``None`` to forward the name of the caller's own session.
    """

    __slots__ = ("duration", "external_id", "mfa_serial", "role_arn", "session_name", "source_identity", "where")

    def __init__(
        self,
        role_arn: str,
        where: str,
        *,
        session_name: str | None,
        external_id: str | None = None,
        mfa_serial: str | None = None,
        duration: int | None = None,
        source_identity: str | None = None,
    ) -> None:
        self.role_arn = role_arn
        self.where = where
        self.session_name = session_name
        self.external_id = external_id
        self.mfa_serial = mfa_serial
        self.duration = duration
        self.source_identity = source_identity

    def binding(self) -> dict[str, object]:
        """All that the session depends on, besides the caller."""
        return {name: getattr(self, name) for name in self.__slots__ if name != "where"}


class Plan:
    """The source, then the roles in the order in which they are assumed."""

    __slots__ = ("hops", "source")

    def __init__(self, source: Source, hops: tuple[Hop, ...] = ()) -> None:
        self.source = source
        self.hops = hops

    def binding(self, hops: int) -> dict[str, object]:
        """What the credentials after so many roles depend on."""
        return {"source": self.source.binding(), "roles": [hop.binding() for hop in self.hops[:hops]]}

    def needs_mfa(self, hops: int) -> bool:
        """Whether a person is asked for a code on the way to the credentials after so many roles."""
        return any(hop.mfa_serial for hop in self.hops[:hops])

    def next_name(self, environ: Mapping[str, str]) -> str:
        """The session name of a role that is assumed next and has no name of its own."""
        return default_name(self.hops, environ, self.source.profile)

    def then(self, hop: Hop) -> Plan:
        """The plan with one role more; the same plan if its last role is that role already, asked for in the same way.

        A role that assumes itself must trust itself, and gives the same identity: a profile of a role, and that role
        named again in the kubeconfig, are a common pair.
        """
        last = self.hops[-1] if self.hops else None
        if last is not None and (last.role_arn, last.external_id, last.session_name) == (
            hop.role_arn,
            hop.external_id or last.external_id,
            hop.session_name or last.session_name,
        ):
            return self
        return Plan(self.source, (*self.hops, hop))


def profile_name(environ: Mapping[str, str], given: str | None) -> str:
    """The profile that is asked for; empty if none is named, which means ``default`` if there is one."""
    return given or environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE") or ""


def plan_credentials(environ: Mapping[str, str], config: AwsConfig, given_profile: str | None) -> Plan:
    """How to get the credentials that the AWS CLI would use.

    :param given_profile: of the command line, which beats the environment's key; ``None`` without one.
    :raises RolecallError: if there are none, or the files contradict themselves. A profile that is named and does not
        exist is an error even if a key in the environment would win, as in the AWS CLI.
    """
    name = profile_name(environ, given_profile)
    if name and name not in config.profiles:
        variable = "AWS_PROFILE" if environ.get("AWS_PROFILE") else "AWS_DEFAULT_PROFILE"
        raise no_such_profile(name, "" if given_profile else variable, config)
    if not given_profile and environ.get("AWS_ACCESS_KEY_ID"):
        return Plan(environment_source(environ))
    found = _Chain(environ, config, environment_allowed=not given_profile).resolve(name or "default", top=True)
    if found is not None:
        return found
    if not name:
        unnamed = Profile("")
        unnamed.values = config.profiles["default"].values if "default" in config.profiles else {}
        return Plan(_machine_source(environ, unnamed))
    # As botocore does for a profile without credentials of its own, such as one with a region only.
    return Plan(_machine_source(environ, config.profiles[name]))


def environment_source(environ: Mapping[str, str]) -> Source:
    """The key in the environment, with its end if ``AWS_CREDENTIAL_EXPIRATION`` says it."""
    key = environment_key(environ)
    if moment := environ.get("AWS_CREDENTIAL_EXPIRATION"):
        from rolecall.exec_plugin.aws_times import read_moment

        key.expires = read_moment(moment, f"AWS_CREDENTIAL_EXPIRATION in {ENVIRONMENT}")
    return Source("key", "", ENVIRONMENT, key=key)


def _machine_source(environ: Mapping[str, str], profile: Profile) -> Source:
    """What the machine itself gives: a container's or an instance's role."""
    if any(environ.get(variable) for variable in _CONTAINER_VARIABLES):
        return _named_source("container", environ, profile)
    if environ.get("AWS_EC2_METADATA_DISABLED", "").lower() == "true":
        raise AwsConfigError(
            f"profile {profile.name!r} has no credentials" if profile.name else "there are no AWS credentials",
            where=profile.where() or ENVIRONMENT,
            advice="name a profile (AWS_PROFILE), set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or: aws configure",
        )
    return _named_source("instance", environ, profile)


def _named_source(kind: str, environ: Mapping[str, str], profile: Profile, where: str = ENVIRONMENT) -> Source:
    names = (*_CONTAINER_VARIABLES, "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", "AWS_EC2_METADATA_SERVICE_ENDPOINT")
    # The same words mean another role on another machine, and homes are shared between machines.
    details = {"machine": os.uname().nodename, **{name: environ[name] for name in names if environ.get(name)}}
    return Source(kind, profile.name, where, details=details | _texts(profile, _METADATA_SETTINGS))


class _Chain:
    """Follows ``source_profile`` from profile to profile."""

    def __init__(self, environ: Mapping[str, str], config: AwsConfig, *, environment_allowed: bool) -> None:
        self._environ = environ
        self._config = config
        self._environment_allowed = environment_allowed
        self._visited: list[str] = []

    def resolve(self, name: str, *, top: bool) -> Plan | None:
        """The plan of a profile; ``None`` if it has no credentials."""
        profile = self._config.profiles.get(name) or Profile(name)
        self._visited.append(name)
        is_role = "role_arn" in profile.values and "web_identity_token_file" not in profile.values
        # A source's own key beats its role; at the top it is the other way round (botocore: AssumeRoleProvider).
        if is_role and (top or not _has_key(profile)):
            return self._role(profile)
        if source := self._web_identity(profile, top=top):
            return Plan(source)
        if source := _own_source(profile, self._config):
            return Plan(source)
        return None

    def _role(self, profile: Profile) -> Plan:
        source_profile, named = profile.text("source_profile"), profile.text("credential_source")
        if (source_profile is None) == (named is None):
            raise AwsConfigError(
                f"profile {profile.name!r} needs one of source_profile and credential_source to assume its role",
                where=profile.where("role_arn"),
            )
        if source_profile is not None:
            before = self._source_profile(profile, source_profile)
        elif named == "Environment":
            before = Plan(environment_source(self._environ))
        elif named in _NAMED_SOURCES:
            where = profile.where("credential_source")
            before = Plan(_named_source(_NAMED_SOURCES[named], self._environ, profile, where))
        else:
            raise AwsConfigError(
                f"credential_source {named!r} is not one",
                where=profile.where("credential_source"),
                advice="it is Environment, Ec2InstanceMetadata or EcsContainer",
            )
        return Plan(before.source, (*before.hops, _hop(profile, before, self._environ)))

    def _source_profile(self, profile: Profile, source: str) -> Plan:
        where = profile.where("source_profile")
        if source not in self._config.profiles:
            raise AwsConfigError(f"source_profile {source!r} of profile {profile.name!r} does not exist", where=where)
        if source in self._visited and not (source == profile.name and _has_key(profile)):
            loop = " -> ".join((*self._visited, source))
            raise AwsConfigError(f"the source profiles go round in a circle: {loop}", where=where)
        found = self.resolve(source, top=False)
        if found is None:
            raise AwsConfigError(
                f"source_profile {source!r} of profile {profile.name!r} has no credentials",
                where=self._config.profiles[source].where(),
            )
        return found

    def _web_identity(self, profile: Profile, *, top: bool) -> Source | None:
        use_environment = top and self._environment_allowed
        file = profile.text("web_identity_token_file")
        details = {"file": file or "", "role": profile.text("role_arn") or ""}
        where = profile.where("web_identity_token_file")
        if use_environment and self._environ.get("AWS_WEB_IDENTITY_TOKEN_FILE"):
            names = ("AWS_ROLE_ARN", "AWS_ROLE_SESSION_NAME")
            details |= {name: self._environ.get(name, "") for name in names}
            details["file"] = self._environ["AWS_WEB_IDENTITY_TOKEN_FILE"]
            where = ENVIRONMENT
        elif not file:
            return None
        return Source("web-identity", "" if where == ENVIRONMENT else profile.name, where, details=details)


def _own_source(profile: Profile, config: AwsConfig) -> Source | None:
    """A profile's own credentials, in botocore's order: SSO, credentials file, login, process, config file."""
    values = profile.values
    if "sso_account_id" in values or "sso_role_name" in values:
        return _sso_source(profile, config)
    if profile.credentials is not None and "aws_access_key_id" in profile.credentials.values:
        return _key_source(profile, profile.credentials)
    for kind, name in (("login", "login_session"), ("process", "credential_process")):
        if name in values:
            return Source(kind, profile.name, profile.where(name), details=_texts(profile, (name,)))
    if profile.config is not None and "aws_access_key_id" in profile.config.values:
        return _key_source(profile, profile.config)
    return None


def _sso_source(profile: Profile, config: AwsConfig) -> Source:
    """The portal is in the profile, or in the ``[sso-session NAME]`` that it names."""
    details = _texts(profile, ("sso_session", *_SSO_PROFILE, *_SSO_PORTAL))
    if (session := config.sso_sessions.get(details.get("sso_session", ""))) is not None:
        for name in _SSO_PORTAL:
            if isinstance(value := session.values.get(name), str):
                details.setdefault(name, value)
    where = next((profile.where(name) for name in _SSO_PROFILE if name in profile.values), profile.where())
    return Source("sso", profile.name, where, details=details)


def check_source(source: Source) -> None:
    """Refuse a profile of SSO that lacks a setting: no login helps there.

    :raises AwsConfigError: naming what is missing.
    """
    if source.kind != "sso":
        return
    missing = [name for name in (*_SSO_PROFILE, *_SSO_PORTAL) if not source.details.get(name)]
    if missing:
        named = source.details.get("sso_session")
        place = f" (or [sso-session {named}])" if named and set(missing) & set(_SSO_PORTAL) else ""
        raise AwsConfigError(
            f"profile {source.profile!r} uses SSO but has no {', '.join(missing)}",
            where=source.where,
            advice=f"add it to the profile{place}: aws configure sso --profile {source.profile}",
        )


def _key_source(profile: Profile, section: Section) -> Source:
    key = section_key(section, profile.name)
    return Source("key", profile.name, section.where("aws_access_key_id"), key=key)


def _hop(profile: Profile, before: Plan, environ: Mapping[str, str]) -> Hop:
    from rolecall.exec_plugin.session_name import check_given

    name = profile.text("role_session_name")
    duration = profile.text("duration_seconds")
    if duration is not None and not (duration.isascii() and duration.isdigit() and len(duration) < 7):
        raise AwsConfigError(
            f"duration_seconds {duration[:20]!r} is not a number of seconds", where=profile.where("duration_seconds")
        )
    return Hop(
        profile.text("role_arn") or "",
        profile.where("role_arn"),
        session_name=check_given(name, profile.where("role_session_name")) if name else before.next_name(environ),
        external_id=profile.text("external_id"),
        mfa_serial=profile.text("mfa_serial"),
        duration=None if duration is None else int(duration),
        source_identity=profile.text("source_identity"),
    )


def default_name(before: tuple[Hop, ...], environ: Mapping[str, str], profile: str = "") -> str:
    """The name of the role before, which names the person already; else the person's on this machine.

    :param profile: of the source, which tells people apart who share an account of the machine.
    """
    if before and before[-1].session_name:
        return before[-1].session_name
    from rolecall.exec_plugin.session_name import check_given, derived

    if name := environ.get("AWS_ROLE_SESSION_NAME"):
        return check_given(name, f"AWS_ROLE_SESSION_NAME in {ENVIRONMENT}")
    return derived(environ, profile)


def _has_key(profile: Profile) -> bool:
    return "aws_access_key_id" in profile.values or "aws_secret_access_key" in profile.values


def _texts(profile: Profile, names: tuple[str, ...]) -> dict[str, str]:
    return {name: value for name in names if (value := profile.text(name)) is not None}
