"""Random policies: the two evaluators agree, and the laws of evaluation hold."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rolecall.iam.compiled import compile_policies
from rolecall.iam.documents import PolicyKind
from rolecall.iam.evaluate import Effect, PolicySet, evaluate
from rolecall.iam.request import AuthorizationRequest, request_context

ACCOUNTS = ("111111111111", "222222222222")
ACTIONS = ("iam:GetUser", "iam:*", "*", "eks:DescribeCluster", "sts:GetCallerIdentity", "i?m:Get*")
# A trust policy speaks of roles alone, and some of the random requests assume one.
TRUST_ACTIONS = ("sts:AssumeRole", "sts:*", "*", "s?s:Assume*", "sts:TagSession")
RESOURCES = (
    "*", "arn:aws:iam::111111111111:user/ann", "arn:aws:iam::111111111111:*", "arn:aws:iam::*:user/a?n",
    "arn:aws:iam::111111111111:user/${aws:username}", "arn:aws:eks:*",
)  # fmt: skip
NAMES = (
    "*", *ACCOUNTS, "arn:aws:iam::111111111111:user/ann", "arn:aws:iam::111111111111:role/Dev",
    "arn:aws:sts::111111111111:assumed-role/Dev/s", "arn:aws:iam::222222222222:user/ann",
)  # fmt: skip
OPERATORS = (
    "StringEquals", "StringNotEquals", "StringLike", "StringEqualsIfExists", "ForAnyValue:StringEquals",
    "ForAllValues:StringLike", "ArnLike", "ForAnyValue:StringNotEquals", "StringNotEqualsIfExists",
)  # fmt: skip
KEYS = ("aws:username", "k:one", "k:many", "aws:PrincipalArn", "k:none")
VALUES = ("ann", "a*", "x", "${aws:username}", "${k:none, 'x'}", "arn:aws:iam::*:user/*")


def some(values: tuple[str, ...]) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(values), min_size=1, max_size=2)


@st.composite
def statements(draw: Any, with_principal: bool, trust: bool = False) -> dict[str, Any]:
    found: dict[str, Any] = {"Effect": draw(st.sampled_from(["Allow", "Allow", "Deny"]))}
    found[draw(st.sampled_from(["Action", "Action", "NotAction"]))] = draw(some(TRUST_ACTIONS if trust else ACTIONS))
    if not trust:
        found[draw(st.sampled_from(["Resource", "Resource", "NotResource"]))] = draw(some(RESOURCES))
    if with_principal:
        kind = "Principal" if trust else draw(st.sampled_from(["Principal", "Principal", "NotPrincipal"]))
        found[kind] = {"AWS": draw(some(NAMES))}
    if draw(st.booleans()):
        found["Condition"] = {draw(st.sampled_from(OPERATORS)): {draw(st.sampled_from(KEYS)): draw(some(VALUES))}}
    return found


def documents(make: SimpleNamespace, kind: PolicyKind) -> st.SearchStrategy[Any]:
    with_principal = kind in (PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP)
    one = statements(with_principal, kind is PolicyKind.TRUST)
    version = st.sampled_from(["2012-10-17", "2012-10-17", "2008-10-17"])
    return st.builds(
        lambda found, version: make.document(kind, *found, version=version),
        st.lists(one, min_size=1, max_size=3),
        version,
    )


@st.composite
def cases(draw: Any, make: SimpleNamespace) -> tuple[AuthorizationRequest, PolicySet]:
    principals = [
        make.user(), make.user(account=ACCOUNTS[1]), make.session(), make.session(name="other"), make.root(), make.federated()
    ]  # fmt: skip
    principal = draw(st.sampled_from(principals))
    levels = lambda kind: st.lists(st.lists(documents(make, kind), max_size=2).map(tuple), max_size=2).map(tuple)  # noqa: E731
    policies = PolicySet(
        identity=tuple(draw(st.lists(documents(make, PolicyKind.IDENTITY), max_size=2))),
        boundary=draw(st.none() | documents(make, PolicyKind.BOUNDARY)),
        session=draw(st.none() | st.lists(documents(make, PolicyKind.SESSION), max_size=1).map(tuple)),
        scps=draw(levels(PolicyKind.SCP)),
        rcps=draw(levels(PolicyKind.RCP)),
        resource=draw(st.none() | documents(make, PolicyKind.RESOURCE) | documents(make, PolicyKind.TRUST)),
        resource_principal_ids=draw(
            st.sampled_from([{}, {"arn:aws:iam::111111111111:user/ann": "AIDASOMEBODYELSE00000"}])
        ),
    )
    context = request_context(principal, now=make.now, service_keys={"k:one": ("x",), "k:many": ("x", "ann")})
    action = draw(
        st.sampled_from(
            ["iam:GetUser", "IAM:getuser", "eks:DescribeCluster", "sts:AssumeRole", "sts:GetCallerIdentity"]
        )
    )
    resource = draw(
        st.sampled_from(["*", "arn:aws:iam::111111111111:user/ann", "arn:aws:eks:r:111111111111:cluster/c"])
    )
    return AuthorizationRequest(principal, action, resource, ACCOUNTS[0], context), policies


COMMON = settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@COMMON
@given(data=st.data())
def test_the_compiled_evaluator_gives_the_reference_answer(make: SimpleNamespace, data: Any) -> None:
    request, policies = data.draw(cases(make))
    compiled = compile_policies(policies)
    assert compiled.decide(request) is evaluate(request, policies).effect
    # And again, from what it remembered.
    assert compiled.decide(request) is evaluate(request, policies).effect


@COMMON
@given(data=st.data())
def test_a_deny_never_grants(make: SimpleNamespace, data: Any) -> None:
    request, policies = data.draw(cases(make))
    deny = {**data.draw(statements(False)), "Effect": "Deny"}
    more = replace(policies, identity=(*policies.identity, make.document(PolicyKind.IDENTITY, deny)))
    if not evaluate(request, policies).allowed:
        assert not evaluate(request, more).allowed


@COMMON
@given(data=st.data())
def test_order_never_matters(make: SimpleNamespace, data: Any) -> None:
    request, policies = data.draw(cases(make))
    turned = replace(
        policies,
        identity=tuple(
            replace(policy, statements=tuple(reversed(policy.statements))) for policy in reversed(policies.identity)
        ),
        scps=tuple(tuple(reversed(level)) for level in reversed(policies.scps)),
    )
    assert evaluate(request, turned).effect is evaluate(request, policies).effect


@COMMON
@given(data=st.data())
def test_a_boundary_a_session_policy_and_an_scp_only_shrink(make: SimpleNamespace, data: Any) -> None:
    request, policies = data.draw(cases(make))
    open_ended = replace(policies, boundary=None, session=None, scps=())
    if request.principal.kind.value != "federated-user" and not evaluate(request, open_ended).allowed:
        effect = evaluate(request, policies).effect
        assert effect is not Effect.ALLOW
