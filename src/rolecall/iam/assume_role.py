"""May a principal assume a role, and what is the session it gets?

One call of AssumeRole needs up to three permissions, each in the same places: ``sts:AssumeRole``, ``sts:TagSession``
where session tags are set or inherited, ``sts:SetSourceIdentity`` where a source identity is set or inherited.
Sources: IAM user guide, "Methods to assume a role", "Pass session tags in AWS STS", "Monitor and control actions taken
with assumed roles"; AWS STS API reference, AssumeRole. Not compared with live AWS.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from types import MappingProxyType

from rolecall.arn import PrincipalKind
from rolecall.iam.compiled import CompiledPolicies
from rolecall.iam.doubts import doubt_of
from rolecall.iam.evaluate import Effect, PolicySet, evaluate
from rolecall.iam.policy_model import Doubt, PolicyDocument, PolicyKind, Statement
from rolecall.iam.principals import NO_TAGS, Principal, Session
from rolecall.iam.request import AuthorizationRequest, request_context
from rolecall.iam.statements import statement_applies
from rolecall.model import Reason

DEFAULT_DURATION = 3_600
CHAINED_LIMIT = 3_600
MAX_TAGS = 50
_NO_IDS: Mapping[str, str] = MappingProxyType({})
_NO_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class AssumeRoleRequest:
    """What a caller asks for.

    :param duration_seconds: ``None`` means one hour, or the role's own maximum where that is shorter.
    :param policies: an inline session policy as JSON text, or none.
    :param mfa_verified_at: when a valid code of the caller's MFA device came with this request, else ``None``.
    :param other_keys: condition keys that neither the caller nor the members above set, such as ``aws:SourceVpce`` or
        ``aws:PrincipalOrgID``; lower-case.
    """

    role_arn: str
    session_name: str
    now: datetime
    duration_seconds: int | None = None
    external_id: str | None = None
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    tags: tuple[tuple[str, str], ...] = ()
    transitive_tag_keys: tuple[str, ...] = ()
    source_identity: str | None = None
    mfa_verified_at: datetime | None = None
    source_ip: str = ""
    user_agent: str = ""
    region: str = ""
    other_keys: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: _NO_KEYS)


@dataclass(frozen=True, slots=True)
class TrustedRole:
    """A role as the rules need it.

    :param arn: with its path.
    :param max_session_duration: seconds, 3,600 to 43,200.
    :param principal_ids: the unique id that each principal ARN of the trust policy stood for when it was saved
        (IAM user guide, "AWS JSON policy elements: Principal": a recreated user is another principal).
    """

    arn: str
    role_id: str
    account: str
    trust: PolicyDocument
    max_session_duration: int = DEFAULT_DURATION
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    principal_ids: Mapping[str, str] = field(default_factory=lambda: _NO_IDS)


@dataclass(frozen=True, slots=True)
class WebIdentity:
    """An OpenID Connect token that has been checked, signature and all.

    :param provider_arn: the ARN of the account's provider.
    :param issuer: the issuer's URL without ``https://``: the prefix of its condition keys.
    :param audience: ``azp`` where the token has one, else ``aud``.
    """

    provider_arn: str
    issuer: str
    subject: str
    audience: str
    claims: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)


@dataclass(frozen=True, slots=True)
class AssumeRoleDecision:
    """A session, or the error of AWS that refuses one.

    :param reasons: what determined it; for a refusal what was missing and on which side. AWS never tells a caller
        this much, so it belongs in explanations and not in the endpoint's answer.
    :param doubts: what was not understood and could make the answer another one; with a refusal: the caller *may* get
        a session after all.
    """

    session: Session | None
    reasons: tuple[Reason, ...]
    error_code: str = ""
    error_message: str = ""
    doubts: tuple[Doubt, ...] = ()

    @property
    def allowed(self) -> bool:
        return self.session is not None


def decide_assume_role(
    request: AssumeRoleRequest,
    principal: Principal,
    role: TrustedRole | None,
    caller_policies: PolicySet,
    role_rcps: tuple[tuple[PolicyDocument, ...], ...] = (),
) -> AssumeRoleDecision:
    """Whether ``principal`` gets a session of ``role``; ``role`` is ``None`` where no such role exists.

    :param caller_policies: the caller's identity side; its resource part is replaced by the role's trust policy.
    """
    if principal.kind is PrincipalKind.ROOT:
        text = "Roles may not be assumed by root accounts."
        return AssumeRoleDecision(None, (Reason("root-cannot-assume", text),), "AccessDenied", text)
    if role is None:
        return _denied("sts:AssumeRole", request, principal, (Reason("no-such-role", "there is no such role"),))
    context = assume_role_context(request, principal, role)
    policies = replace(caller_policies, rcps=role_rcps, resource=role.trust, resource_principal_ids=role.principal_ids)
    decisions = {
        action: evaluate(AuthorizationRequest(principal, action, role.arn, role.account, context), policies)
        for action in _needed(request, principal)
    }
    invalid = _invalid(request, principal, role)
    # Where one of the permissions is refused for certain, nothing about the others can change the answer.
    open_to_doubt = invalid is None and all(found.allowed or found.doubts for found in decisions.values())
    doubts = tuple(dict.fromkeys(doubt for found in decisions.values() for doubt in found.doubts if open_to_doubt))
    for action, decision in decisions.items():
        if not decision.allowed:
            because = decision.because(action) if decision.effect is Effect.EXPLICIT_DENY else ""
            return replace(_denied(action, request, principal, decision.reasons, because), doubts=doubts)
    if invalid is not None:
        return invalid
    reasons = tuple(reason for decision in decisions.values() for reason in decision.reasons)
    return AssumeRoleDecision(_session(request, principal, role), reasons, doubts=doubts)


def may_assume_role(
    request: AssumeRoleRequest,
    principal: Principal,
    role: TrustedRole,
    compiled: CompiledPolicies,
    context: Mapping[str, tuple[str, ...]] | None = None,
) -> bool:
    """Whether :func:`decide_assume_role` would allow it, fast and without the reasons.

    :param compiled: of the caller's policies with the role's trust policy as their resource part; keep it if you
        ask many times (:func:`rolecall.iam.compiled.compile_policies`).
    :param context: what :func:`assume_role_context` gives for the same call, where it is at hand.
    """
    if principal.kind is PrincipalKind.ROOT:
        return False
    if context is None:
        context = assume_role_context(request, principal, role)
    return _invalid(request, principal, role) is None and all(
        compiled.decide(AuthorizationRequest(principal, action, role.arn, role.account, context)) is Effect.ALLOW
        for action in _needed(request, principal)
    )


def decide_web_identity(request: AssumeRoleRequest, token: WebIdentity, role: TrustedRole | None) -> AssumeRoleDecision:
    """Whether the holder of an OpenID Connect token gets a session of ``role``.

    No identity policy has a say: the trust policy must name the provider. Source: AWS STS API reference,
    AssumeRoleWithWebIdentity; IAM user guide, "Create a role for OpenID Connect federation".
    """
    action = "sts:AssumeRoleWithWebIdentity"
    refusal = AssumeRoleDecision(None, (_no_trust(action),), "AccessDenied", f"Not authorized to perform {action}")
    if role is None:
        return refusal
    claims = {**token.claims, "sub": token.subject, "aud": token.audience}
    context: dict[str, tuple[str, ...]] = {f"{token.issuer}:{name}".lower(): (value,) for name, value in claims.items()}
    context |= {"sts:rolesessionname": (request.session_name,), "aws:federatedprovider": (token.provider_arn,)}
    if request.source_ip:
        context["aws:sourceip"] = (request.source_ip,)
    nobody = Principal(PrincipalKind.FEDERATED_USER, "", token.subject, token.subject, "", token.subject)
    asked = AuthorizationRequest(nobody, action, role.arn, role.account, context)
    applying = [one for one in role.trust.statements if _is_about(one, token, role.trust, asked)]
    denying = [one for one in applying if not one.allows]
    # Everyone is not a provider: the trust policy must name it.
    granting = [one for one in applying if one.allows and not (one.principals and one.principals.everyone)]
    unclear = [one for one in role.trust.unclear if _is_about(one.statement, token, role.trust, asked)]
    doubts = tuple(
        dict.fromkeys(doubt_of(role.trust, one) for one in unclear if not (one.statement.allows and granting))
    )
    if denying:
        return replace(refusal, reasons=(_by(role.trust, denying[0]),))
    if not granting:
        possible = any(doubt.effect == "Allow" for doubt in doubts)
        return replace(refusal, doubts=doubts if possible else ())
    duration = _duration(request, role)
    if duration > role.max_session_duration:
        return _too_long()
    session = Session(
        request.session_name,
        request.now,
        request.now + timedelta(seconds=duration),
        request.policies,
        request.policy_arns,
    )
    return AssumeRoleDecision(session, tuple(_by(role.trust, one) for one in granting), doubts=doubts)


def _is_about(statement: Statement, token: WebIdentity, trust: PolicyDocument, asked: AuthorizationRequest) -> bool:
    """Whether a statement of a trust policy names the token's provider, or everybody, and applies."""
    named = statement.principals
    return (
        named is not None
        and (named.everyone or token.provider_arn in named.federated)
        and statement_applies(statement, trust, asked)
    )


def _by(trust: PolicyDocument, statement: Statement) -> Reason:
    return Reason("trust-policy", f"{trust.name or 'trust policy'}, {statement}", trust.kind.value)


def _needed(request: AssumeRoleRequest, principal: Principal) -> list[str]:
    session = principal.session
    needed = ["sts:AssumeRole"]
    if request.tags or (session and session.transitive_tag_keys):
        needed.append("sts:TagSession")
    if request.source_identity or (session and session.source_identity):
        needed.append("sts:SetSourceIdentity")
    return needed


def assume_role_context(
    request: AssumeRoleRequest, principal: Principal, role: TrustedRole
) -> dict[str, tuple[str, ...]]:
    """The condition keys of a call of AssumeRole, lower-case, with their values."""
    keys: dict[str, tuple[str, ...]] = {
        "sts:rolesessionname": (request.session_name,),
        "aws:resourceaccount": (role.account,),
    }
    if request.external_id is not None:
        keys["sts:externalid"] = (request.external_id,)
    inherited = principal.session.source_identity if principal.session else ""
    if request.source_identity or inherited:
        keys["sts:sourceidentity"] = (request.source_identity or inherited,)
    if request.tags:
        keys["aws:tagkeys"] = tuple(key for key, _ in request.tags)
        keys |= {f"aws:requesttag/{key.lower()}": (value,) for key, value in request.tags}
    if request.transitive_tag_keys:
        keys["sts:transitivetagkeys"] = request.transitive_tag_keys
    if request.policy_arns or request.policies:
        keys["sts:haspolicy"] = ("true",)
    resource_tags = {key.lower(): value for key, value in role.tags.items()}
    # IAM user guide, "Chaining roles with session tags": transitive tags replace the matching ResourceTag values.
    resource_tags |= {
        key.lower(): value for key, value in _inherited_tags(principal).items() if key.lower() in resource_tags
    }
    for key, value in resource_tags.items():
        keys[f"aws:resourcetag/{key}"] = keys[f"iam:resourcetag/{key}"] = (value,)
    context = request_context(
        principal,
        now=request.now,
        source_ip=request.source_ip,
        user_agent=request.user_agent,
        region=request.region,
        service_keys=keys,
    )
    if request.mfa_verified_at is not None:
        context["aws:multifactorauthpresent"] = ("true",)
        context["aws:multifactorauthage"] = (str(int((request.now - request.mfa_verified_at).total_seconds())),)
    context.update(request.other_keys)
    return context


def _invalid(request: AssumeRoleRequest, principal: Principal, role: TrustedRole) -> AssumeRoleDecision | None:
    """What AWS refuses of a request whose caller may assume the role; texts as AWS words them."""
    chained = principal.kind is PrincipalKind.ASSUMED_ROLE
    if chained and _duration(request, role) > CHAINED_LIMIT:
        return _refused(
            "ValidationError",
            "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining",
        )
    if _duration(request, role) > role.max_session_duration:
        return _too_long()
    keys = [key.lower() for key, _ in request.tags]
    if len(keys) > MAX_TAGS:
        return _refused("InvalidParameterValue", f"at most {MAX_TAGS} session tags are allowed")
    if len(set(keys)) != len(keys):
        return _refused(
            "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."
        )
    if any(key.startswith("aws:") for key in keys):
        return _refused("InvalidParameterValue", "Tag keys must not begin with aws:")
    inherited = {key.lower() for key in _inherited_tags(principal)}
    if inherited & set(keys):
        return _refused(
            "InvalidParameterValue",
            "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key "
            "from the calling session.",
        )
    if any(key.lower() not in keys for key in request.transitive_tag_keys):
        return _refused(
            "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."
        )
    already = principal.session.source_identity if principal.session else ""
    if already and request.source_identity not in (None, already):
        return _refused("AccessDenied", "The source identity of a session cannot be changed by role chaining.")
    return None


def _session(request: AssumeRoleRequest, principal: Principal, role: TrustedRole) -> Session:
    inherited = _inherited_tags(principal)
    already = principal.session.source_identity if principal.session else ""
    return Session(
        request.session_name,
        request.now,
        request.now + timedelta(seconds=_duration(request, role)),
        request.policies,
        request.policy_arns,
        request.source_identity or already,
        {**inherited, **dict(request.tags)},
        frozenset((*inherited, *request.transitive_tag_keys)),
        # IAM user guide, "Secure API access with MFA": credentials of AssumeRole carry no MFA information.
        None,
    )


def _inherited_tags(principal: Principal) -> dict[str, str]:
    session = principal.session
    if session is None:
        return {}
    transitive = {key.lower() for key in session.transitive_tag_keys}
    return {key: value for key, value in session.tags.items() if key.lower() in transitive}


def _duration(request: AssumeRoleRequest, role: TrustedRole) -> int:
    return (
        min(DEFAULT_DURATION, role.max_session_duration)
        if request.duration_seconds is None
        else request.duration_seconds
    )


def _denied(
    action: str, request: AssumeRoleRequest, principal: Principal, reasons: tuple[Reason, ...], because: str = ""
) -> AssumeRoleDecision:
    """AWS's sentence. Which side lacks an Allow it does not say (facts/iam.md 30), only where a Deny stands."""
    message = f"User: {principal.arn} is not authorized to perform: {action} on resource: {request.role_arn} {because}"
    return AssumeRoleDecision(None, reasons, "AccessDenied", message.rstrip())


def _refused(code: str, message: str) -> AssumeRoleDecision:
    return AssumeRoleDecision(None, (Reason("invalid-request", message),), code, message)


def _too_long() -> AssumeRoleDecision:
    return _refused(
        "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    )


def _no_trust(action: str) -> Reason:
    return Reason("no-trust", f"the role's trust policy does not allow {action} for this token", PolicyKind.TRUST.value)
