"""How accounts are reached: credentials by profile and role, clients that threads share, and a check of whose they are.

Credentials, regions and endpoints are found as botocore finds them for every tool: profiles, ``AWS_PROFILE``,
``AWS_REGION``, ``AWS_ENDPOINT_URL`` (AWS SDKs and Tools reference guide). A profile that is named beats keys in the
environment, as it does in botocore.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import cache
from typing import Any

from botocore.config import Config
from botocore.credentials import (
    AssumeRoleCredentialFetcher,
    CredentialProvider,
    CredentialResolver,
    DeferredRefreshableCredentials,
)
from botocore.exceptions import BotoCoreError, ClientError
from botocore.loaders import create_loader
from botocore.session import Session

import rolecall
from rolecall.arn import PrincipalArn, PrincipalKind, canonicalize
from rolecall.aws.errors import AwsError, explained
from rolecall.aws.profile_files import check_profile_files
from rolecall.errors import RolecallError
from rolecall.model import CallerIdentity
from rolecall.sigv4 import Credentials

CONNECT_TIMEOUT = 5
# One page of GetAccountAuthorizationDetails holds up to a thousand users and roles with their policies.
READ_TIMEOUT = 60
MAX_ATTEMPTS = 6
MAX_CONNECTIONS = 8
MAX_CHAIN = 5


@dataclass(frozen=True, slots=True)
class AccountAccess:
    """How one account is reached: its credentials are the profile's, or a role's that the profile may assume.

    :param account: 12 digits; the credentials must be of this account.
    :param profile: of the AWS CLI's files; empty: what the environment gives.
    :param role_arn: a role in the account; empty: the profile's own credentials.
    :param external_id: ``sts:ExternalId`` for that role, or empty.
    :param region: where its calls go unless they name one; empty: the profile's or the environment's.
    :param session_name: ``sts:RoleSessionName`` of that role, which the account's audit trail shows.
    """

    account: str
    profile: str = ""
    role_arn: str = ""
    external_id: str = ""
    region: str = ""
    session_name: str = "rolecall"

    def __post_init__(self) -> None:
        if not self.role_arn:
            return
        role = PrincipalArn.parse(self.role_arn)
        if role.kind is not PrincipalKind.ROLE or role.account != self.account:
            raise AwsError(
                f"{self.role_arn} is not a role of account {self.account}",
                where=f"account {self.account}",
                advice="give the ARN of a role in that account, or leave it out",
            )


class AwsClients:
    """Clients of AWS for any number of accounts, one for each (account, service, region); safe to share by threads.

    Nothing is read or called until a client is asked for. Before an account's first client is handed out,
    GetCallerIdentity must say that its credentials really are of that account.

    :param accesses: the accounts that may be reached; any other is refused.
    :param concurrency: how many calls a client makes at once at most.
    """

    def __init__(self, accesses: Iterable[AccountAccess], *, concurrency: int = MAX_CONNECTIONS) -> None:
        self._accesses = {access.account: access for access in accesses}
        self._config = Config(
            connect_timeout=CONNECT_TIMEOUT,
            read_timeout=READ_TIMEOUT,
            # Counts the first try too; adaptive slows down before AWS throttles (SDKs guide, "Retry behavior").
            retries={"mode": "adaptive", "total_max_attempts": MAX_ATTEMPTS},
            max_pool_connections=concurrency,
            user_agent_extra=f"rolecall/{rolecall.__version__}",
        )
        # botocore's sessions are not safe to share by threads, its clients are; making one takes some 5 ms of CPU.
        self._making = threading.RLock()
        self._prompting = threading.Lock()
        self._sources: dict[str, Session] = {}
        self._sessions: dict[str, Session] = {}
        self._clients: dict[tuple[str, str, str], Any] = {}
        self._callers: dict[str, CallerIdentity] = {}
        self._checking = {account: threading.Lock() for account in self._accesses}

    @property
    def accounts(self) -> tuple[str, ...]:
        """The accounts that may be reached, in the order given."""
        return tuple(self._accesses)

    def client(self, account: str, service: str, region: str = "") -> Any:
        """A client of ``service`` in ``account``; :class:`AwsError` where its credentials are of another account."""
        self.caller(account)
        return self._client(account, service, region)

    def caller(self, account: str = "") -> CallerIdentity:
        """Who the credentials of an account are, as STS says it; without ``account`` those of the first account.

        Asked of STS once. Its :attr:`~rolecall.model.CallerIdentity.arn` names a session; the ARN that a cluster
        compares is :meth:`caller_arn`.
        """
        account = account or next(iter(self._accesses), "")
        access = self.access(account)
        if (known := self._callers.get(account)) is not None:
            return known
        with self._checking[account]:
            if account not in self._callers:
                self._callers[account] = self._checked(access)
            return self._callers[account]

    def caller_arn(self, account: str = "") -> str:
        """The canonical ARN of :meth:`caller`: that of the user or the role behind the session."""
        return canonicalize(self.caller(account).arn)

    def scoped_settings(self, profile: str) -> dict[str, Any]:
        """What the AWS files say of a profile; of the one that the environment names if ``profile`` is empty."""
        with self._making:
            return dict(self._source(profile).get_scoped_config())

    def sts_of_profile(self, profile: str, account: str) -> Any:
        """A client of STS with the credentials of a profile, whatever account they are of."""
        with self._making:
            region = self.region(account) or None
            return self._source(profile).create_client("sts", region_name=region, config=self._config)

    def credentials(self, account: str) -> Credentials:
        """The credentials of an account as they are now, refreshed where they are about to end; for tokens."""
        self.caller(account)
        with self._making:
            found = self._session(account).get_credentials()
        with explained(f"account {account}"):
            frozen = found.get_frozen_credentials()
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token)

    def endpoint(self, account: str, service: str, region: str = "") -> str:
        """The URL that calls to a service go to."""
        return str(self._client(account, service, region).meta.endpoint_url)

    def region(self, account: str) -> str:
        """The region of an account's calls, or empty where neither access, profile nor environment names one."""
        access = self.access(account)
        with self._making, explained(f"account {account}"):
            return access.region or self._source(access.profile).get_config_variable("region") or ""

    def access(self, account: str) -> AccountAccess:
        """How an account is reached; :class:`AwsError` if nothing says so."""
        access = self._accesses.get(account)
        if access is None:
            raise AwsError(
                "nothing says how this account is reached",
                where=f"account {account or '(none)'}",
                advice="name a profile or a role for it",
            )
        return access

    def _client(self, account: str, service: str, region: str) -> Any:
        region = region or self.region(account)
        key = (account, service, region)
        found = self._clients.get(key)
        if found is None:
            with self._making, explained(f"account {account}"):
                found = self._clients.get(key)
                if found is None:
                    found = self._session(account).create_client(
                        service, region_name=region or None, config=self._config
                    )
                    self._clients[key] = found
        return found

    def _session(self, account: str) -> Session:
        access = self.access(account)
        session = self._sessions.get(account)
        if session is None:
            session = self._source(access.profile) if not access.role_arn else self._assuming(access)
            self._sessions[account] = session
        return session

    def _source(self, profile: str) -> Session:
        session = self._sources.get(profile)
        if session is None:
            session = self._sources[profile] = _session(profile)
        return session

    def _assuming(self, access: AccountAccess) -> Session:
        session = _session(access.profile)
        provider = _RoleProvider(self, access)
        session.register_component("credential_provider", CredentialResolver([provider]))
        return session

    def _checked(self, access: AccountAccess) -> CallerIdentity:
        where = f"account {access.account}"
        sts = self._client(access.account, "sts", "")
        with self._one_prompt(access), explained(where):
            found = sts.get_caller_identity()
        caller = CallerIdentity(found["Arn"], found["Account"], found["UserId"])
        if caller.account != access.account:
            raise _of_another_account(access, caller)
        return caller

    def _one_prompt(self, access: AccountAccess) -> AbstractContextManager[Any]:
        """Where a profile asks for an MFA code, one account at a time: two prompts at once read each other's code."""
        with self._making, explained(f"account {access.account}"):
            asks = "mfa_serial" in self._source(access.profile).get_scoped_config()
        return self._prompting if asks else nullcontext()


def _of_another_account(access: AccountAccess, caller: CallerIdentity) -> AwsError:
    by = f"profile {access.profile}" if access.profile else "the environment"
    return AwsError(
        f"the credentials of {by} are of account {caller.account}: {caller.arn}",
        where=f"account {access.account}",
        advice=f"name a profile or a role of account {access.account} for it",
    )


def principal_behind(clients: AwsClients, account: str) -> str:
    """The canonical ARN of the principal that assumed the caller's role, if the profiles tell it; else empty.

    A profile that assumes a role with the credentials of another profile is followed to the first one.
    """
    access = clients.access(account)
    if PrincipalArn.parse(clients.caller(account).arn).kind is not PrincipalKind.ASSUMED_ROLE:
        return ""
    try:
        profile, assumed = access.profile, bool(access.role_arn)
        # Keys of the environment come before what the default profile says (AWS CLI, "Configuration precedence").
        chained = profile or "AWS_ACCESS_KEY_ID" not in os.environ or "AWS_PROFILE" in os.environ
        for _ in range(MAX_CHAIN if chained else 0):
            source = clients.scoped_settings(profile)
            if "role_arn" not in source or "source_profile" not in source:
                break
            profile, assumed = source["source_profile"], True
        if not assumed:
            return ""
        return canonicalize(str(clients.sts_of_profile(profile, account).get_caller_identity()["Arn"]))
    except (BotoCoreError, ClientError, RolecallError):
        # Nobody needs to know it for the work itself, and it is then not known.
        return ""


@cache
def _loader() -> Any:
    """One loader for all: the parsed models of the services are its cache, and by far the largest part of a client."""
    # Not by way of a session: that would look at the profile that the environment names.
    return create_loader(os.environ.get("AWS_DATA_PATH"))


class _RoleProvider(CredentialProvider):  # type: ignore[misc]  # botocore has no types
    """Credentials of a role, assumed when first needed and again before they end."""

    METHOD = "rolecall-assume-role"
    CANONICAL_NAME = METHOD

    def __init__(self, clients: AwsClients, access: AccountAccess) -> None:
        super().__init__()
        self._clients, self._access = clients, access

    def load(self) -> DeferredRefreshableCredentials:
        access, source = self._access, self._clients._source(self._access.profile)
        extra = {"RoleSessionName": access.session_name}
        if access.external_id:
            extra["ExternalId"] = access.external_id
        credentials = source.get_credentials()
        if credentials is None:
            raise AwsError(
                f"there are no credentials to assume {access.role_arn} with",
                where=f"account {access.account}",
                advice="name a profile, or set AWS_PROFILE",
            )
        fetcher = AssumeRoleCredentialFetcher(self._create_client, credentials, access.role_arn, extra)
        return DeferredRefreshableCredentials(fetcher.fetch_credentials, self.METHOD)

    def _create_client(self, service: str, **options: Any) -> Any:
        clients, access = self._clients, self._access
        with clients._making:
            region = clients.region(access.account) or None
            return clients._source(access.profile).create_client(
                service, region_name=region, config=clients._config, **options
            )


def _session(profile: str) -> Session:
    check_profile_files(profile, os.environ)
    session = Session(profile=profile or None)
    session.register_component("data_loader", _loader())
    if region := os.environ.get("AWS_REGION"):
        # As the AWS CLI and the other SDKs have it (SDKs guide, "AWS Region"); botocore knows AWS_DEFAULT_REGION alone.
        session.set_config_variable("region", region)
    endpoint = os.environ.get("AWS_ENDPOINT_URL_STS") or os.environ.get("AWS_ENDPOINT_URL") or ""
    with explained(f"profile {profile}" if profile else "the environment's credentials"):
        session.get_component("credential_provider").get_provider("assume-role").cache = _assumed(endpoint)
    return session


@cache
def _assumed(endpoint: str) -> dict[str, Any]:
    """Sessions of profiles' roles, shared by all that this process makes: an MFA code is good for one call."""
    return {}


def identify(profile: str = "", region: str = "") -> AccountAccess:
    """How the caller's own account is reached, by asking STS which account the credentials are of."""
    return identify_with_date(profile, region)[0]


def identify_with_date(profile: str = "", region: str = "") -> tuple[AccountAccess, str]:
    """As :func:`identify`, with the ``Date`` header of the answer: the clock of AWS; empty if it had none."""
    session = _session(profile)
    with explained(f"profile {profile}" if profile else "the environment's credentials"):
        region = region or session.get_config_variable("region") or ""
        found = session.create_client("sts", region_name=region or None).get_caller_identity()
    date = found["ResponseMetadata"].get("HTTPHeaders", {}).get("date", "")
    return AccountAccess(str(found["Account"]), profile, region=region), str(date)
