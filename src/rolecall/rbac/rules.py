"""Kubernetes RBAC: does a rule allow a request, and which binding brought the rule?

Source: kubernetes ``pkg/apis/rbac/v1/evaluation_helpers.go`` and ``plugin/pkg/auth/authorizer/rbac/rbac.go``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from rolecall.model import KubernetesUser

MASTERS = "system:masters"
_SERVICE_ACCOUNT = "system:serviceaccount:"


@dataclass(frozen=True, slots=True)
class Attributes:
    """A request to the API, as authorisation sees it: about a resource, or about a path.

    :param resource: plural name; empty for a request about ``path``.
    :param name: object's name; for list and watch the one of a ``metadata.name`` field selector; empty for create.
    """

    user: KubernetesUser
    verb: str
    api_group: str = ""
    api_version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    path: str = ""

    @property
    def is_resource(self) -> bool:
        return bool(self.resource)


@dataclass(frozen=True, slots=True)
class PolicyRule:
    """One rule of a Role or ClusterRole."""

    verbs: tuple[str, ...]
    api_groups: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, rule: Mapping[str, Any]) -> PolicyRule:
        return cls(
            *(
                tuple(rule.get(key) or ())
                for key in ("verbs", "apiGroups", "resources", "resourceNames", "nonResourceURLs")
            )
        )

    def to_json(self) -> dict[str, list[str]]:
        """The rule's JSON, without empty members."""
        members = {
            "verbs": self.verbs,
            "apiGroups": self.api_groups,
            "resources": self.resources,
            "resourceNames": self.resource_names,
            "nonResourceURLs": self.non_resource_urls,
        }
        return {key: list(value) for key, value in members.items() if value}

    def allows(self, request: Attributes) -> bool:
        """Whether the rule allows a request. Comparisons mind case."""
        if "*" not in self.verbs and request.verb not in self.verbs:
            return False
        if not request.is_resource:
            return any(_path_matches(url, request.path) for url in self.non_resource_urls)
        return (
            ("*" in self.api_groups or request.api_group in self.api_groups)
            and self._covers_resource(request.resource, request.subresource)
            and (not self.resource_names or request.name in self.resource_names)
        )

    def _covers_resource(self, resource: str, subresource: str) -> bool:
        combined = f"{resource}/{subresource}" if subresource else resource
        if "*" in self.resources or combined in self.resources:
            return True
        return bool(subresource) and f"*/{subresource}" in self.resources


# What cluster-admin may do.
EVERYTHING = (PolicyRule(("*",), ("*",), ("*",)), PolicyRule(("*",), non_resource_urls=("*",)))


def _path_matches(url: str, path: str) -> bool:
    return url == "*" or url == path or (url.endswith("*") and path.startswith(url.rstrip("*")))


@dataclass(frozen=True, slots=True)
class Subject:
    """Who a binding is for. ``namespace`` is set for service accounts alone."""

    kind: str
    name: str
    namespace: str = ""

    def __str__(self) -> str:
        return f'{self.kind} "{self.name}/{self.namespace}"' if self.namespace else f'{self.kind} "{self.name}"'

    @property
    def user_or_group(self) -> tuple[str, str]:
        if self.kind == "ServiceAccount":
            return "User", f"{_SERVICE_ACCOUNT}{self.namespace}:{self.name}"
        return self.kind, self.name


@dataclass(frozen=True, slots=True)
class Binding:
    """A RoleBinding (with a namespace) or a ClusterRoleBinding (without)."""

    name: str
    namespace: str
    role_kind: str
    role_name: str
    subjects: tuple[Subject, ...]

    @classmethod
    def from_json(cls, found: Mapping[str, Any]) -> Binding:
        metadata, role = found["metadata"], found.get("roleRef") or {}
        namespace = metadata.get("namespace", "")
        subjects = tuple(
            Subject(
                subject.get("kind", ""),
                subject.get("name", ""),
                # A ServiceAccount subject without a namespace is of the RoleBinding's own.
                (subject.get("namespace") or namespace) if subject.get("kind") == "ServiceAccount" else "",
            )
            for subject in found.get("subjects") or ()
        )
        return cls(metadata["name"], namespace, role.get("kind", ""), role.get("name", ""), subjects)

    def because(self, subject: Subject) -> str:
        """Upstream's sentence for a request that this binding allows."""
        kind = "RoleBinding" if self.namespace else "ClusterRoleBinding"
        name = f"{self.name}/{self.namespace}" if self.namespace else self.name
        return f'RBAC: allowed by {kind} "{name}" of {self.role_kind} "{self.role_name}" to {subject}'


@dataclass(frozen=True, slots=True)
class RbacDecision:
    """Whether RBAC allows a request, and upstream's sentence about it."""

    allowed: bool
    reason: str = ""


class Authorizer:
    """RBAC over a fixed set of roles and bindings; a changed set is a new Authorizer.

    :param roles: rules by ``(namespace, name)``; the namespace of a ClusterRole is empty.
    """

    __slots__ = ("_by_subject", "_roles")

    def __init__(self, roles: Mapping[tuple[str, str], tuple[PolicyRule, ...]], bindings: Iterable[Binding]) -> None:
        self._roles = roles
        self._by_subject: dict[tuple[str, str], list[tuple[Binding, Subject]]] = {}
        # Upstream looks at ClusterRoleBindings first, each kind by name.
        for binding in sorted(bindings, key=lambda b: (bool(b.namespace), b.namespace, b.name)):
            for subject in binding.subjects:
                self._by_subject.setdefault(subject.user_or_group, []).append((binding, subject))

    def authorize(self, request: Attributes) -> RbacDecision:
        """Allow where any rule of any binding allows; RBAC knows no deny."""
        if MASTERS in request.user.groups:
            return RbacDecision(True)
        for binding, subject in self._bindings(request.user, request.namespace):
            for rule in self._rules(binding):
                if rule.allows(request):
                    return RbacDecision(True, binding.because(subject))
        return RbacDecision(False)

    def rules_for(self, user: KubernetesUser, namespace: str) -> tuple[PolicyRule, ...]:
        """Every rule that reaches a user in a namespace; in none, those of ClusterRoleBindings alone."""
        if MASTERS in user.groups:
            return EVERYTHING
        return tuple(rule for binding, _ in self._bindings(user, namespace) for rule in self._rules(binding))

    def role_rules(self, namespace: str, kind: str, name: str) -> tuple[PolicyRule, ...] | None:
        """The rules of a role that a binding in ``namespace`` names, or ``None`` if there is none."""
        return self._roles.get(("" if kind == "ClusterRole" else namespace, name))

    def _bindings(self, user: KubernetesUser, namespace: str) -> Iterator[tuple[Binding, Subject]]:
        for key in (("User", user.username), *(("Group", group) for group in user.groups)):
            for binding, subject in self._by_subject.get(key, ()):
                if not binding.namespace or binding.namespace == namespace:
                    yield binding, subject

    def _rules(self, binding: Binding) -> tuple[PolicyRule, ...]:
        return self.role_rules(binding.namespace, binding.role_kind, binding.role_name) or ()
