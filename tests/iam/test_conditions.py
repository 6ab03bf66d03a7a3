"""Conditions and variables in their corners: keys with several values, empty values, defaults."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from rolecall.iam.compiled import compile_policies
from rolecall.iam.conditions import condition_holds
from rolecall.iam.context_keys import has_several_values
from rolecall.iam.documents import PolicyKind
from rolecall.iam.evaluate import PolicySet, evaluate
from rolecall.iam.operators import read_date
from rolecall.iam.request import AuthorizationRequest, request_context
from rolecall.iam.variables import substitute, variable_keys

USER = "arn:aws:iam::111111111111:user/"


@pytest.mark.parametrize("resource", ["${aws:TagKeys}", "${AWS:tagkeys}", "${aws:TagKeys, 'zoe'}"])
def test_a_key_with_several_values_is_no_variable(make: SimpleNamespace, resource: str) -> None:
    """IAM user guide, "Policy variables": also while it has one value; a tag named zoe is no way to make user zoe."""
    statement = {"Effect": "Allow", "Action": "iam:CreateUser", "Resource": USER + resource}
    policies = PolicySet(identity=(make.document(PolicyKind.IDENTITY, statement),))
    principal = make.user()
    for keys in ({"aws:TagKeys": ("zoe",)}, {}):
        context = request_context(principal, now=make.now, service_keys=keys)
        request = AuthorizationRequest(principal, "iam:CreateUser", USER + "zoe", make.account, context)
        assert not evaluate(request, policies).allowed
        assert compile_policies(policies).decide(request) is evaluate(request, policies).effect


@pytest.mark.parametrize(
    ("key", "several"),
    [
        ("aws:TagKeys", True),
        ("sts:TransitiveTagKeys", True),
        ("aws:CalledVia", True),
        ("aws:PrincipalOrgPaths", True),
        ("cognito-identity.amazonaws.com:amr", True),
        ("s3:RequestObjectTagKeys", True),
        ("aws:username", False),
        ("aws:PrincipalTag/tagkeys-of-mine", False),
        ("aws:CalledViaFirst", False),
    ],
)
def test_which_keys_have_several_values(key: str, several: bool) -> None:
    """IAM user guide, "AWS global condition context keys": the value type of each key."""
    assert has_several_values(key) is several


def test_a_tag_may_be_called_as_a_list_is() -> None:
    assert substitute("${aws:PrincipalTag/tagkeys}", {"aws:principaltag/tagkeys": ("x",)}) == "x"


@pytest.mark.parametrize(
    ("operator", "values", "holds"),
    [
        # IAM user guide, "Set operators for multivalued context keys": a null data set, such as an empty string.
        ("ForAllValues:StringEquals", ("",), True),
        ("ForAllValues:StringEquals", ("", ""), True),
        ("ForAllValues:StringNotEquals", ("",), True),
        ("ForAllValues:StringEquals", ("", "b"), False),
        ("ForAllValues:StringEquals", (), True),
        ("ForAnyValue:StringEquals", ("",), False),
        ("ForAnyValue:StringEquals", (), False),
        ("StringEquals", ("",), False),
    ],
)
def test_for_all_values_of_an_empty_string(
    make: SimpleNamespace, operator: str, values: tuple[str, ...], holds: bool
) -> None:
    statement = {"Effect": "Deny", "Action": "*", "Resource": "*", "Condition": {operator: {"aws:TagKeys": ["a"]}}}
    policy = make.document(PolicyKind.IDENTITY, statement)
    assert condition_holds(policy.statements[0].conditions[0], {"aws:tagkeys": values}, True) is holds


@pytest.mark.parametrize(
    ("text", "found"),
    [
        # The guide: a comma and a space.
        ("${aws:PrincipalTag/team, 'x'}", "x"),
        ("${aws:PrincipalTag/team, ''}", ""),
        ("${aws:PrincipalTag/team,'x'}", None),
        ("${aws:PrincipalTag/team,  'x'}", None),
        ("${aws:PrincipalTag/team , 'x'}", None),
        ("${aws:PrincipalTag/team, x}", None),
        ("${aws:username, 'x'}", "ann"),
        ("${*}${?}${$}", "\ue000\ue001$"),
    ],
)
def test_defaults_of_variables(text: str, found: str | None) -> None:
    assert substitute(text, {"aws:username": ("ann",)}) == found


def test_the_keys_of_variables() -> None:
    assert variable_keys("${*}-${aws:username}-${k, 'd'}") == ("aws:username", "k")


@pytest.mark.parametrize(
    ("text", "iso"),
    [
        ("2016-12-13t2:00:00.593194+23", "2016-12-13T02:00:00.593194+23:00"),
        ("2026-01-31T12:00:00z", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31T12:00:00-0530", "2026-01-31T12:00:00-05:30"),
        ("2026-01-31T25:00:00Z", None),
        ("01T", None),
    ],
)
def test_unusual_dates(text: str, iso: str | None) -> None:
    found = read_date(text)
    assert (found.isoformat() if found else None) == iso
