"""Access entries in a file, in the shape the EKS API describes them, checked as EKS checks them.

::

    accessEntries:
    - principalArn: arn:aws:iam::111122223333:role/Dev
      principalId: AROAEXAMPLEEXAMPLE123     # binds the entry to this very role; without it, the name counts
      kubernetesGroups: [developers]
      accessPolicies:
      - policyArn: arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy
        accessScope: {type: namespace, namespaces: ["dev-*"]}

Source: EKS API reference, ``AccessEntry`` and ``AssociatedAccessPolicy``; the members ``principalId`` and
``accessPolicies`` are this file's own, because the API has no call that gives them with the entry.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from rolecall.arn import PrincipalArn
from rolecall.errors import InvalidArnError
from rolecall.mapping.access_entries import (
    MAX_ENTRIES,
    AccessEntry,
    AssociatedPolicy,
    EntryError,
    EntryType,
    ScopeType,
    check_groups,
    check_policy,
    check_username,
    default_groups,
    default_username,
    entry_principal,
)
from rolecall.mapping.backends.chain import AccessEntryBackend, path_free
from rolecall.mapping.reading.aws_auth import Problem
from rolecall.mapping.reading.bounded_yaml import Kind, Node, UnreadableYamlError, by_lower_key, compose, is_null


@dataclass(frozen=True, slots=True)
class AccessEntryFile:
    """A file as read; ``backend`` is to be used only where ``problems`` is empty."""

    backend: AccessEntryBackend
    problems: tuple[Problem, ...] = ()


def parse_access_entry_file(text: str, known_policies: frozenset[str] | None = None) -> AccessEntryFile:
    """The entries in a text; never fails, what is wrong is in ``problems``.

    :param known_policies: names of access policies that exist; ``None`` takes every name.
    """
    empty = AccessEntryBackend({})
    try:
        node = compose(text)
    except UnreadableYamlError as error:
        return AccessEntryFile(empty, (Problem("", error.line, error.what),))
    items = by_lower_key(node).get("accessentries") if node is not None else None
    if items is None or items.kind is not Kind.SEQUENCE:
        return AccessEntryFile(empty, (Problem("", 1, "not an object with a list accessEntries"),))
    if len(items.children) > MAX_ENTRIES:
        return AccessEntryFile(empty, (Problem("", items.line, f"more than {MAX_ENTRIES} entries"),))
    problems: list[Problem] = []
    by_id: dict[str, AccessEntry] = {}
    by_arn: dict[str, AccessEntry] = {}
    seen: dict[str, int] = {}
    for item in items.children:
        try:
            entry = _entry(item, known_policies)
        except (EntryError, InvalidArnError, ValueError) as error:
            problems.append(Problem("accessEntries", item.line, getattr(error, "what", str(error))))
            continue
        if entry.principal_arn in seen:
            problems.append(
                Problem("accessEntries", item.line, f"line {seen[entry.principal_arn]} is for the same principal")
            )
        seen[entry.principal_arn] = item.line
        if entry.principal_id:
            by_id[entry.principal_id] = entry
        else:
            by_arn[path_free(entry.principal_arn)] = entry
    return AccessEntryFile(AccessEntryBackend(by_id, by_arn), tuple(problems))


def _entry(node: Node, known_policies: frozenset[str] | None) -> AccessEntry:
    if node.kind is not Kind.MAPPING:
        raise ValueError("the entry is not a mapping")
    fields = by_lower_key(node)
    entry_type = EntryType(_text(fields, "type") or EntryType.STANDARD)
    arn = _text(fields, "principalarn")
    policies = fields.get("accesspolicies") or fields.get("associatedaccesspolicies")
    return make_entry(
        arn,
        _text(fields, "principalid"),
        entry_type,
        username=_text(fields, "username"),
        groups=_texts(fields, "kubernetesgroups"),
        policies=() if is_null(policies) else tuple(_policy(item) for item in _list(policies)),
        known_policies=known_policies,
    )


def make_entry(
    arn: str,
    principal_id: str,
    entry_type: EntryType,
    *,
    username: str = "",
    groups: tuple[str, ...] = (),
    policies: tuple[AssociatedPolicy, ...] = (),
    known_policies: frozenset[str] | None = None,
) -> AccessEntry:
    """An entry with what EKS fills in; :class:`EntryError` where EKS would refuse it."""
    principal: PrincipalArn = entry_principal(arn, PrincipalArn.parse(arn).account, entry_type)
    if username:
        check_username(username, entry_type)
    check_groups(groups, entry_type)
    for policy in policies:
        check_policy(policy, entry_type, known_policies or frozenset({policy.name}))
    return AccessEntry(
        arn,
        principal_id,
        entry_type,
        username or default_username(principal, entry_type),
        groups or default_groups(entry_type),
        policies,
    )


def _policy(node: Node) -> AssociatedPolicy:
    fields = by_lower_key(node)
    scope = fields.get("accessscope")
    inner = by_lower_key(scope) if scope is not None else {}
    return AssociatedPolicy(
        _text(fields, "policyarn"),
        ScopeType(_text(inner, "type") or ScopeType.CLUSTER),
        _texts(inner, "namespaces"),
    )


def _text(fields: Mapping[str, Node], key: str) -> str:
    node = fields.get(key)
    if is_null(node):
        return ""
    if node is None or node.kind is not Kind.SCALAR:
        raise ValueError(f"{key} is not a text")
    return node.value


def _texts(fields: Mapping[str, Node], key: str) -> tuple[str, ...]:
    node = fields.get(key)
    if is_null(node):
        return ()
    return tuple(_text({key: item}, key) for item in _list(node))


def _list(node: Node | None) -> list[Node]:
    if node is None or node.kind is not Kind.SEQUENCE:
        raise ValueError("not a list where one is needed")
    return node.children
