"""What the understood part of the policies says of a request: allowed, by which statements, or what is missing.

It follows IAM user guide, "Policy evaluation logic", and favours clarity. :func:`rolecall.iam.evaluate.evaluate` adds
what was not understood.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from types import MappingProxyType

from rolecall.arn import PrincipalKind
from rolecall.iam.policy_model import Doubt, PolicyDocument, PolicyKind, Statement
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.statements import Grant, grant_of, statement_applies
from rolecall.model import Reason

# AWS STS API reference, GetCallerIdentity: no permissions are required, and an explicit Deny does not stop it.
ALWAYS_ALLOWED = "sts:getcalleridentity"
_NO_IDS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class PolicySet:
    """Every policy that has a say in a request.

    :param identity: policies of the caller: inline, attached, and of its groups.
    :param session: session policies; ``None`` where none was passed.
    :param scps: one tuple for each level from the organisation's root to the caller's account; empty where the
        account is in no organisation or is the management account.
    :param rcps: the same for the resource's account.
    :param resource: the resource's own policy, such as a role's trust policy.
    :param resource_principal_ids: unique ids that the resource's policy was bound to when it was saved.
    """

    identity: tuple[PolicyDocument, ...] = ()
    boundary: PolicyDocument | None = None
    session: tuple[PolicyDocument, ...] | None = None
    scps: tuple[tuple[PolicyDocument, ...], ...] = ()
    rcps: tuple[tuple[PolicyDocument, ...], ...] = ()
    resource: PolicyDocument | None = None
    resource_principal_ids: Mapping[str, str] = field(default_factory=lambda: _NO_IDS)


class Effect(Enum):
    """The outcome of an evaluation."""

    ALLOW = "allowed"
    IMPLICIT_DENY = "implicitDeny"
    EXPLICIT_DENY = "explicitDeny"


@dataclass(frozen=True, slots=True)
class IamDecision:
    """An outcome and what determined it.

    :param reasons: for an Allow or an explicit Deny the statements; for an implicit Deny each side that lacks an
        Allow, with the side's name as AWS writes it in ``source``.
    :param doubts: what was not understood and could make the answer another one; see :mod:`rolecall.iam.doubts`.
    """

    effect: Effect
    reasons: tuple[Reason, ...]
    doubts: tuple[Doubt, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.effect is Effect.ALLOW

    @property
    def certain(self) -> bool:
        """Whether nothing that was not understood could make the answer another one."""
        return not self.doubts

    def because(self, action: str) -> str:
        """The end of AWS's AccessDenied sentence (IAM user guide, "Troubleshoot access denied error messages")."""
        kind = self.reasons[0].source if self.reasons else PolicyKind.IDENTITY.value
        if self.effect is Effect.EXPLICIT_DENY:
            # A role has one trust policy, any number of the others.
            return f"with an explicit deny in {f'the {kind}' if kind == PolicyKind.TRUST.value else _article(kind)}"
        return f"because no {kind} allows the {action} action"


def _article(kind: str) -> str:
    return f"an {kind}" if kind[0] in "aeiou" else f"a {kind}"


def evaluate_understood(request: AuthorizationRequest, policies: PolicySet) -> IamDecision:
    """Decide a request. An explicit Deny anywhere ends it; then every side that applies must allow."""
    if request.action.lower() == ALWAYS_ALLOWED:
        return IamDecision(Effect.ALLOW, (Reason("always-allowed", "GetCallerIdentity needs no permission"),))
    denials = _denials(request, policies)
    if denials:
        return IamDecision(Effect.EXPLICIT_DENY, denials)
    missing = [*_organisation(request, policies.scps, "service control policy", PolicyKind.SCP)]
    missing += _organisation(request, policies.rcps, "resource control policy", PolicyKind.RCP)
    if missing:
        return IamDecision(Effect.IMPLICIT_DENY, tuple(missing))
    grant, granting = _resource_grant(request, policies)
    return _sides(request, policies, grant, granting)


def _sides(
    request: AuthorizationRequest, policies: PolicySet, grant: Grant, granting: tuple[Reason, ...]
) -> IamDecision:
    principal = request.principal
    same_account = principal.account == request.resource_account
    trust = policies.resource is not None and policies.resource.kind is PolicyKind.TRUST
    if same_account and grant is Grant.DIRECT:
        return IamDecision(Effect.ALLOW, granting)
    limits = _missing_limits(request, policies)
    if same_account and grant is Grant.ROLE:
        return IamDecision(Effect.IMPLICIT_DENY, limits) if limits else IamDecision(Effect.ALLOW, granting)
    if grant is Grant.NONE and (trust or not same_account):
        kind = policies.resource.kind if policies.resource else PolicyKind.RESOURCE
        return IamDecision(Effect.IMPLICIT_DENY, (_missing(kind, request),))
    identity = _identity(request, policies)
    missing = limits if identity else (_missing(PolicyKind.IDENTITY, request), *limits)
    if missing:
        return IamDecision(Effect.IMPLICIT_DENY, missing)
    return IamDecision(Effect.ALLOW, (*identity, *granting))


def _identity(request: AuthorizationRequest, policies: PolicySet) -> tuple[Reason, ...]:
    if request.principal.kind is PrincipalKind.ROOT:
        return (Reason("root-user", "the root user has full access to its account", PolicyKind.IDENTITY.value),)
    return tuple(_allowing(request, policies.identity))


def _missing_limits(request: AuthorizationRequest, policies: PolicySet) -> tuple[Reason, ...]:
    """The boundary and the session policies, where they apply and do not allow."""
    if request.principal.kind is PrincipalKind.ROOT:
        return ()
    missing = []
    if policies.boundary is not None and not list(_allowing(request, (policies.boundary,))):
        missing.append(_missing(PolicyKind.BOUNDARY, request))
    session = policies.session
    if session is None and request.principal.kind is PrincipalKind.FEDERATED_USER:
        # A federated user has what the session policies and the federating user's policies share: without a
        # session policy, nothing (IAM user guide, "Permissions for GetFederationToken").
        session = ()
    if session is not None and not list(_allowing(request, session)):
        missing.append(_missing(PolicyKind.SESSION, request))
    return tuple(missing)


def _organisation(
    request: AuthorizationRequest, levels: tuple[tuple[PolicyDocument, ...], ...], name: str, kind: PolicyKind
) -> Iterable[Reason]:
    for level in levels:
        if not list(_allowing(request, level)):
            yield Reason(f"no-{kind.name.lower()}", f"no {name} allows {request.action} at every level", kind.value)
            return


def _allowing(request: AuthorizationRequest, policies: Iterable[PolicyDocument]) -> Iterable[Reason]:
    for policy in policies:
        for statement in policy.statements:
            if statement.allows and statement_applies(statement, policy, request):
                yield _determining(policy, statement)


def _denials(request: AuthorizationRequest, policies: PolicySet) -> tuple[Reason, ...]:
    organisation = tuple(policy for level in (*policies.scps, *policies.rcps) for policy in level)
    boundary = (policies.boundary,) if policies.boundary else ()
    # The root user has no identity policies or boundary, but its account's organisation still speaks.
    root = request.principal.kind is PrincipalKind.ROOT
    own = () if root else (*policies.identity, *boundary, *(policies.session or ()))
    found = _denying(request, (*own, *organisation))
    if policies.resource is not None:
        for statement in policies.resource.statements:
            if statement.allows or not statement_applies(statement, policies.resource, request):
                continue
            has_boundary = policies.boundary is not None
            if grant_of(statement, request.principal, policies.resource_principal_ids, has_boundary):
                found.append(_determining(policies.resource, statement))
    return tuple(found)


def _denying(request: AuthorizationRequest, policies: Iterable[PolicyDocument]) -> list[Reason]:
    return [
        _determining(policy, statement)
        for policy in policies
        for statement in policy.statements
        if not statement.allows and statement_applies(statement, policy, request)
    ]


def _resource_grant(request: AuthorizationRequest, policies: PolicySet) -> tuple[Grant, tuple[Reason, ...]]:
    policy = policies.resource
    best, reasons = Grant.NONE, []
    if policy is not None:
        for statement in policy.statements:
            if not statement.allows or not statement_applies(statement, policy, request):
                continue
            has_boundary = policies.boundary is not None
            grant = grant_of(statement, request.principal, policies.resource_principal_ids, has_boundary)
            if grant:
                best = max(best, grant)
                reasons.append(_determining(policy, statement))
    return best, tuple(reasons)


def _determining(policy: PolicyDocument, statement: Statement) -> Reason:
    effect = "allows" if statement.allows else "denies"
    where = f"{policy.name or policy.kind.value}, {statement}"
    return Reason(f"statement-{effect}", f"{where} {effect} it", policy.kind.value)


def _missing(kind: PolicyKind, request: AuthorizationRequest) -> Reason:
    return Reason(f"no-{kind.name.lower()}", f"no {kind.value} allows {request.action}", kind.value)
