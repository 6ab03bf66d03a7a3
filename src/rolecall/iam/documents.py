"""Policy documents, read from JSON: statement by statement, so that what is not understood spoils only itself.

AWS checks the grammar of a document when it is saved, and not what its names mean. A document of a live account is
therefore read leniently (:func:`read_policy`): a name that means nothing matches nothing, and what is not understood
makes its own statement unclear (:class:`~rolecall.iam.policy_model.Unclear`) and no other. :func:`parse_policy` reads
the same and raises for the first thing that is wrong; it is for documents that people are writing.

Sources: IAM user guide, "Grammar of the IAM JSON policy language"; which documents AWS takes: moto,
``tests/test_iam/test_iam_policies.py``, as LocalStack recorded AWS's answers to them (2026-02).
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from rolecall.iam.matching import matcher
from rolecall.iam.operators import parse_operator
from rolecall.iam.policy_model import (
    WITH_PRINCIPAL,
    Condition,
    Doubt,
    PolicyDocument,
    PolicyError,
    PolicyKind,
    Principals,
    Statement,
    Unclear,
    unread_document,
)

__all__ = [
    "Condition",
    "Doubt",
    "PolicyDocument",
    "PolicyError",
    "PolicyKind",
    "Principals",
    "Statement",
    "Unclear",
    "parse_policy",
    "read_policy",
    "unread_document",
]

# IAM's largest quota is 10,240 characters, but AWS's own managed policies are exempt: AWSSupportServiceRolePolicy has
# 152,297 (https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSSupportServiceRolePolicy.html).
MAX_DOCUMENT = 1_048_576
VERSIONS = ("2012-10-17", "2008-10-17")
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


def read_policy(text: str, kind: PolicyKind, *, name: str = "") -> PolicyDocument:
    """The policy that ``text`` spells, as far as it is understood; the rest is in its ``unclear``. Never fails."""
    return _read(text, kind, name, [])


def parse_policy(text: str, kind: PolicyKind, *, name: str = "") -> PolicyDocument:
    """The policy that ``text`` spells; :class:`PolicyError` names the JSON path of the first thing that is wrong."""
    problems: list[PolicyError] = []
    found = _read(text, kind, name, problems)
    if problems:
        raise problems[0]
    return found


def _read(text: str, kind: PolicyKind, name: str, problems: list[PolicyError]) -> PolicyDocument:
    try:
        document = _load(text)
        version = document.get("Version", VERSIONS[1])
        if version not in VERSIONS:
            raise PolicyError(f"Version is one of {', '.join(VERSIONS)}", "$.Version")
        if "Statement" not in document:
            raise PolicyError("the policy has no Statement", "$")
    except PolicyError as error:
        problems.append(error)
        return unread_document(kind, _why(error), name=name)
    unknown = tuple(_unknown(document, frozenset({"Version", "Id", "Statement"}), "$"))
    identifier = document.get("Id", "")
    if not isinstance(identifier, str):
        problems.append(PolicyError("Id is a string", "$.Id"))
        identifier = ""
    problems += unknown
    found = document["Statement"]
    listed = found if isinstance(found, list) else [found]
    certain: list[Statement] = []
    unclear: list[Unclear] = []
    for index, item in enumerate(listed):
        path = f"$.Statement[{index}]" if isinstance(found, list) else "$.Statement"
        read = _StatementReader(kind, index, path, list(unknown))
        read.read(item)
        problems += read.problems
        certain += read.certain
        unclear += read.unclear
    if not listed:
        problems.append(PolicyError("the policy has no statements", "$.Statement"))
    sids = Counter(item["Sid"] for item in listed if isinstance(item, dict) and isinstance(item.get("Sid"), str))
    if any(count > 1 for sid, count in sids.items() if sid):
        problems.append(PolicyError("Statement IDs (SID) in a single policy must be unique", "$.Statement"))
    return PolicyDocument(kind, tuple(certain), version, name, identifier, tuple(unclear))


def _load(text: str) -> dict[str, Any]:
    if len(text) > MAX_DOCUMENT:
        raise PolicyError(f"a policy has at most {MAX_DOCUMENT} characters", "$")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            double = next(key for key, count in Counter(key for key, _ in pairs).items() if count > 1)
            raise PolicyError(f"the key {double!r} is given twice", "$")
        return found

    def refuse(constant: str) -> Any:
        raise PolicyError(f"{constant} is not JSON", "$")

    try:
        document = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except PolicyError:
        raise
    except (ValueError, RecursionError) as error:
        raise PolicyError(f"not JSON: {error}", "$") from None
    if not isinstance(document, dict):
        raise PolicyError("a policy is a JSON object", "$")
    return document


def _unknown(found: dict[str, Any], names: frozenset[str], path: str) -> Iterable[PolicyError]:
    return (PolicyError(f"unknown element {key[:60]!r}", f"{path}.{key[:60]}") for key in found if key not in names)


def _why(error: PolicyError) -> str:
    return f"{error.json_path}: {error.what}"


@dataclass(slots=True)
class _StatementReader:
    """Reads one statement: as far as it is certain, and at its widest.

    Each element narrows both. An element that is not understood leaves the widest as it is, and the certain statement
    applies to nothing; of a list in which something is not understood, the certain statement keeps the rest.

    :ivar problems: everything that is wrong; ``doubtful`` are those of them that leave open what the statement means.
    """

    kind: PolicyKind
    index: int
    path: str
    doubtful: list[PolicyError]
    problems: list[PolicyError] = field(default_factory=list)
    certain: list[Statement] = field(default_factory=list)
    unclear: list[Unclear] = field(default_factory=list)
    _applies: bool = True

    def read(self, item: Any) -> None:
        self._applies = not self.doubtful
        if not isinstance(item, dict):
            self._nothing_certain("a statement is a JSON object", self.path)
            self._finish({}, Statement(self.index, "", True, ("*",), (), ("*",)), None)
            return
        for problem in _unknown(item, _ELEMENTS, self.path):
            self._nothing_certain(problem.what, problem.json_path)
        if item.get("Effect") not in ("Allow", "Deny"):
            self._nothing_certain("Effect is Allow or Deny", f"{self.path}.Effect")
        widest = Statement(self.index, self._sid(item.get("Sid", "")), item.get("Effect") == "Allow")
        certain, widest = self._principals(item, widest)
        certain, widest = self._actions(item, certain, widest)
        certain, widest = self._resources(item, certain, widest)
        certain, widest = self._conditions(item.get("Condition", {}), certain, widest)
        self._finish(item, widest, certain)

    def _finish(self, item: dict[str, Any], widest: Statement, certain: Statement | None) -> None:
        if certain is not None and self._applies:
            self.certain.append(certain)
        if self.doubtful:
            why = "; ".join(_why(error) for error in self.doubtful[:3])
            effects = [item["Effect"] == "Allow"] if item.get("Effect") in ("Allow", "Deny") else [True, False]
            if widest.principals is None and widest.not_principals is None and self.kind in WITH_PRINCIPAL:
                widest = replace(widest, principals=Principals(everyone=True))
            self.unclear += (Unclear(replace(widest, allows=allows), str(widest), why) for allows in effects)

    def _wrong(self, what: str, path: str) -> None:
        """AWS does not accept this, and what it means is clear all the same."""
        self.problems.append(PolicyError(what, path))

    def _doubt(self, what: str, path: str) -> None:
        """This is not understood; the rest of its list is."""
        self._wrong(what, path)
        self.doubtful.append(self.problems[-1])

    def _nothing_certain(self, what: str, path: str) -> None:
        self._doubt(what, path)
        self._applies = False

    def _sid(self, sid: Any) -> str:
        if not isinstance(sid, str) or not _SID.fullmatch(sid):
            self._wrong("Sid is a short string", f"{self.path}.Sid")
            return ""
        if self.kind not in (PolicyKind.RESOURCE, PolicyKind.RCP) and not _IAM_SID.fullmatch(sid):
            self._wrong(_WRONG_SID, f"{self.path}.Sid")
        return sid

    def _actions(self, item: dict[str, Any], certain: Statement, widest: Statement) -> tuple[Statement, Statement]:
        values, excluded, whole = self._either(item, "Action", "NotAction", self._check_action)
        values = tuple(value.lower() for value in values)
        known = replace(certain, not_actions=values) if excluded else replace(certain, actions=values)
        if excluded and values:
            return known, replace(widest, not_actions=values)
        return known, replace(widest, actions=values if whole and not excluded else ("*",))

    def _resources(self, item: dict[str, Any], certain: Statement, widest: Statement) -> tuple[Statement, Statement]:
        if self.kind is PolicyKind.TRUST:
            # IAM user guide, "Roles terms and concepts": the role itself is the resource of its trust policy.
            for element in ("Resource", "NotResource"):
                if element in item:
                    self._nothing_certain("Has prohibited field Resource", f"{self.path}.{element}")
            return replace(certain, resources=("*",)), replace(widest, resources=("*",))
        values, excluded, whole = self._either(item, "Resource", "NotResource", self._check_resource)
        known = replace(certain, not_resources=values) if excluded else replace(certain, resources=values)
        if excluded and values:
            return known, replace(widest, not_resources=values)
        return known, replace(widest, resources=values if whole and not excluded else ("*",))

    def _either(
        self, item: dict[str, Any], name: str, opposite: str, check: Callable[[str, str, bool], None]
    ) -> tuple[tuple[str, ...], bool, bool]:
        """The values of an element, whether they are what it excludes, and whether all of them were understood."""
        if (name in item) == (opposite in item):
            if name in item:
                self._nothing_certain(f"a statement has either {name} or {opposite}, not both", self.path)
            else:
                what = f"Policy statement must contain {name.lower()}s: {name} or {opposite} is missing"
                self._nothing_certain(what, self.path)
            return (), False, False
        element = name if name in item else opposite
        excluded = element == opposite
        before = len(self.doubtful)
        values = self._strings(item[element], f"{self.path}.{element}")
        whole = len(self.doubtful) == before
        for index, value in values.items():
            check(value, f"{self.path}.{element}[{index}]", excluded)
        if not values or (excluded and not whole):
            self._applies = False
        return tuple(values.values()), excluded, whole

    def _strings(self, value: Any, path: str) -> dict[int, str]:
        """The strings of a list, or the one that stands for a list, by position."""
        values = value if isinstance(value, list) else [value]
        if not values:
            self._doubt("one or more strings are needed here", path)
        for index, item in enumerate(values):
            if not isinstance(item, str):
                self._doubt("a string is needed here", f"{path}[{index}]" if value is values else path)
        return {index: item for index, item in enumerate(values) if isinstance(item, str)}

    def _check_action(self, action: str, path: str, excluded: bool) -> None:
        vendor, colon, rest = action.partition(":")
        if ":" in rest:
            self._wrong(f"Actions/Condition can contain only one colon: {action[:60]!r}", path)
        elif not action or (action.strip("*") and not colon):
            self._wrong(f"{_NO_VENDOR}: {action[:60]!r}", path)
        elif colon and not _VENDOR.fullmatch(vendor):
            self._wrong(f"Vendor {vendor[:60]} is not valid", path)
        elif self.kind is PolicyKind.TRUST and not excluded and not any(map(matcher(action.lower()), _TRUST_ACTIONS)):
            self._wrong("AssumeRole policy may only specify STS AssumeRole actions.", path)

    def _check_resource(self, resource: str, path: str, excluded: bool) -> None:
        if not resource or (resource.strip("*") and not resource.startswith(("arn:", "*", "?", "a*", "ar*", "arn*"))):
            self._wrong(f'Resource {resource[:80]} must be in ARN format or "*".', path)

    def _principals(self, item: dict[str, Any], widest: Statement) -> tuple[Statement, Statement]:
        present = [element for element in ("Principal", "NotPrincipal") if element in item]
        if self.kind not in WITH_PRINCIPAL:
            for element in present:
                self._nothing_certain("Policy document should not specify a principal.", f"{self.path}.{element}")
            return widest, widest
        if self.kind is PolicyKind.TRUST and "NotPrincipal" in item:
            self._nothing_certain("NotPrincipal is not allowed in a role trust policy", f"{self.path}.NotPrincipal")
        elif not present:
            self._nothing_certain("Missing required field Principal", self.path)
        elif len(present) == 2:
            self._nothing_certain("a statement has either Principal or NotPrincipal, not both", self.path)
        else:
            before = len(self.doubtful)
            named = self._named(item[present[0]], f"{self.path}.{present[0]}")
            whole = len(self.doubtful) == before
            if present[0] == "Principal":
                return replace(widest, principals=named), replace(widest, principals=named) if whole else widest
            self._applies = self._applies and whole
            excepted = replace(widest, not_principals=named)
            return excepted, excepted if whole else widest
        return widest, widest

    def _named(self, value: Any, path: str) -> Principals:
        if value == "*":
            return Principals(everyone=True)
        if not isinstance(value, dict) or not value:
            self._nothing_certain('Principal is "*" or an object with AWS, Service or Federated', path)
            return Principals()
        found: dict[str, tuple[str, ...]] = {}
        for key, names in value.items():
            if key not in ("AWS", "Service", "Federated"):
                self._doubt(f"unknown kind of principal {key[:60]!r}", f"{path}.{key[:60]}")
                continue
            strings = self._strings(names, f"{path}.{key}")
            for index, name in strings.items():
                self._check_principal(key, name, f"{path}.{key}[{index}]")
            found[key] = tuple(strings.values())
        aws = found.get("AWS", ())
        return Principals(
            "*" in aws, tuple(name for name in aws if name != "*"), found.get("Service", ()), found.get("Federated", ())
        )

    def _check_principal(self, key: str, name: str, path: str) -> None:
        if name == "*":
            return
        what = f'Invalid principal in policy: "{key.upper()}":"{name[:120]}"'
        if key != "AWS":
            # Whatever it is, it is no user and no role.
            if not (_SERVICE if key == "Service" else _FEDERATED).fullmatch(name):
                self._wrong(what, path)
        elif not (_ACCOUNT.fullmatch(name) or _PRINCIPAL_ARN.fullmatch(name) or _UNIQUE_ID.fullmatch(name)):
            self._doubt(what, path)

    def _conditions(self, value: Any, certain: Statement, widest: Statement) -> tuple[Statement, Statement]:
        path = f"{self.path}.Condition"
        if not isinstance(value, dict):
            self._nothing_certain("Condition is an object of operators", path)
            return certain, widest
        known: list[Condition] = []
        wide: list[Condition] = []
        for name, block in value.items():
            if not isinstance(block, dict):
                self._nothing_certain("an operator holds an object of condition keys", f"{path}.{name[:60]}")
                continue
            for key, values in block.items():
                self._condition(name, key, values, f"{path}.{name[:60]}", known, wide)
        return replace(certain, conditions=tuple(known)), replace(widest, conditions=tuple(wide))

    def _condition(
        self, name: str, key: str, values: Any, path: str, known: list[Condition], wide: list[Condition]
    ) -> None:
        operator = parse_operator(name)
        if operator is None:
            self._nothing_certain(f"Invalid Condition type : {name[:60]}.", path)
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
            self._doubt(what, path)
            whole = False
        condition = Condition(operator, key.lower(), tuple(texts), key)
        # More values make a positive operator true more often, and a negated one less often.
        if whole or operator.negated:
            wide.append(condition)
        if whole or not operator.negated:
            known.append(condition)
        else:
            self._applies = False


def _text_of(item: Any) -> str | None:
    """A value of a condition as a text; ``None`` if it is none."""
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return json.dumps(item)
    return item if isinstance(item, str) else None
