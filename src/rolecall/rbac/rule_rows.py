"""Rules written as rows of words, for the tables of roles that other projects publish."""

from __future__ import annotations

from rolecall.rbac.rules import PolicyRule

READ = "get list watch"
WRITE = "create delete deletecollection patch update"
READ_WRITE = "create delete deletecollection get list patch update watch"


def rule(verbs: str, groups: str, resources: str, *, names: str = "") -> PolicyRule:
    """A rule about resources; each argument is words with spaces between them.

    :param groups: API groups; ``core`` is the one whose name is empty.
    :param names: of the objects; all of them if empty.
    """
    named = tuple("" if group == "core" else group for group in groups.split())
    return PolicyRule(tuple(verbs.split()), named, tuple(resources.split()), tuple(names.split()))


def paths(verbs: str, urls: str) -> PolicyRule:
    """A rule about paths of the API server that are no resources."""
    return PolicyRule(tuple(verbs.split()), non_resource_urls=tuple(urls.split()))


# What every component needs that reports events.
EVENTS = rule("create patch update", "core events.k8s.io", "events")
