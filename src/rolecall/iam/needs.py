"""What a caller must bring along to assume a role: an MFA code, an external id, a session name, an address.

A condition on something that the caller chooses is no reason to say that a role cannot be assumed, but neither can it
be left out. Which keys the caller can choose is said here, and which call of AssumeRole a choice of values makes;
:mod:`rolecall.iam.choices` has the values that are worth trying.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum

from rolecall.arn import PrincipalKind
from rolecall.iam.assume_role import AssumeRoleRequest
from rolecall.iam.operators import read_date
from rolecall.iam.principals import Principal, Session

DEFAULT_SESSION = "session"
# Keys that follow from who the caller and the role are, or that every call over TLS has alike
# (IAM user guide, "AWS global condition context keys").
_FIXED = frozenset(
    {
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principaltype",
        "aws:resourceaccount",
        "aws:username",
        "aws:securetransport",
        "aws:viaawsservice",
        "aws:principalisawsservice",
        "aws:federatedprovider",
    }
)
# What the session of a role brings along, and a user has not, or has alone.
_OF_SESSION = frozenset({"aws:userid", "aws:tokenissuetime", "aws:sourceidentity"})
RESOURCE_TAGS = ("aws:resourcetag/", "iam:resourcetag/")
MFA = ("aws:multifactorauthpresent", "aws:multifactorauthage")
TIME = ("aws:currenttime", "aws:epochtime")
REQUEST_TAG, PRINCIPAL_TAG = "aws:requesttag/", "aws:principaltag/"
TAG_LISTS = ("aws:tagkeys", "sts:transitivetagkeys")
# A session lives for twelve hours at most.
_LONGEST = timedelta(hours=12)


class NeedKind(StrEnum):
    """What kind of thing a caller must bring along."""

    MFA = "mfa"
    EXTERNAL_ID = "externalId"
    SESSION_NAME = "sessionName"
    SOURCE_IP = "sourceIp"
    SOURCE_IDENTITY = "sourceIdentity"
    TAGS = "tags"
    TIME = "time"
    CALLING_SESSION = "callingSession"
    OTHER = "other"


_KINDS = {
    **dict.fromkeys(MFA, NeedKind.MFA),
    **dict.fromkeys(TIME, NeedKind.TIME),
    **dict.fromkeys(TAG_LISTS, NeedKind.TAGS),
    "sts:externalid": NeedKind.EXTERNAL_ID,
    "sts:rolesessionname": NeedKind.SESSION_NAME,
    "aws:sourceip": NeedKind.SOURCE_IP,
    "sts:sourceidentity": NeedKind.SOURCE_IDENTITY,
    **dict.fromkeys(_OF_SESSION, NeedKind.CALLING_SESSION),
}


@dataclass(frozen=True, slots=True)
class Need:
    """One thing that a caller must bring along.

    :param key: the condition key, as the policy writes it.
    :param value: as the policy asks for it, its variables replaced: ``alice``, ``10.0.0.0/8``, ``true``.
    """

    kind: NeedKind
    key: str
    value: str

    def __str__(self) -> str:
        return f"{self.key} {self.value}"


@dataclass(frozen=True, slots=True)
class Choice:
    """A value that a caller could bring for a key, and how the policy asks for it.

    :param key: the condition key, lower-case.
    :param name: of a tag: its key, in the case in which it is sent.
    :param transitive: of a tag: whether it is passed on down a chain of roles.
    """

    key: str
    values: tuple[str, ...]
    need: Need
    name: str = ""
    transitive: bool = False


def is_free(key: str, kind: PrincipalKind, tags: frozenset[str] = frozenset()) -> bool:
    """Whether a caller may have one or another value of a condition key.

    :param tags: keys of the role's own tags, lower-case: a transitive tag of the calling session replaces the value of
        such a tag (IAM user guide, "Chaining roles with session tags").
    """
    # No request has a key without a prefix, or with a letter that neither keys nor tags have.
    if key in _FIXED or ":" not in key or "," in key or "'" in key:
        return False
    user = kind is PrincipalKind.USER
    if key.startswith(RESOURCE_TAGS):
        return not user and key.partition("/")[2] in tags
    if user:
        return not key.startswith(PRINCIPAL_TAG) and key not in _OF_SESSION
    # Sessions of roles carry no MFA (IAM user guide, "Secure API access with MFA"), but tags and a source identity.
    return key not in MFA


def brought(
    offer: Iterable[Choice], principal: Principal, role_arn: str, now: datetime
) -> tuple[Principal, AssumeRoleRequest]:
    """The caller and the call of AssumeRole that an offer makes."""
    offer = tuple(offer)
    tags = [choice for choice in offer if choice.key.startswith(REQUEST_TAG)]
    values = {choice.key: choice.values for choice in offer if not choice.key.startswith((REQUEST_TAG, PRINCIPAL_TAG))}
    for key in TIME:
        if (moment := read_date(values.pop(key, ("",))[0])) is not None:
            now = max(now, moment)
    mfa = values.pop(MFA[1], None)
    verified: datetime | None = None
    if mfa or values.get(MFA[0]) == ("true",):
        values.pop(MFA[0], None)
        verified = now - timedelta(seconds=int(mfa[0]) if mfa else 0)
    caller = _caller(principal, values, [one for one in offer if one.key.startswith(PRINCIPAL_TAG)], now)
    request = AssumeRoleRequest(
        role_arn,
        values.pop("sts:rolesessionname", (DEFAULT_SESSION,))[0],
        now,
        external_id=values.pop("sts:externalid", (None,))[0],
        tags=tuple((choice.name, choice.values[0]) for choice in tags),
        transitive_tag_keys=tuple(choice.name for choice in tags if choice.transitive),
        source_identity=values.pop("sts:sourceidentity", (None,))[0],
        mfa_verified_at=verified,
        source_ip=values.pop("aws:sourceip", ("",))[0],
        user_agent=values.pop("aws:useragent", ("",))[0],
        region=values.pop("aws:requestedregion", ("",))[0],
        other_keys=values,
    )
    return caller, request


def _caller(principal: Principal, values: dict[str, tuple[str, ...]], tags: list[Choice], now: datetime) -> Principal:
    """The principal with what its session must carry."""
    session = principal.session
    if session is None:
        return principal
    name = values.pop("aws:userid", ("",))[0].partition(":")[2] or session.name
    source_identity = values.pop("aws:sourceidentity", ("",))[0]
    issued = read_date(values.pop("aws:tokenissuetime", ("",))[0])
    issued = now if issued is None else min(max(issued, now - _LONGEST), now)
    if (name, source_identity, tags, issued) == (session.name, "", [], session.issued):
        return principal
    changed = replace(
        session_of(name, issued),
        tags={choice.name: choice.values[0] for choice in tags},
        transitive_tag_keys=frozenset(choice.name for choice in tags if choice.transitive),
        source_identity=source_identity,
    )
    arn = f"{principal.arn.rpartition('/')[0]}/{name}"
    return replace(principal, arn=arn, user_id=f"{principal.principal_id}:{name}", session=changed)


def session_of(name: str, now: datetime) -> Session:
    """A fresh session of a role, of one hour."""
    return Session(name, now, now + timedelta(hours=1))


def kind_of_need(key: str) -> NeedKind:
    """What kind of thing a condition key asks for."""
    if key.startswith(REQUEST_TAG):
        return NeedKind.TAGS
    if key.startswith((PRINCIPAL_TAG, *RESOURCE_TAGS)):
        return NeedKind.CALLING_SESSION
    return _KINDS.get(key, NeedKind.OTHER)
