"""Nobody may give what they do not have: the check on writing roles and bindings.

Source: kubernetes ``staging/src/k8s.io/component-helpers/auth/rbac/validation/policy_comparator.go``, ``Covers``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import product

from rolecall.rbac.rules import PolicyRule

MAX_PARTS = 200_000


def uncovered(owned: Sequence[PolicyRule], wanted: Iterable[PolicyRule]) -> tuple[PolicyRule, ...]:
    """The parts of ``wanted``, each one verb on one thing, that no rule of ``owned`` covers."""
    missing = []
    for count, part in enumerate(part for rule in wanted for part in _parts(rule)):
        # Bounded work: a role of more parts than this is refused as a whole.
        if count >= MAX_PARTS or not any(_covers(rule, part) for rule in owned):
            missing.append(part)
            if count >= MAX_PARTS:
                break
    return tuple(missing)


def describe(rule: PolicyRule) -> str:
    """A rule as upstream prints it in its refusal."""
    members = {
        "APIGroups": rule.api_groups,
        "Resources": rule.resources,
        "ResourceNames": rule.resource_names,
        "NonResourceURLs": rule.non_resource_urls,
        "Verbs": rule.verbs,
    }
    texts = (f"{key}:[{' '.join(_quoted(value) for value in values)}]" for key, values in members.items() if values)
    return "{" + ", ".join(texts) + "}"


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _parts(rule: PolicyRule) -> Iterator[PolicyRule]:
    names: tuple[tuple[str, ...], ...] = tuple((name,) for name in rule.resource_names) or ((),)
    for verb, group, resource, name in product(rule.verbs, rule.api_groups, rule.resources, names):
        yield PolicyRule((verb,), (group,), (resource,), name)
    for verb, url in product(rule.verbs, rule.non_resource_urls):
        yield PolicyRule((verb,), non_resource_urls=(url,))


def _covers(rule: PolicyRule, part: PolicyRule) -> bool:
    if "*" not in rule.verbs and part.verbs[0] not in rule.verbs:
        return False
    if part.non_resource_urls:
        return any(_url_covers(url, part.non_resource_urls[0]) for url in rule.non_resource_urls)
    if "*" not in rule.api_groups and part.api_groups[0] not in rule.api_groups:
        return False
    if not rule.resources or not _resource_covers(rule, part.resources[0]):
        return False
    return not rule.resource_names or bool(part.resource_names and part.resource_names[0] in rule.resource_names)


def _resource_covers(rule: PolicyRule, resource: str) -> bool:
    if "*" in rule.resources or resource in rule.resources:
        return True
    _, slash, subresource = resource.partition("/")
    return bool(slash) and f"*/{subresource}" in rule.resources


def _url_covers(owned: str, wanted: str) -> bool:
    return owned in ("*", wanted) or (owned.endswith("*") and wanted.startswith(owned.rstrip("*")))
