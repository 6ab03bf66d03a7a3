"""Whether IAM saves a policy document, and AWS's message if it does not.

The checks run in AWS's order, which the recorded answers to documents with two faults show: each row of the tables at
the end looks at the whole document before the next row does.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from rolecall.arn import PrincipalArn
from rolecall.errors import InvalidArnError
from rolecall.iam.documents import PolicyKind
from rolecall.iam.grammar import resources
from rolecall.iam.grammar.dates import is_date
from rolecall.iam.matching import matcher
from rolecall.iam.operators import parse_operator

SYNTAX = "Syntax errors in policy."
LEGACY = "The policy failed legacy parsing"
Statement = Mapping[str, Any]

_VERSIONS = ("2008-10-17", "2012-10-17")
_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_PRINCIPALS = ("AWS", "Service", "Federated", "CanonicalUser")
_VENDOR = re.compile(r"[A-Za-z0-9.\-]+", re.ASCII)
_SID = re.compile(r"[0-9A-Za-z]*", re.ASCII)
_HOST = re.compile(r"[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+", re.ASCII)
_PROVIDER = re.compile(r"arn:[a-z-]{3,20}:iam::[0-9]{12}:(?:oidc|saml)-provider/[\x21-\x7e]+", re.ASCII)
_AWS_PRINCIPAL = re.compile(r"\*|[0-9]{12}|(?:AIDA|AROA)[A-Z0-9]{12,28}", re.ASCII)
# What a role's trust policy can be about (service authorization reference, AWS STS, resource type role).
_TRUST_ACTIONS = (
    "sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity", "sts:setcontext",
    "sts:setsourceidentity", "sts:tagsession",
)  # fmt: skip


def refusal(text: str, kind: PolicyKind, *, managed: bool = False) -> str | None:
    """AWS's message (``MalformedPolicyDocument``) for a document that it does not save, or ``None``.

    :param kind: of what the lab saves: an identity-based policy, a role's trust policy or a session policy.
    :param managed: whether it is a managed policy, which has to be of the newer version of the language.
    """
    trust = kind is PolicyKind.TRUST
    try:
        document = json.loads(text, object_pairs_hook=_unique, parse_constant=_no_constant)
    except _DuplicateKeyError:
        return SYNTAX
    except (ValueError, RecursionError):
        return "This policy contains invalid Json" if trust else SYNTAX
    if not _is_policy(document):
        return SYNTAX
    if managed and document.get("Version") != _VERSIONS[1]:
        return "Policy document must be version 2012-10-17 or greater."
    statements = _listed(document["Statement"])
    for check in _TRUST if trust else _IDENTITY:
        if (found := next(check(statements), None)) is not None:
            return found
    return None


def aws_principals(text: str) -> Iterator[str]:
    """The ``AWS`` principals that the statements of a saved trust policy name, in order."""
    for statement in _listed(json.loads(text)["Statement"]):
        principal = statement.get("Principal")
        if isinstance(principal, dict):
            yield from _listed(principal.get("AWS", []))


class _DuplicateKeyError(ValueError):
    """IAM user guide, "IAM JSON policy elements reference": no key may be given twice."""


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _DuplicateKeyError
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(name)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


# Syntax: which elements there are, and of which types.


def _is_policy(document: Any) -> bool:
    if not isinstance(document, dict) or not document.keys() <= {"Version", "Id", "Statement"}:
        return False
    if document.get("Version", _VERSIONS[0]) not in _VERSIONS or not isinstance(document.get("Id", ""), str):
        return False
    statements = _listed(document.get("Statement", []))
    return bool(statements) and all(map(_is_statement, statements))


def _is_statement(item: Any) -> bool:
    if not isinstance(item, dict) or not item.keys() <= _ELEMENTS:
        return False
    if any(name in item and f"Not{name}" in item for name in ("Action", "Resource", "Principal")):
        return False
    effect = item.get("Effect")
    return (
        isinstance(effect, str)
        and effect.lower() in ("allow", "deny")
        and isinstance(item.get("Sid", ""), str)
        and all(_is_text_or_texts(item.get(f"{no}{name}", "")) for name in ("Action", "Resource") for no in ("", "Not"))
        and all(_is_principal(item[name]) for name in ("Principal", "NotPrincipal") if name in item)
        and _is_condition(item.get("Condition", {}))
    )


def _is_text_or_texts(value: Any) -> bool:
    return all(isinstance(item, str) for item in _listed(value))


def _is_principal(value: Any) -> bool:
    if isinstance(value, dict):
        return value.keys() <= set(_PRINCIPALS) and all(map(_is_text_or_texts, value.values()))
    return bool(value == "*")


def _is_condition(value: Any) -> bool:
    """An operator that does not exist is saved as long as it has no key."""
    return isinstance(value, dict) and all(
        isinstance(block, dict)
        and (not block or parse_operator(name) is not None)
        and all(isinstance(item, str | int | float) for values in block.values() for item in _listed(values))
        for name, block in value.items()
    )


# The rest, over the statements of a document whose syntax is right. Each yields messages.


def _of(statement: Statement, name: str) -> list[str]:
    """The values of an element or of its opposite."""
    return [*_listed(statement.get(name, [])), *_listed(statement.get(f"Not{name}", []))]


def _legacy(statements: Iterable[Statement]) -> Iterator[str]:
    for statement in statements:
        dates = (
            item
            for name, block in statement.get("Condition", {}).items()
            if name.rpartition(":")[2].lower().startswith("date")
            for values in block.values()
            for item in _listed(values)
        )
        if statement["Effect"] not in ("Allow", "Deny") or not all(is_date(_written(item)) for item in dates):
            yield LEGACY
        # A list is read up to its first resource that the other reader refuses, in that one's words.
        for resource in _of(statement, "Resource"):
            if resources.is_broken(resource):
                yield LEGACY
            if resources.refusal(resource):
                break


def _written(item: str | float) -> str:
    return item if isinstance(item, str) else json.dumps(item)


def _principals_prohibited(statements: Iterable[Statement]) -> Iterator[str]:
    if any("Principal" in statement or "NotPrincipal" in statement for statement in statements):
        yield "Policy document should not specify a principal."


def _sids(statements: Iterable[Statement]) -> Iterator[str]:
    sids = [statement["Sid"] for statement in statements if statement.get("Sid")]
    if not all(map(_SID.fullmatch, sids)):
        yield (
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
            "[0-9A-Za-z]*"
        )
    if len(set(sids)) != len(sids):
        yield "Statement IDs (SID) in a single policy must be unique."


def _actions_exist(statements: Iterable[Statement]) -> Iterator[str]:
    if not all(_of(statement, "Action") for statement in statements):
        yield "Policy statement must contain actions."


def _resource_forms(statements: Iterable[Statement]) -> Iterator[str]:
    for statement in statements:
        yield from filter(None, map(resources.refusal, _of(statement, "Resource")))


def _action_forms(statements: Iterable[Statement]) -> Iterator[str]:
    for statement in statements:
        for action in _of(statement, "Action"):
            vendor, colon, name = action.partition(":")
            if action == "*":
                continue
            if ":" in name:
                yield "Actions/Condition can contain only one colon."
            elif not colon or not vendor:
                yield "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
            elif vendor != "*" and not _VENDOR.fullmatch(vendor):
                yield f"Vendor {vendor} is not valid"


def _resources_exist(statements: Iterable[Statement]) -> Iterator[str]:
    if not all(_of(statement, "Resource") for statement in statements):
        yield "Policy statement must contain resources."


def _resources_prohibited(statements: Iterable[Statement]) -> Iterator[str]:
    if any("Resource" in statement or "NotResource" in statement for statement in statements):
        yield "Has prohibited field Resource"


def _trust_actions(statements: Iterable[Statement]) -> Iterator[str]:
    for action in (action for statement in statements for action in _listed(statement.get("Action", []))):
        if not any(map(matcher(action.lower()), _TRUST_ACTIONS)):
            yield "AssumeRole policy may only specify STS AssumeRole actions."


def _trust_principals(statements: Iterable[Statement]) -> Iterator[str]:
    for statement in statements:
        if "NotPrincipal" in statement:
            yield "Has prohibited field NotPrincipal"
        if "Principal" not in statement:
            yield "Missing required field Principal"
        elif statement["Principal"] != "*":
            named = {key: _listed(statement["Principal"].get(key, [])) for key in _PRINCIPALS}
            if not any(named.values()):
                yield (
                    "Invalid principal in policy: com.amazon.balsa.error.InvalidPolicyException: "
                    "The passed in policy has a statement with no principals!"
                )
            for key, names in named.items():
                for name in names:
                    if not _PRINCIPAL_FORMS[key](name):
                        yield f'Invalid principal in policy: "{key.upper()}":"{name}"'


def _is_aws_principal(name: str) -> bool:
    if _AWS_PRINCIPAL.fullmatch(name):
        return True
    try:
        PrincipalArn.parse(name)
    except InvalidArnError:
        return False
    return not any(character in name for character in "*?")


def _is_service(name: str) -> bool:
    return name == "*" or _HOST.fullmatch(name) is not None


def _is_federated(name: str) -> bool:
    return _is_service(name) or _PROVIDER.fullmatch(name) is not None


_PRINCIPAL_FORMS: Mapping[str, Callable[[str], bool]] = {
    "AWS": _is_aws_principal,
    "Service": _is_service,
    "Federated": _is_federated,
    "CanonicalUser": lambda name: False,
}
_Checks = tuple[Callable[[Iterable[Statement]], Iterator[str]], ...]
_IDENTITY: _Checks = (
    _legacy,
    _principals_prohibited,
    _sids,
    _actions_exist,
    _resource_forms,
    _action_forms,
    _resources_exist,
)
_TRUST: _Checks = (
    _legacy,
    _sids,
    _resources_prohibited,
    _actions_exist,
    _action_forms,
    _trust_actions,
    _trust_principals,
)
