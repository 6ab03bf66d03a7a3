"""A plan in words: what changes in each account and cluster, what that does to access, what the guards object to.

Everything that a plan does is shown: no list is cut, and two values that differ never read the same.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from rolecall.arn import Arn
from rolecall.iam.trust_policy import statements
from rolecall.plan.findings import Finding
from rolecall.plan.order import merged
from rolecall.plan.plan import Plan
from rolecall.plan.render_effects import effect_lines, quoted
from rolecall.plan.resources import IAM_KINDS, Change, Kind, Value
from rolecall.visible import visible as shown

_NOUNS = {
    Kind.IAM_USER: "user",
    Kind.IAM_ROLE: "role",
    Kind.IAM_ROLE_POLICY: "inline policy",
    Kind.IAM_USER_POLICY: "inline policy",
    Kind.AWS_AUTH_ROLE: "aws-auth",
    Kind.AWS_AUTH_USER: "aws-auth",
    Kind.ACCESS_ENTRY: "access entry",
    Kind.IDENTITY_MAPPING: "IAMIdentityMapping",
    Kind.CLUSTER_ROLE_BINDING: "ClusterRoleBinding",
    Kind.ROLE_BINDING: "RoleBinding",
}


_OWNERS = {Kind.IAM_ROLE_POLICY: "role", Kind.IAM_USER_POLICY: "user"}


def plan_lines(plan: Plan) -> Iterator[str]:
    """The plan for people, line by line. Lines of changes begin with ``+``, ``-`` or ``~`` behind their indent."""
    changes = merged(plan.changes)
    for place in sorted({change.resource.place for change in changes}, key=lambda one: (one.startswith("arn:"), one)):
        yield place_label(place)
        for change in sorted((c for c in changes if c.resource.place == place), key=lambda one: one.resource):
            yield from change_lines(change)
        yield ""
    told = [*effect_lines(plan.effects)]
    yield from [*told, ""] if told else []
    yield from _finding_lines(plan.findings)
    yield summary(plan)


def place_label(place: str) -> str:
    """An account or a cluster in words."""
    if not place.startswith("arn:"):
        return f"account {place}"
    arn = Arn.parse(place)
    return f"cluster {shown(arn.resource.partition('/')[2])} ({arn.region}, account {arn.account})"


def summary(plan: Plan) -> str:
    """The plan in one sentence."""
    changes = merged(plan.changes)
    if not changes:
        unread = sum(found.code == "not-read" for found in plan.refusals)
        if unread:
            return f"Cannot plan: {counted(unread, 'place')} could not be read."
        return (
            f"Nothing to change; {counted(len(plan.refusals), 'refusal')}." if plan.refusals else "Nothing to change."
        )
    accounts = len({c.resource.place for c in changes if c.resource.kind in IAM_KINDS})
    clusters = len({c.resource.place for c in changes if c.resource.kind not in IAM_KINDS})
    counts = {
        "to add": sum(c.before is None for c in changes),
        "to change": sum(c.before is not None and c.after is not None for c in changes),
        "to remove": sum(c.after is None for c in changes),
    }
    words = ", ".join(f"{count} {what}" for what, count in counts.items() if count)
    where = " and ".join(counted(n, noun) for n, noun in ((accounts, "account"), (clusters, "cluster")) if n)
    refused = f" {counted(len(plan.refusals), 'refusal')}: this plan will not be applied." if plan.refusals else ""
    return f"Plan: {words}, in {where}.{refused}"


def counted(number: int, noun: str) -> str:
    """``1 account``, ``2 accounts``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


def change_lines(change: Change) -> Iterator[str]:
    """One change, line by line: what it is of, then what is inside or how it differs."""
    yield f"  {sign_of(change)} {noun_of(change)} {shown(title_of(change))}"
    for mark, text in details(change):
        yield f"      {mark} {shown(text)}"


def headline(change: Change) -> str:
    """What a change is of, such as ``aws-auth arn:...``, without line breaks or hidden characters."""
    return f"{noun_of(change)} {shown(title_of(change))}"


def two_sides(change: Change) -> tuple[list[str], list[str]]:
    """The facts that only the value before has, and those that only the value after has."""
    old, new = _both_facts(change)
    return [fact for fact in old if fact not in new], [fact for fact in new if fact not in old]


def sign_of(change: Change) -> str:
    """``+`` for what is added, ``-`` for what is removed, ``~`` for what changes."""
    return "+" if change.before is None else "-" if change.after is None else "~"


def noun_of(change: Change) -> str:
    """What kind of thing a change is of, in words."""
    return _NOUNS[change.resource.kind]


def title_of(change: Change) -> str:
    """Which thing a change is of."""
    name = change.resource.name
    if change.resource.kind in _OWNERS:
        owner, _, policy = name.partition("/")
        return f"{policy} of {_OWNERS[change.resource.kind]} {owner}"
    if change.resource.kind is Kind.IDENTITY_MAPPING:
        return f"{name} of {(change.after or change.before or {})['arn']}"
    return change.name


def _both_facts(change: Change) -> tuple[list[str], list[str]]:
    kind, before, after = change.resource.kind, change.before, change.after
    old, new = facts_of(kind, before), facts_of(kind, after)
    if before is not None and after is not None and sorted(old) == sorted(new):
        # They differ in something that no sentence says, such as a statement's Sid.
        old, new = ([json.dumps(value, ensure_ascii=False, sort_keys=True)] for value in (before, after))
    return old, new


def details(change: Change) -> Iterator[tuple[str, str]]:
    """What is inside, or how it differs: a mark and a text."""
    before, after = change.before, change.after
    old, new = _both_facts(change)
    for fact in old:
        if fact not in new:
            yield "-" if after is not None else " ", fact
    for fact in new:
        if fact not in old:
            yield "+" if before is not None else " ", fact


def facts_of(kind: Kind, value: Value | None) -> list[str]:
    """A value as short sentences, equal where nothing differs."""
    if value is None:
        return []
    return list(_FACTS[kind](value))


def _user_facts(value: Value) -> Iterator[str]:
    yield from _path_and_tags(value)


def _path_and_tags(value: Value) -> Iterator[str]:
    if value["path"] != "/":
        yield f"path {value['path']}"
    for key, tag in value["tags"].items():
        yield f"tag {key}={tag}"


def _role_facts(value: Value) -> Iterator[str]:
    yield from trust_facts(value["trust"])
    yield from _path_and_tags(value)
    if value["description"]:
        yield f"description {value['description']!r}"
    if value["maxSessionDuration"] != 3_600:
        yield f"sessions of up to {value['maxSessionDuration']} seconds"


# What trust policies usually allow, and what a statement usually has.
_TRUST_ACTIONS = {"sts:assumerole", "sts:assumerolewithsaml", "sts:assumerolewithwebidentity", "sts:tagsession",
                  "sts:setsourceidentity"}  # fmt: skip
_TRUST_MEMBERS = {"Sid", "Effect", "Principal", "Action", "Condition"}
_MEMBERS = {"Sid", "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition"}


def trust_facts(document: Mapping[str, Any]) -> Iterator[str]:
    """Who may assume a role and on which conditions, one sentence for each."""
    for statement in statements(document):
        principals = statement.get("Principal")
        actions = {str(action).lower() for action in _listed(statement.get("Action"))}
        if statement.keys() - _TRUST_MEMBERS or principals is None or not actions:
            yield f"has the statement {json.dumps(statement, ensure_ascii=False)}"
            continue
        named = principals if isinstance(principals, Mapping) else {"AWS": principals}
        word = "may be assumed by" if statement.get("Effect") == "Allow" else "may not be assumed by"
        unusual = "" if actions <= _TRUST_ACTIONS else f" ({_all_of(statement['Action'])})"
        for kind, names in named.items():
            for name in _listed(names):
                who = "anybody" if name == "*" else name if kind == "AWS" else f"{kind.lower()} {name}"
                yield f"{word} {who}{unusual}{_conditions(statement.get('Condition') or {})}"


def _conditions(condition: Mapping[str, Mapping[str, Any]]) -> str:
    words = []
    for operator, keys in condition.items():
        for key, value in keys.items():
            if (operator, key, value) == ("Bool", "aws:MultiFactorAuthPresent", "true"):
                words.append("with MFA")
            elif (operator, key) == ("DateLessThan", "aws:CurrentTime"):
                words.append(f"until {value}")
            else:
                words.append(f"if {key} {operator} {value if isinstance(value, str) else json.dumps(value)}")
    return f" {', '.join(words)}" if words else ""


def _document_facts(value: Value) -> Iterator[str]:
    for statement in statements(value["document"]):
        if statement.keys() - _MEMBERS:
            yield f"has the statement {json.dumps(statement, ensure_ascii=False)}"
            continue
        word = "allows" if statement.get("Effect") == "Allow" else "denies"
        actions = _but(statement, "Action")
        yield f"{word} {actions} on {_but(statement, 'Resource')}{_conditions(statement.get('Condition') or {})}"


def _but(statement: Mapping[str, Any], member: str) -> str:
    if f"Not{member}" in statement:
        return f"all but {_all_of(statement[f'Not{member}'])}"
    return _all_of(statement.get(member))


def _all_of(found: Any) -> str:
    return ", ".join(str(one) for one in _listed(found)) or "nothing"


def _listed(found: Any) -> list[Any]:
    if found is None:
        return []
    return list(found) if isinstance(found, list | tuple) else [found]


def _mapping_facts(value: Value) -> Iterator[str]:
    if value.get("type", "STANDARD") != "STANDARD":
        yield f"type {value['type']}"
    yield f"username {quoted(value['username'])}"
    for group in value["groups"]:
        yield f"group {quoted(group)}"
    for policy in value.get("policies", ()):
        spaces = policy.get("namespaces", ())
        noun = "namespace" if len(spaces) == 1 else "namespaces"
        where = f" in {noun} {', '.join(spaces)}" if spaces else ""
        yield f"access policy {policy['policyArn'].rpartition('/')[2]}{where}"


def _binding_facts(value: Value) -> Iterator[str]:
    for subject in value["subjects"]:
        space = f"{subject['namespace']}/" if subject.get("namespace") else ""
        name = f"{space}{quoted(subject['name'])}"
        yield f"gives {value['roleRef']['kind']} {value['roleRef']['name']} to {subject['kind']} {name}"


_FACTS = {
    Kind.IAM_USER: _user_facts,
    Kind.IAM_ROLE: _role_facts,
    Kind.IAM_ROLE_POLICY: _document_facts,
    Kind.IAM_USER_POLICY: _document_facts,
    Kind.AWS_AUTH_ROLE: _mapping_facts,
    Kind.AWS_AUTH_USER: _mapping_facts,
    Kind.ACCESS_ENTRY: _mapping_facts,
    Kind.IDENTITY_MAPPING: _mapping_facts,
    Kind.CLUSTER_ROLE_BINDING: _binding_facts,
    Kind.ROLE_BINDING: _binding_facts,
}


def _finding_lines(findings: Sequence[Finding]) -> Iterator[str]:
    refused = [found for found in findings if found.refuses]
    others = [found for found in findings if not found.refuses]
    for title, group in (("Refused", refused), ("Warnings", others)):
        if group:
            yield title
            for found in group:
                yield from _finding(found)
            yield ""


def _finding(found: Finding) -> Iterable[str]:
    yield f"  ! {shown(str(found))}"
    if found.advice:
        yield f"      {shown(found.advice)}"
    if found.refuses and "--allow" not in found.advice:
        yield f"      or allow it: --allow {found.code}:{shown(found.about[0])}"
    elif found.allowed:
        yield f"      allowed by --allow {found.code}"
