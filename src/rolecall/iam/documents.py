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
from collections import Counter
from typing import Any

from rolecall.iam.policy_model import (
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
from rolecall.iam.statement_reader import read_statement, unknown_elements, why_of

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
        return unread_document(kind, why_of(error), name=name)
    unknown = tuple(unknown_elements(document, frozenset({"Version", "Id", "Statement"}), "$"))
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
        read = read_statement(item, kind, index, path, unknown)
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
