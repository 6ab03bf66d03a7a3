"""Policy documents: read from JSON, checked, and refused with the JSON path of what is wrong.

Source: IAM user guide, "Grammar of the IAM JSON policy language" and "IAM and AWS STS quotas".
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rolecall.errors import RolecallError
from rolecall.iam.matching import matcher
from rolecall.iam.operators import Operator, parse_operator

MAX_DOCUMENT = 131_072
MAX_STATEMENTS = 1_000
MAX_VALUES = 5_000
MAX_VALUE_LENGTH = 4_096
VERSIONS = ("2012-10-17", "2008-10-17")
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)
_ACTION = re.compile(r"\*|[A-Za-z0-9\-?*]+:[A-Za-z0-9\-?*]+", re.ASCII)
_VENDOR = "Actions/Conditions must be prefaced by a vendor, e.g., iam, sdb, ec2, etc."
_SID = re.compile(r"[\x20-\x7e]{0,512}")
# IAM user guide, "IAM JSON policy elements: Sid". Policies of resources elsewhere (S3, KMS) may have spaces in it.
_IAM_SID = re.compile(r"[0-9A-Za-z]{0,512}", re.ASCII)
# What a role's trust policy can be about (AWS service authorization reference, AWS STS, resource type role).
_TRUST_ACTIONS = (
    "sts:assumerole",
    "sts:assumerolewithsaml",
    "sts:assumerolewithwebidentity",
    "sts:setcontext",
    "sts:setsourceidentity",
    "sts:tagsession",
)
_PRINCIPAL_ARN = re.compile(
    r"arn:[a-z-]{3,20}:(?:iam::[0-9]{12}:(?:root|(?:user|role)/[\w+=,.@/!-]+)"
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
_UNIQUE_ID = re.compile(r"(?:AIDA|AROA)[A-Z0-9]{12,28}", re.ASCII)


class PolicyKind(Enum):
    """Where a policy is attached decides what it may say."""

    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    TRUST = "role trust policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    SCP = "service control policy"
    RCP = "resource control policy"


_WITH_PRINCIPAL = {PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP}


class PolicyError(RolecallError):
    """A policy document is not one that AWS would take."""

    def __init__(self, what: str, json_path: str) -> None:
        self.json_path = json_path
        super().__init__(what, where=json_path)


@dataclass(frozen=True, slots=True)
class Principals:
    """The ``Principal`` or ``NotPrincipal`` element.

    :param everyone: whether ``*`` is among them.
    :param aws: account ids, ARNs and unique ids, in order.
    """

    everyone: bool = False
    aws: tuple[str, ...] = ()
    service: tuple[str, ...] = ()
    federated: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator with one key: true where the request's values of ``key`` satisfy it.

    :param key: lower-case.
    :param values: as texts; numbers and booleans of the JSON are written as JSON writes them.
    :param written: the key as the policy writes it, for people.
    """

    operator: Operator
    key: str
    values: tuple[str, ...]
    written: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. ``index`` counts from 0; actions are lower-case, because IAM compares them without case."""

    index: int
    sid: str
    allows: bool
    actions: tuple[str, ...] = ()
    not_actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    not_resources: tuple[str, ...] = ()
    principals: Principals | None = None
    not_principals: Principals | None = None
    conditions: tuple[Condition, ...] = ()

    def __str__(self) -> str:
        return f"statement {self.sid!r}" if self.sid else f"statement {self.index}"


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A checked policy. ``name`` says whose it is, in reasons: ``inline policy X of role Y``."""

    kind: PolicyKind
    statements: tuple[Statement, ...]
    version: str = "2008-10-17"
    name: str = ""
    id: str = ""

    @property
    def has_variables(self) -> bool:
        """Only the newer version of the language knows policy variables."""
        return self.version == "2012-10-17"


def parse_policy(text: str, kind: PolicyKind, *, name: str = "") -> PolicyDocument:
    """The policy that ``text`` spells; :class:`PolicyError` names the JSON path of what AWS would refuse."""
    document = _load(text)
    _known(document, {"Version", "Id", "Statement"}, "$")
    version = document.get("Version", "2008-10-17")
    if version not in VERSIONS:
        raise PolicyError(f"Version is one of {', '.join(VERSIONS)}", "$.Version")
    identifier = document.get("Id", "")
    if not isinstance(identifier, str):
        raise PolicyError("Id is a string", "$.Id")
    if "Statement" not in document:
        raise PolicyError("the policy has no Statement", "$")
    found = document["Statement"]
    statements = found if isinstance(found, list) else [found]
    if not statements or len(statements) > MAX_STATEMENTS:
        raise PolicyError(f"a policy has 1 to {MAX_STATEMENTS} statements", "$.Statement")
    parsed = tuple(
        _statement(item, index, kind, f"$.Statement[{index}]" if isinstance(found, list) else "$.Statement")
        for index, item in enumerate(statements)
    )
    sids = [statement.sid for statement in parsed if statement.sid]
    if len(set(sids)) != len(sids):
        raise PolicyError("Statement IDs (SID) in a single policy must be unique", "$.Statement")
    return PolicyDocument(kind, parsed, version, name, identifier)


def _load(text: str) -> dict[str, Any]:
    if len(text) > MAX_DOCUMENT:
        raise PolicyError(f"a policy has at most {MAX_DOCUMENT} characters", "$")

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            double = next(key for key, _ in pairs if [k for k, _ in pairs].count(key) > 1)
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


def _known(found: dict[str, Any], names: set[str], path: str) -> None:
    for key in found:
        if key not in names:
            raise PolicyError(f"unknown element {key[:60]!r}", f"{path}.{key[:60]}")


def _statement(item: Any, index: int, kind: PolicyKind, path: str) -> Statement:
    if not isinstance(item, dict):
        raise PolicyError("a statement is a JSON object", path)
    _known(
        item,
        {"Sid", "Effect", "Principal", "NotPrincipal", "Action", "NotAction", "Resource", "NotResource", "Condition"},
        path,
    )
    if item.get("Effect") not in ("Allow", "Deny"):
        raise PolicyError("Effect is Allow or Deny", f"{path}.Effect")
    principals, not_principals = _principals_of(item, kind, path)
    actions, not_actions = _actions(item, kind, path)
    resources, not_resources = _resources(item, kind, path)
    return Statement(
        index,
        _sid(item.get("Sid", ""), kind, f"{path}.Sid"),
        item["Effect"] == "Allow",
        actions,
        not_actions,
        resources,
        not_resources,
        principals,
        not_principals,
        _conditions(item.get("Condition", {}), f"{path}.Condition"),
    )


def _sid(sid: Any, kind: PolicyKind, path: str) -> str:
    if not isinstance(sid, str) or not _SID.fullmatch(sid):
        raise PolicyError("Sid is a short string", path)
    if kind not in (PolicyKind.RESOURCE, PolicyKind.RCP) and not _IAM_SID.fullmatch(sid):
        raise PolicyError(
            "Statement IDs (SID) must be alpha-numeric. Check that your input satisfies the regular expression "
            "[0-9A-Za-z]*",
            path,
        )
    return sid


def _actions(item: dict[str, Any], kind: PolicyKind, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    actions, not_actions = _either(item, "Action", "NotAction", path)
    for position, action in enumerate((*actions, *not_actions)):
        where = f"{path}.{'Action' if actions else 'NotAction'}[{position}]"
        if action.count(":") > 1:
            raise PolicyError(f"Actions/Condition can contain only one colon: {action[:60]!r}", where)
        if not _ACTION.fullmatch(action):
            raise PolicyError(f"{_VENDOR}: {action[:60]!r}", where)
        if kind is PolicyKind.TRUST and actions and not any(map(matcher(action.lower()), _TRUST_ACTIONS)):
            raise PolicyError("AssumeRole policy may only specify STS AssumeRole actions.", where)
    return tuple(action.lower() for action in actions), tuple(action.lower() for action in not_actions)


def _either(item: dict[str, Any], name: str, opposite: str, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if name not in item and opposite not in item:
        raise PolicyError(f"Policy statement must contain {name.lower()}s: {name} or {opposite} is missing", path)
    if name in item and opposite in item:
        raise PolicyError(f"a statement has either {name} or {opposite}, not both", path)
    element = name if name in item else opposite
    values = _strings(item[element], f"{path}.{element}")
    return (values, ()) if element == name else ((), values)


def _strings(value: Any, path: str) -> tuple[str, ...]:
    values = value if isinstance(value, list) else [value]
    if not values or len(values) > MAX_VALUES:
        raise PolicyError(f"one to {MAX_VALUES} strings are needed here", path)
    for index, item in enumerate(values):
        if not isinstance(item, str) or not item or len(item) > MAX_VALUE_LENGTH:
            raise PolicyError("a non-empty string is needed here", f"{path}[{index}]" if value is values else path)
    return tuple(values)


def _resources(item: dict[str, Any], kind: PolicyKind, path: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if kind is PolicyKind.TRUST:
        # IAM user guide, "Roles terms and concepts": the role itself is the resource of its trust policy.
        for element in ("Resource", "NotResource"):
            if element in item:
                raise PolicyError("Has prohibited field Resource", f"{path}.{element}")
        return ("*",), ()
    resources, not_resources = _either(item, "Resource", "NotResource", path)
    for index, resource in enumerate((*resources, *not_resources)):
        if resource.strip("*") and not resource.startswith(("arn:", "*", "?", "a*", "ar*", "arn*")):
            element = "Resource" if resources else "NotResource"
            raise PolicyError(f'Resource {resource[:80]} must be in ARN format or "*".', f"{path}.{element}[{index}]")
    return resources, not_resources


def _principals_of(item: dict[str, Any], kind: PolicyKind, path: str) -> tuple[Principals | None, Principals | None]:
    if kind not in _WITH_PRINCIPAL:
        for element in ("Principal", "NotPrincipal"):
            if element in item:
                raise PolicyError("Policy document should not specify a principal.", f"{path}.{element}")
        return None, None
    if kind is PolicyKind.TRUST and "NotPrincipal" in item:
        raise PolicyError("NotPrincipal is not allowed in a role trust policy", f"{path}.NotPrincipal")
    if "Principal" not in item and "NotPrincipal" not in item:
        raise PolicyError("Missing required field Principal", path)
    if "Principal" in item and "NotPrincipal" in item:
        raise PolicyError("a statement has either Principal or NotPrincipal, not both", path)
    if "Principal" in item:
        return _principals(item["Principal"], f"{path}.Principal"), None
    return None, _principals(item["NotPrincipal"], f"{path}.NotPrincipal")


def _principals(value: Any, path: str) -> Principals:
    if value == "*":
        return Principals(everyone=True)
    if not isinstance(value, dict) or not value:
        raise PolicyError('Principal is "*" or an object with AWS, Service, Federated or CanonicalUser', path)
    _known(value, {"AWS", "Service", "Federated", "CanonicalUser"}, path)
    found = {key: _strings(names, f"{path}.{key}") for key, names in value.items()}
    aws = found.get("AWS", ())
    for index, name in enumerate(aws):
        if not (
            name == "*" or _ACCOUNT.fullmatch(name) or _PRINCIPAL_ARN.fullmatch(name) or _UNIQUE_ID.fullmatch(name)
        ):
            raise PolicyError(f'Invalid principal in policy: "AWS":"{name[:120]}"', f"{path}.AWS[{index}]")
    for key, pattern in (("Service", _SERVICE), ("Federated", _FEDERATED)):
        for index, name in enumerate(found.get(key, ())):
            if name != "*" and not pattern.fullmatch(name):
                raise PolicyError(
                    f'Invalid principal in policy: "{key.upper()}":"{name[:120]}"', f"{path}.{key}[{index}]"
                )
    return Principals(
        "*" in aws, tuple(name for name in aws if name != "*"), found.get("Service", ()), found.get("Federated", ())
    )


def _conditions(value: Any, path: str) -> tuple[Condition, ...]:
    if not isinstance(value, dict):
        raise PolicyError("Condition is an object of operators", path)
    found = []
    for name, block in value.items():
        operator = parse_operator(name)
        if operator is None:
            raise PolicyError(f"Invalid Condition type : {name[:60]}.", f"{path}.{name[:60]}")
        if not isinstance(block, dict) or not block:
            raise PolicyError("an operator holds an object of condition keys", f"{path}.{name}")
        for key, values in block.items():
            where = f"{path}.{name}.{key[:60]}"
            if not key or len(key) > 512 or ":" not in key:
                raise PolicyError(f"Condition key {key[:60]!r} has no prefix such as aws:", where)
            texts = tuple(_condition_value(item, where) for item in (values if isinstance(values, list) else [values]))
            if len(texts) > MAX_VALUES:
                raise PolicyError(f"at most {MAX_VALUES} values are allowed", where)
            if (wrong := operator.first_invalid(texts)) is not None:
                raise PolicyError(f"{wrong[:60]!r} is not a value for {name}", where)
            found.append(Condition(operator, key.lower(), texts, key))
    if len({(c.operator, c.key) for c in found}) != len(found):
        raise PolicyError("the same condition key is given twice in another case", path)
    return tuple(found)


def _condition_value(item: Any, path: str) -> str:
    if isinstance(item, bool):
        return "true" if item else "false"
    if isinstance(item, int | float):
        return json.dumps(item)
    if isinstance(item, str) and len(item) <= MAX_VALUE_LENGTH:
        return item
    raise PolicyError("a condition's value is a string, a number or a boolean", path)
