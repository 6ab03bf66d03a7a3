"""What a caller must bring along to assume a role: an MFA code, an external id, a session name, an address.

A condition on something that the caller chooses is no reason to say that a role cannot be assumed, but neither can it
be left out. So the values that the policies themselves name are tried, with the rules of AssumeRole as the only judge,
and what the first success brought along is what the caller needs.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from ipaddress import ip_network
from itertools import combinations, product

from rolecall.arn import PrincipalKind
from rolecall.iam.assume_role import AssumeRoleRequest
from rolecall.iam.operators import read_date
from rolecall.iam.policy_model import Condition, PolicyDocument
from rolecall.iam.principals import Principal, Session
from rolecall.iam.variables import example_of, has_variables, needed_keys, shown, substitute

DEFAULT_SESSION = "session"
MAX_TRIES = 2_000
# Keys that follow from who the caller and the role are, or that every call over TLS has alike
# (IAM user guide, "AWS global condition context keys").
_FIXED = frozenset(
    {
        "aws:principalarn",
        "aws:principalaccount",
        "aws:principaltype",
        "aws:userid",
        "aws:username",
        "aws:tokenissuetime",
        "aws:securetransport",
        "aws:viaawsservice",
        "aws:principalisawsservice",
        "aws:federatedprovider",
    }
)
_FIXED_PREFIXES = ("aws:resourcetag/", "iam:resourcetag/")
_MFA = ("aws:multifactorauthpresent", "aws:multifactorauthage")
_TIME = ("aws:currenttime", "aws:epochtime")
_TAG, _PRINCIPAL_TAG = "aws:requesttag/", "aws:principaltag/"
# AWS STS API reference, AssumeRole: nothing else can be sent (lengths and letters: the STS service model).
_SENDABLE = {
    "sts:rolesessionname": re.compile(r"[\w+=,.@-]{2,64}", re.ASCII),
    "sts:externalid": re.compile(r"[\w+=,.@:/-]{2,1224}", re.ASCII),
    "sts:sourceidentity": re.compile(r"(?!aws:)[\w+=,.@-]{2,64}", re.ASCII),
    "aws:sourceidentity": re.compile(r"(?!aws:)[\w+=,.@-]{2,64}", re.ASCII),
}
_ANY = "rolecall-any"
_ADDRESSES = ("192.0.2.1", "198.51.100.1", "2001:db8::1")
_LISTS = ("aws:tagkeys", "sts:transitivetagkeys")


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
    **dict.fromkeys(_MFA, NeedKind.MFA),
    **dict.fromkeys(_TIME, NeedKind.TIME),
    **dict.fromkeys(_LISTS, NeedKind.TAGS),
    "sts:externalid": NeedKind.EXTERNAL_ID,
    "sts:rolesessionname": NeedKind.SESSION_NAME,
    "aws:sourceip": NeedKind.SOURCE_IP,
    "sts:sourceidentity": NeedKind.SOURCE_IDENTITY,
    "aws:sourceidentity": NeedKind.CALLING_SESSION,
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
    """A value that a caller could bring for a key, and how the policy asks for it."""

    key: str
    values: tuple[str, ...]
    need: Need


@dataclass(frozen=True, slots=True)
class Bargain:
    """The keys that a caller is free to choose, with the values worth trying.

    :param complete: whether these are all values that could make a difference.
    """

    choices: Mapping[str, tuple[Choice, ...]] = field(default_factory=dict)
    complete: bool = True

    def offers(self) -> Iterator[tuple[Choice, ...]]:
        """Every combination, those that ask least of the caller first; at most :data:`MAX_TRIES`."""
        count = 0
        for size in range(1, len(self.choices) + 1):
            for keys in combinations(sorted(self.choices), size):
                for offer in product(*(self.choices[key] for key in keys)):
                    if (count := count + 1) > MAX_TRIES:
                        return
                    yield offer

    @property
    def exhaustive(self) -> bool:
        """Whether :meth:`offers` leaves nothing out."""
        count = 1
        for choices in self.choices.values():
            count *= len(choices) + 1
        return self.complete and count - 1 <= MAX_TRIES


def is_free(key: str, kind: PrincipalKind) -> bool:
    """Whether a caller may have one or another value of a condition key."""
    if key in _FIXED or key.startswith(_FIXED_PREFIXES):
        return False
    if kind is PrincipalKind.USER:
        return not key.startswith(_PRINCIPAL_TAG) and key != "aws:sourceidentity"
    # Sessions of roles carry no MFA (IAM user guide, "Secure API access with MFA"), but tags and a source identity.
    return key not in _MFA


def without_choices(policy: PolicyDocument, kind: PrincipalKind) -> PolicyDocument:
    """``policy`` at its kindest: as if the caller had every value that an Allow asks for and none that a Deny names.

    Whoever is refused by it is refused whatever they bring along.
    """

    def free(conditions: tuple[Condition, ...]) -> bool:
        return any(is_free(condition.key, kind) for condition in conditions)

    statements = (
        replace(statement, conditions=tuple(c for c in statement.conditions if not is_free(c.key, kind)))
        for statement in policy.statements
        if statement.allows or not free(statement.conditions)
    )
    return replace(policy, statements=tuple(statements))


def bargain(
    conditions: Iterable[tuple[Condition, bool]],
    kind: PrincipalKind,
    context: Mapping[str, tuple[str, ...]],
    now: datetime,
) -> Bargain:
    """The choices that ``conditions`` leave to a caller.

    :param conditions: each with whether its policy knows variables.
    :param context: the keys of a call that brings nothing along, for the policies' variables.
    :param now: nobody can choose an earlier time.
    """
    asked = [(condition, variables) for condition, variables in conditions if is_free(condition.key, kind)]
    offered = _Offered(kind, context, now)
    # Twice: a variable may stand for a key that another condition names values for.
    for _ in range(2):
        for condition, variables in asked:
            offered.take(condition, variables)
    return Bargain({key: tuple(found.values()) for key, found in offered.choices.items() if found}, offered.complete)


class _Offered:
    """Collects the values worth trying."""

    def __init__(self, kind: PrincipalKind, context: Mapping[str, tuple[str, ...]], now: datetime) -> None:
        self._kind, self._context, self._now = kind, context, now
        self.choices: dict[str, dict[tuple[str, ...], Choice]] = {}
        self.complete = True

    def take(self, condition: Condition, variables: bool) -> None:
        key, written = condition.key, condition.written or condition.key
        need_kind = _KINDS.get(key, _kind_of(key))
        variables = variables and condition.operator.takes_variables
        for value in condition.values:
            for pattern in self._substituted(key, value) if variables and has_variables(value) else (value,):
                need = Need(need_kind, written, _asked(condition, pattern))
                for example in _examples(condition, pattern, self._now):
                    self._add(Choice(key, (example,), need))
        if key in _LISTS and len(condition.values) > 1:
            self._add(Choice(key, condition.values, Need(NeedKind.TAGS, written, ", ".join(condition.values))))

    def _add(self, choice: Choice) -> None:
        allowed = _SENDABLE.get(choice.key)
        if allowed is None or allowed.fullmatch(choice.values[0]):
            self.choices.setdefault(choice.key, {}).setdefault(choice.values, choice)

    def _substituted(self, compared: str, value: str) -> Iterator[str]:
        """The patterns that ``value`` can become; a variable that the caller chooses takes each value worth trying."""
        free = [key for key in needed_keys(value) if is_free(key.lower(), self._kind)]
        if len(free) > 1:
            self.complete = False
            return
        contexts: Iterable[Mapping[str, tuple[str, ...]]] = (self._context,)
        if free:
            key = free[0].lower()
            kind = _KINDS.get(key, _kind_of(key))
            self._add(Choice(key, (_ANY,), Need(kind, free[0], "any")))
            for other in tuple(self.choices.get(compared, {}).values()):
                self._add(Choice(key, other.values, Need(kind, free[0], other.need.value)))
            contexts = [{**self._context, key: choice.values} for choice in self.choices.get(key, {}).values()]
        for context in contexts:
            pattern = substitute(value, context)
            if pattern is not None:
                yield pattern


def brought(
    offer: Iterable[Choice], principal: Principal, role_arn: str, now: datetime
) -> tuple[Principal, AssumeRoleRequest]:
    """The caller and the call of AssumeRole that an offer makes."""
    values = {choice.key: choice.values for choice in offer}
    written = {choice.key: choice.need.key for choice in offer}
    for key in _TIME:
        if (moment := read_date(values.pop(key, ("",))[0])) is not None:
            now = max(now, moment)
    mfa = values.pop(_MFA[1], None)
    age = int(mfa[0]) if mfa else 0
    if mfa or values.get(_MFA[0]) == ("true",):
        values.pop(_MFA[0], None)
        verified: datetime | None = now - timedelta(seconds=age)
    else:
        verified = None
    transitive = values.pop("sts:transitivetagkeys", ())
    spelled = {key.lower(): key for key in (*values.pop("aws:tagkeys", ()), *transitive)}
    tags = dict.fromkeys(spelled.values(), "x")
    for key in [key for key in values if key.startswith(_TAG)]:
        name = written[key][len(_TAG) :]
        tags[spelled.get(name.lower(), name)] = values.pop(key)[0]
    caller = _caller(principal, values, now)
    request = AssumeRoleRequest(
        role_arn,
        values.pop("sts:rolesessionname", (DEFAULT_SESSION,))[0],
        now,
        external_id=values.pop("sts:externalid", (None,))[0],
        tags=tuple(tags.items()),
        transitive_tag_keys=tuple(transitive),
        source_identity=values.pop("sts:sourceidentity", (None,))[0],
        mfa_verified_at=verified,
        source_ip=values.pop("aws:sourceip", ("",))[0],
        user_agent=values.pop("aws:useragent", ("",))[0],
        region=values.pop("aws:requestedregion", ("",))[0],
        other_keys=values,
    )
    return caller, request


def _caller(principal: Principal, values: dict[str, tuple[str, ...]], now: datetime) -> Principal:
    """The principal with what its session must carry."""
    session = principal.session
    if session is None:
        return principal
    tags = {key[len(_PRINCIPAL_TAG) :]: values.pop(key)[0] for key in list(values) if key.startswith(_PRINCIPAL_TAG)}
    source_identity = values.pop("aws:sourceidentity", ("",))[0]
    if not tags and not source_identity and session.issued == now:
        return principal
    return replace(
        principal, session=replace(session_of(session.name, now), tags=tags, source_identity=source_identity)
    )


def session_of(name: str, now: datetime) -> Session:
    """A fresh session of a role, of one hour."""
    return Session(name, now, now + timedelta(hours=1))


def _kind_of(key: str) -> NeedKind:
    if key.startswith(_TAG):
        return NeedKind.TAGS
    return NeedKind.CALLING_SESSION if key.startswith(_PRINCIPAL_TAG) else NeedKind.OTHER


def _asked(condition: Condition, pattern: str) -> str:
    operator, value = condition.operator, shown(pattern)
    if operator.base == "null":
        return "present" if value.lower() == "false" else "absent"
    if operator.negated:
        return f"other than {value}"
    for ending, sign in (
        ("lessthanequals", "<="),
        ("lessthan", "<"),
        ("greaterthanequals", ">="),
        ("greaterthan", ">"),
    ):
        if operator.base.endswith(ending):
            return f"{sign} {value}"
    return value


def _examples(condition: Condition, pattern: str, now: datetime) -> Iterator[str]:
    """Values on both sides of a condition; a key that a call need not have is tried without a value anyway."""
    base = condition.operator.base
    if base.startswith("numeric"):
        yield from _numbers(pattern)
    elif base.startswith("date"):
        yield from _dates(pattern, now)
    elif base in ("ipaddress", "notipaddress"):
        try:
            yield str(ip_network(pattern, strict=False).network_address)
        except ValueError:
            return
        yield from _ADDRESSES
    elif base == "bool":
        yield from ("true", "false")
    elif base == "null":
        yield "true" if condition.key in _MFA[:1] else "0" if condition.key in _MFA else "xx"
    else:
        yield example_of(pattern)
        yield _ANY


def _numbers(text: str) -> Iterator[str]:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return
    for value in (Decimal(0), number, number - 1, number + 1):
        if value >= 0 and value == value.to_integral_value() and abs(value) < 10**12:
            yield str(int(value))


def _dates(text: str, now: datetime) -> Iterator[str]:
    moment = read_date(text)
    if moment is None:
        return
    for shift in (0, 1, -1):
        try:
            other = moment + timedelta(seconds=shift)
        except OverflowError:
            continue
        if other >= now:
            yield other.strftime("%Y-%m-%dT%H:%M:%SZ")
