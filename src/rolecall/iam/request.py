"""A request for authorisation, and the context keys that every request has.

Source: IAM user guide, "AWS global condition context keys".
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

from rolecall.arn import Arn, PrincipalKind
from rolecall.iam.principals import Principal

_PRINCIPAL_TYPES = {
    PrincipalKind.ROOT: "Account",
    PrincipalKind.USER: "User",
    PrincipalKind.ROLE: "AssumedRole",
    PrincipalKind.ASSUMED_ROLE: "AssumedRole",
    PrincipalKind.FEDERATED_USER: "FederatedUser",
}


@dataclass(frozen=True, slots=True)
class AuthorizationRequest:
    """May ``principal`` call ``action`` on ``resource``?

    :param action: ``service:Operation``, any case.
    :param resource: an ARN, or ``*`` for an action without a resource.
    :param resource_account: the account that owns the resource.
    :param context: condition keys, lower-case, each with its values; see :func:`request_context`.
    """

    principal: Principal
    action: str
    resource: str
    resource_account: str
    context: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def request_context(
    principal: Principal,
    *,
    now: datetime,
    source_ip: str = "",
    user_agent: str = "",
    secure_transport: bool = True,
    region: str = "",
    service_keys: Mapping[str, tuple[str, ...]] | None = None,
) -> dict[str, tuple[str, ...]]:
    """The context of a request: the caller's keys, the moment's, and the service's own in ``service_keys``."""
    moment = now.astimezone(UTC)
    keys: dict[str, tuple[str, ...]] = {
        "aws:principalarn": (principal.principal_arn,),
        "aws:principalaccount": (principal.account,),
        "aws:principaltype": (_PRINCIPAL_TYPES[principal.kind],),
        "aws:userid": (principal.user_id,),
        "aws:currenttime": (moment.strftime("%Y-%m-%dT%H:%M:%SZ"),),
        "aws:epochtime": (str(int(moment.timestamp())),),
        "aws:securetransport": ("true" if secure_transport else "false",),
        "aws:viaawsservice": ("false",),
        "aws:principalisawsservice": ("false",),
    }
    optional = {"aws:sourceip": source_ip, "aws:useragent": user_agent, "aws:requestedregion": region}
    keys |= {key: (value,) for key, value in optional.items() if value}
    # Set for users alone: a role session and the root user have no user name.
    if principal.kind is PrincipalKind.USER and principal.name:
        keys["aws:username"] = (principal.name,)
    keys |= _session_keys(principal, moment)
    if service_keys:
        keys |= {key.lower(): values for key, values in service_keys.items()}
    return keys


def _session_keys(principal: Principal, now: datetime) -> dict[str, tuple[str, ...]]:
    keys: dict[str, tuple[str, ...]] = {}
    tags = {key.lower(): value for key, value in principal.tags.items()}
    session = principal.session
    if session is not None:
        tags |= {key.lower(): value for key, value in session.tags.items()}
        keys["aws:tokenissuetime"] = (session.issued.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),)
        # Present for temporary credentials alone, so that a long-term key has no such key at all.
        keys["aws:multifactorauthpresent"] = ("true" if session.mfa_authenticated_at else "false",)
        if session.mfa_authenticated_at:
            age = int((now - session.mfa_authenticated_at.astimezone(UTC)).total_seconds())
            keys["aws:multifactorauthage"] = (str(age),)
        if session.source_identity:
            keys["aws:sourceidentity"] = (session.source_identity,)
    return keys | {f"aws:principaltag/{key}": (value,) for key, value in tags.items()}


def account_of(resource: str, default: str) -> str:
    """The account in a resource's ARN, or ``default`` where it names none."""
    if resource.startswith("arn:") and (account := Arn.parse(resource).account):
        return account
    return default
