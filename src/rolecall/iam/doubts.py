"""The doubts that touch one decision: what was not understood in a policy, and could make the answer another one.

An Allow that was not understood may allow, and is counted as allowing nothing; a Deny that was not understood denies
nothing. So an answer is the understood one, and beside it stand the statements that could make it wrong: for
a request that is refused the Allows that would let it through, and for one that is allowed, or may be, the Denies that
might stop it. The habit is cedar-go's, whose Diagnostic has errors beside reasons.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from rolecall.iam.policy_model import Doubt, PolicyDocument, PolicyKind, Unclear
from rolecall.iam.request import AuthorizationRequest
from rolecall.iam.statements import grant_of, statement_applies
from rolecall.iam.understood import ALWAYS_ALLOWED, Effect, PolicySet, evaluate_understood

_Side = tuple[PolicyKind, int]


def has_unclear(policies: PolicySet) -> bool:
    """Whether anything in a set of policies was not understood."""
    return any(policy.unclear for _, policy in _documents(policies))


def at_widest(policies: PolicySet, sides: set[_Side] | None = None) -> PolicySet:
    """The policies as if every Allow that was not understood allowed all that it may.

    :param sides: those for which that is so: kinds of policies, of SCPs and RCPs with the level; ``None``: all.
    """

    def wide(policy: PolicyDocument, level: int = 0) -> PolicyDocument:
        if not policy.unclear or (sides is not None and (policy.kind, level) not in sides):
            return policy
        more = tuple(one.statement for one in policy.unclear if one.statement.allows)
        return replace(policy, statements=(*policy.statements, *more))

    def levels(found: tuple[tuple[PolicyDocument, ...], ...]) -> tuple[tuple[PolicyDocument, ...], ...]:
        return tuple(tuple(wide(policy, number) for policy in level) for number, level in enumerate(found))

    return replace(
        policies,
        identity=tuple(map(wide, policies.identity)),
        boundary=wide(policies.boundary) if policies.boundary else None,
        session=tuple(map(wide, policies.session)) if policies.session is not None else None,
        scps=levels(policies.scps),
        rcps=levels(policies.rcps),
        resource=wide(policies.resource) if policies.resource else None,
    )


def doubts_about(request: AuthorizationRequest, policies: PolicySet, effect: Effect) -> tuple[Doubt, ...]:
    """What could make another answer of ``effect``, which is the understood one; none if nothing could."""
    if not has_unclear(policies) or request.action.lower() == ALWAYS_ALLOWED:
        return ()
    if not _passes(request, at_widest(policies)):
        return ()
    allows = tuple(_allows(request, policies)) if effect is not Effect.ALLOW else ()
    # What may be an Allow or a Deny, such as a document that was not read, is one doubt.
    named = {(doubt.policy, doubt.statement, doubt.why) for doubt in allows}
    denies = (one for one in _of(request, policies, allows=False) if (one.policy, one.statement, one.why) not in named)
    return tuple(dict.fromkeys((*allows, *denies)))


def _allows(request: AuthorizationRequest, policies: PolicySet) -> Iterator[Doubt]:
    sides = {side for side, policy in _documents(policies) if policy.unclear}
    # A side without which the request would pass all the same is not what it hangs on.
    hangs_on = {side for side in sides if not _passes(request, at_widest(policies, sides - {side}))}
    return _of(request, policies, allows=True, sides=hangs_on or sides)


def _passes(request: AuthorizationRequest, policies: PolicySet) -> bool:
    return evaluate_understood(request, policies).allowed


def _of(
    request: AuthorizationRequest, policies: PolicySet, *, allows: bool, sides: set[_Side] | None = None
) -> Iterator[Doubt]:
    for side, policy in _documents(policies):
        for unclear in policy.unclear if sides is None or side in sides else ():
            if unclear.statement.allows is allows and _applies(unclear, policy, request, policies):
                yield doubt_of(policy, unclear)


def _applies(unclear: Unclear, policy: PolicyDocument, request: AuthorizationRequest, policies: PolicySet) -> bool:
    if policy is policies.resource and not grant_of(
        unclear.statement, request.principal, policies.resource_principal_ids, policies.boundary is not None
    ):
        return False
    return statement_applies(unclear.statement, policy, request)


def doubt_of(policy: PolicyDocument, unclear: Unclear) -> Doubt:
    """An unclear statement by the names of its policy; whose policy it is in which account, the caller knows."""
    effect = "Allow" if unclear.statement.allows else "Deny"
    return Doubt(policy.name or policy.kind.value, unclear.where, effect, unclear.why, policy.kind.value)


def _documents(policies: PolicySet) -> Iterable[tuple[_Side, PolicyDocument]]:
    for policy in policies.identity:
        yield (policy.kind, 0), policy
    if policies.boundary:
        yield (policies.boundary.kind, 0), policies.boundary
    for policy in policies.session or ():
        yield (policy.kind, 0), policy
    for levels in (policies.scps, policies.rcps):
        for number, level in enumerate(levels):
            for policy in level:
                yield (policy.kind, number), policy
    if policies.resource:
        yield (policies.resource.kind, 0), policies.resource
