"""One statement of a policy document, read from JSON: as far as it is certain, and at its widest.

Each element narrows both. An element that is not understood leaves the widest as it is, and the certain statement
applies to nothing; of a list in which something is not understood, the certain statement keeps the rest.

Source: IAM user guide, "Grammar of the IAM JSON policy language".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from rolecall.iam.matching import matcher
from rolecall.iam.operators import parse_operator
from rolecall.iam.policy_model import (
    WITH_PRINCIPAL,
    Condition,
    PolicyError,
    PolicyKind,
    Principals,
    Statement,
    Unclear,
)

_ELEMENTS = frozenset(
    {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"}
)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_VENDOR = re.compile(r"[A-Za-z0-9\-.?*]+", re.ASCII)
_NO_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
_SID = re.compile(r"[\x20-\x7e]{0,512}")
# IAM user guide, "IAM JSON policy elements: Sid". Policies of resources elsewhere (S3, KMS) may have spaces in it.
_IAM_SID = re.compile(r"[0-9A-Za-z]*", re.ASCII)
_WRONG_SID = (
    "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression [0-9A-Za-z]*"
)
# What a role's trust policy can be about (AWS service authorization reference, AWS STS, resource type role).
_TRUST_ACTIONS = (
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:setcontext",
    "sts:setsourceidentity",
    "sts:tagsession",
)
# IAM user guide, "IAM identifiers": paths may have any printable character, names fewer.
_PRINCIPAL_ARN = re.compile(
    r"arn:[a-z-]{3,20}:(?:iam::[0-9]{12}:(?:root|(?:user|role)/(?:[\x21-\x7e]*/)?[\w+=,.@-]+)"
    r"|sts::[0-9]{12}:(?:assumed-role/[\w+=,.@/-]+/[\w+=,.@-]+|federated-user/[\w+=,.@-]+))",
    re.ASCII,
)
# IAM user guide, "AWS JSON policy elements: Principal": a service by its host name; an identity provider by its ARN, or
# one of the public ones by its host name, such as accounts.google.com.
_SERVICE = re.compile(r"[A-Za-z0-9\-]+(?:\.[A-Za-z0-9\-]+)+", re.ASCII)
_FEDERATED = re.compile(
    rf"arn:[a-z-]{{3,20}}:iam::[0-9]{{12}}:(?:oidc|saml)-provider/[\x21-\x29\x2b-\x3e\x40-\x7e]+|{_SERVICE.pattern}",
    re.ASCII,
)
# IAM user guide, "Unique identifiers": users AIDA, roles AROA; others name nobody who can call.
_UNIQUE_ID = re.compile(r"A[A-Z0-9]{3}[A-Z0-9]{12,28}", re.ASCII)


@dataclass(slots=True)
class StatementReading:
    """What came of one statement.

    :ivar problems: everything that is wrong; ``doubtful`` are those of them that leave open what the statement means.
    :ivar certain: the statement as far as it was understood; none if nothing is certain.
    :ivar unclear: at its widest, if something was not understood; twice if it may be an Allow or a Deny.
    """

    kind: PolicyKind
    index: int
    path: str
    doubtful: list[PolicyError] = field(default_factory=list)
    problems: list[PolicyError] = field(default_factory=list)
    certain: list[Statement] = field(default_factory=list)
    unclear: list[Unclear] = field(default_factory=list)
    applies: bool = True

    def finish(self, item: dict[str, Any], widest: Statement, certain: Statement | None) -> None:
        """Keep what came of the elements of ``item``."""
        if certain is not None and self.applies:
            self.certain.append(certain)
        if self.doubtful:
            why = "; ".join(why_of(error) for error in self.doubtful[:3])
            effects = [item["Effect"] == "Allow"] if item.get("Effect") in ("Allow", "Deny") else [True, False]
            if widest.principals is None and widest.not_principals is None and self.kind in WITH_PRINCIPAL:
                widest = replace(widest, principals=Principals(everyone=True))
            self.unclear += (Unclear(replace(widest, allows=allows), str(widest), why) for allows in effects)

    def wrong(self, what: str, path: str) -> None:
        """AWS does not accept this, and what it means is clear all the same."""
        self.problems.append(PolicyError(what, path))

    def doubt(self, what: str, path: str) -> None:
        """This is not understood; the rest of its list is."""
        self.wrong(what, path)
        self.doubtful.append(self.problems[-1])

    def nothing_certain(self, what: str, path: str) -> None:
        """This is not understood, and without it nothing is certain that the statement applies to."""
        self.doubt(what, path)
        self.applies = False


def unknown_elements(found: dict[str, Any], names: frozenset[str], path: str) -> Iterable[PolicyError]:
    """The members of a JSON object that have none of ``names``, as problems."""
    return (PolicyError(f"unknown element {key[:60]!r}", f"{path}.{key[:60]}") for key in found if key not in names)


def why_of(error: PolicyError) -> str:
    """A problem as a part of a sentence."""
    return f"{error.json_path}: {error.what}"


def read_statement(
    item: Any, kind: PolicyKind, index: int, path: str, document: Iterable[PolicyError]
) -> StatementReading:
    """Read one statement; ``document``: what is not understood of the document around it."""
    notes = StatementReading(kind, index, path, list(document))
    _read(notes, item)
    return notes


def _read(notes: StatementReading, item: Any) -> None:
    notes.applies = not notes.doubtful
    if not isinstance(item, dict):
        notes.nothing_certain("a statement is a JSON object", notes.path)
        notes.finish({}, Statement(notes.index, "", True, ("*",), (), ("*",)), None)
        return
    for problem in unknown_elements(item, _ELEMENTS, notes.path):
        notes.nothing_certain(problem.what, problem.json_path)
    if item.get("Effect") not in ("Allow", "Deny"):
        notes.nothing_certain("Effect is Allow or Deny", f"{notes.path}.Effect")
    widest = Statement(notes.index, _sid(notes, item.get("Sid", "")), item.get("Effect") == "Allow")
    certain, widest = _principals(notes, item, widest)
    certain, widest = _actions(notes, item, certain, widest)
    certain, widest = _resources(notes, item, certain, widest)
    certain, widest = _conditions(notes, item.get("Condition", {}), certain, widest)
    notes.finish(item, widest, certain)


def _sid(notes: StatementReading, sid: Any) -> str:
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        notes.wrong("Sid is a short string", f"{notes.path}.Sid")
        return ""
    if notes.kind not in (PolicyKind.RESOURCE, PolicyKind.RCP) and not _IAM_SID.fullmatch(sid):
        notes.wrong(_WRONG_SID, f"{notes.path}.Sid")
    return sid


def _actions(
    notes: StatementReading, item: dict[str, Any], certain: Statement, widest: Statement
) -> tuple[Statement, Statement]:
    values, excluded, whole = _either(notes, item, "Action", "NotAction", _check_action)
    values = tuple(value.lower() for value in values)
    known = replace(certain, not_actions=values) if excluded else replace(certain, actions=values)
    if excluded and values:
        return known, replace(widest, not_actions=values)
    return known, replace(widest, actions=values if whole and not excluded else ("*",))


def _resources(
    notes: StatementReading, item: dict[str, Any], certain: Statement, widest: Statement
) -> tuple[Statement, Statement]:
    if notes.kind is PolicyKind.TRUST:
        # IAM user guide, "Roles terms and concepts": the role itself is the resource of its trust policy.
        for element in ("Resource", "NotResource"):
            if element in item:
                notes.nothing_certain("Has prohibited field Resource", f"{notes.path}.{element}")
        return replace(certain, resources=("*",)), replace(widest, resources=("*",))
    values, excluded, whole = _either(notes, item, "Resource", "NotResource", _check_resource)
    known = replace(certain, not_resources=values) if excluded else replace(certain, resources=values)
    if excluded and values:
        return known, replace(widest, not_resources=values)
    return known, replace(widest, resources=values if whole and not excluded else ("*",))


def _either(
    notes: StatementReading,
    item: dict[str, Any],
    name: str,
    opposite: str,
    check: Callable[[StatementReading, str, str, bool], None],
) -> tuple[tuple[str, ...], bool, bool]:
    """The values of an element, whether they are what it excludes, and whether all of them were understood."""
    if (name in item) == (opposite in item):
        if name in item:
            notes.nothing_certain(f"a statement has either {name} or {opposite}, not both", notes.path)
        else:
            what = f"Policy statement must contain {name.lower()}s: {name} or {opposite} is missing"
            notes.nothing_certain(what, notes.path)
        return (), False, False
    element = name if name in item else opposite
    excluded = element == opposite
    before = len(notes.doubtful)
    values = _strings(notes, item[element], f"{notes.path}.{element}")
    whole = len(notes.doubtful) == before
    for index, value in values.items():
        check(notes, value, f"{notes.path}.{element}[{index}]", excluded)
    if not values or (excluded and not whole):
        notes.applies = False
    return tuple(values.values()), excluded, whole


def _strings(notes: StatementReading, value: Any, path: str) -> dict[int, str]:
    """The strings of a list, or the one that stands for a list, by position."""
    values = value if isinstance(value, list) else [value]
    if not values:
        notes.doubt("one or more strings are needed here", path)
    for index, item in enumerate(values):
        if not isinstance(item, str):
            notes.doubt("a string is needed here", f"{path}[{index}]" if value is values else path)
    return {index: item for index, item in enumerate(values) if isinstance(item, str)}


def _check_action(notes: StatementReading, action: str, path: str, excluded: bool) -> None:
    vendor, colon, rest = action.partition(":")
    if ":" in rest:
        notes.wrong(f"Actions/Condition can contain only one colon: {action[:60]!r}", path)
    elif not action or (action.strip("*") and not colon):
        notes.wrong(f"{_NO_VENDOR}: {action[:60]!r}", path)
    elif colon and not _VENDOR.fullmatch(vendor):
        notes.wrong(f"Vendor {vendor[:60]} is not valid", path)
    elif notes.kind is PolicyKind.TRUST and not excluded and not any(map(matcher(action.lower()), _TRUST_ACTIONS)):
        notes.wrong("AssumeRole policy may only specify STS AssumeRole actions.", path)


def _check_resource(notes: StatementReading, resource: str, path: str, excluded: bool) -> None:
    if not resource or (resource.strip("*") and not resource.startswith(("arn:", "*", "?", "a*", "ar*", "arn*"))):
        notes.wrong(f'Resource {resource[:80]} must be in ARN format or "*".', path)


def _principals(notes: StatementReading, item: dict[str, Any], widest: Statement) -> tuple[Statement, Statement]:
    present = [element for element in ("Principal", "NotPrincipal") if element in item]
    if notes.kind not in WITH_PRINCIPAL:
        for element in present:
            notes.nothing_certain("Policy document should not specify a principal.", f"{notes.path}.{element}")
        return widest, widest
    if notes.kind is PolicyKind.TRUST and "NotPrincipal" in item:
        notes.nothing_certain("NotPrincipal is not allowed in a role trust policy", f"{notes.path}.NotPrincipal")
    elif not present:
        notes.nothing_certain("Missing required field Principal", notes.path)
    elif len(present) == 2:
        notes.nothing_certain("a statement has either Principal or NotPrincipal, not both", notes.path)
    else:
        before = len(notes.doubtful)
        named = _named(notes, item[present[0]], f"{notes.path}.{present[0]}")
        whole = len(notes.doubtful) == before
        if present[0] == "Principal":
            return replace(widest, principals=named), replace(widest, principals=named) if whole else widest
        notes.applies = notes.applies and whole
        excepted = replace(widest, not_principals=named)
        return excepted, excepted if whole else widest
    return widest, widest


def _named(notes: StatementReading, value: Any, path: str) -> Principals:
    if value == "*":
        return Principals(everyone=True)
    if not isinstance(value, dict) or not value:
        notes.nothing_certain('Principal is "*" or an object with AWS, Service or Federated', path)
        return Principals()
    found: dict[str, tuple[str, ...]] = {}
    for key, names in value.items():
        if key not in ("AWS", "Service", "Federated"):
            notes.doubt(f"unknown kind of principal {key[:60]!r}", f"{path}.{key[:60]}")
            continue
        strings = _strings(notes, names, f"{path}.{key}")
        for index, name in strings.items():
            _check_principal(notes, key, name, f"{path}.{key}[{index}]")
        found[key] = tuple(strings.values())
    aws = found.get("AWS", ())
    return Principals(
        "*" in aws, tuple(name for name in aws if name != "*"), found.get("Service", ()), found.get("Federated", ())
    )


def _check_principal(notes: StatementReading, key: str, name: str, path: str) -> None:
    if name == "*":
        return
    what = f'Invalid principal in policy: "{key.upper()}":"{name[:120]}"'
    if key != "AWS":
        # Whatever it is, it is neither a user nor a role.
        if not (_SERVICE if key == "Service" else _FEDERATED).fullmatch(name):
            notes.wrong(what, path)
    elif not (_ACCOUNT.fullmatch(name) or _PRINCIPAL_ARN.fullmatch(name) or _UNIQUE_ID.fullmatch(name)):
        notes.doubt(what, path)


def _conditions(
    notes: StatementReading, value: Any, certain: Statement, widest: Statement
) -> tuple[Statement, Statement]:
    path = f"{notes.path}.Condition"
    if not isinstance(value, dict):
        notes.nothing_certain("Condition is an object of operators", path)
        return certain, widest
    known: list[Condition] = []
    wide: list[Condition] = []
    for name, block in value.items():
        if not isinstance(block, dict):
            notes.nothing_certain("an operator holds an object of condition keys", f"{path}.{name[:60]}")
            continue
        for key, values in block.items():
            _condition(notes, name, key, values, f"{path}.{name[:60]}", known, wide)
    return replace(certain, conditions=tuple(known)), replace(widest, conditions=tuple(wide))


def _condition(
    notes: StatementReading, name: str, key: str, values: Any, path: str, known: list[Condition], wide: list[Condition]
) -> None:
    operator = parse_operator(name)
    if operator is None:
        notes.nothing_certain(f"Invalid Condition type : {name[:60]}.", path)
        return
    path = f"{path}.{key[:60]}"
    texts: list[str] = []
    whole = True
    for item in values if isinstance(values, list) else [values]:
        text = _text_of(item)
        if text is None:
            what = "a condition's value is a string, a number or a boolean"
        elif operator.reads(text):
            texts.append(text)
            continue
        else:
            what = f"{text[:60]!r} is not a value for {name}"
        notes.doubt(what, path)
        whole = False
    condition = Condition(operator, key.lower(), tuple(texts), key)
    # More values make a positive operator true more often, and a negated one less often.
    if whole or operator.negated:
        wide.append(condition)
    if whole or (texts and not operator.negated):
        known.append(condition)
    else:
        notes.applies = False


def _text_of(item: Any) -> str | None:
    """A value of a condition as a text; ``None`` if it is none."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return json.dumps(item)
    return item if isinstance(item, str) else None
