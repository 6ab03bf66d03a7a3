"""Policy documents as values: statements, principals, conditions, and what of a document was not understood."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from rolecall.errors import RolecallError
from rolecall.iam.operators import Operator


class PolicyKind(Enum):
    """Where a policy is attached decides what it may say."""

    IDENTITY = "identity-based policy"
    RESOURCE = "resource-based policy"
    TRUST = "role trust policy"
    BOUNDARY = "permissions boundary"
    SESSION = "session policy"
    SCP = "service control policy"
    RCP = "resource control policy"


class PolicyError(RolecallError):
    """A policy document has something that is not understood, or that AWS does not accept.

    :ivar json_path: where in the document, such as ``$.Statement[0].Action[1]``.
    """

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
    """One operator with one key: true if the request's values of ``key`` satisfy it.

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
class Unclear:
    """A statement of which something was not understood, at its widest: it applies to this much and perhaps to less.

    :param statement: what was not understood is left out of it, so that whatever the written statement applies to,
        this one applies to as well.
    :param where: ``statement 0``, ``statement 'Sid'``; empty: the whole document.
    :param why: what was not understood, one sentence without a full stop.
    """

    statement: Statement
    where: str
    why: str


@dataclass(frozen=True, slots=True)
class PolicyDocument:
    """A policy as it was read. ``name`` says whose it is, in reasons: ``inline policy X of role Y``.

    :param statements: what was understood. A statement that was understood in part is here with that part, so that it
        never applies to more than the written one.
    :param unclear: the statements of which something was not understood, at their widest.
    """

    kind: PolicyKind
    statements: tuple[Statement, ...]
    version: str = "2008-10-17"
    name: str = ""
    id: str = ""
    unclear: tuple[Unclear, ...] = ()

    @property
    def has_variables(self) -> bool:
        """Only the newer version of the language knows policy variables."""
        return self.version == "2012-10-17"


@dataclass(frozen=True, slots=True, order=True)
class Doubt:
    """Something in a policy that was not understood or not read, and that touches an answer.

    :param policy: whose policy: ``inline policy X of role Y``, ``trust policy of role Z``.
    :param statement: ``statement 0`` or ``statement 'Sid'``; empty: the whole document.
    :param effect: ``Allow``: it may allow what the answer is about; ``Deny``: it may deny it, and counts as denying
        nothing.
    :param why: what was not understood or not read, one sentence without a full stop.
    :param kind: the kind of the policy, as :class:`PolicyKind` names it.
    :param account: 12 digits; empty if that is not known.
    :param principal: ARN of the user or role whose policy it is; empty if that is not known.
    """

    policy: str
    statement: str
    effect: str
    why: str
    kind: str = ""
    account: str = ""
    principal: str = ""

    def __str__(self) -> str:
        where = f"account {self.account}, {self.policy}" if self.account else self.policy
        may = "may allow this" if self.effect == "Allow" else "may deny this"
        return f"{where}{f', {self.statement}' if self.statement else ''} {may}: {self.why}"

    def to_json(self) -> dict[str, Any]:
        """Plain values; what is not known is left out."""
        found = {
            "account": self.account,
            "principal": self.principal,
            "policy": self.policy,
            "policyKind": self.kind,
            "statement": self.statement,
            "effect": self.effect.lower(),
            "why": self.why,
        }
        return {key: value for key, value in found.items() if value}


def unread_document(kind: PolicyKind, why: str, *, name: str = "", version: str = "2012-10-17") -> PolicyDocument:
    """A document of which nothing is known: it may allow and may deny everything."""
    everyone = Principals(everyone=True) if kind in WITH_PRINCIPAL else None
    widest = (Statement(0, "", allows, ("*",), (), ("*",), (), everyone) for allows in (True, False))
    return PolicyDocument(kind, (), version, name, unclear=tuple(Unclear(one, "", why) for one in widest))


# Policies of these kinds say whom they are about.
WITH_PRINCIPAL = frozenset({PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP})
