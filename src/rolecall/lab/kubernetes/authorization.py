"""May the caller do this? RBAC over the cluster's own objects, then the access policies of its access entries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rolecall.lab.kubernetes.authentication import Caller
from rolecall.lab.kubernetes.kinds import RBAC, Resource
from rolecall.lab.kubernetes.requests import ApiRequest
from rolecall.lab.kubernetes.status import StatusError, forbidden, not_found
from rolecall.lab.kubernetes.store import ObjectStore
from rolecall.model import KubernetesUser
from rolecall.rbac.escalation import describe, uncovered
from rolecall.rbac.rules import EVERYTHING, MASTERS, Attributes, Authorizer, Binding, PolicyRule, RbacDecision

_KEYS = tuple((RBAC, plural) for plural in ("roles", "clusterroles", "rolebindings", "clusterrolebindings"))


class Authorization:
    """Decides requests against the objects in ``store``, rebuilt when one of them has changed.

    :param policies: what the access policies of the principal with an id say.
    """

    def __init__(self, store: ObjectStore, policies: Callable[[Attributes, str], RbacDecision]) -> None:
        self._store = store
        self._policies = policies
        self._built: tuple[int, ...] | None = None
        self._authorizer = Authorizer({}, ())

    @property
    def rbac(self) -> Authorizer:
        state = tuple(self._store.changed(key) for key in _KEYS)
        if state != self._built:
            self._authorizer, self._built = _build(self._store), state
        return self._authorizer

    def decide(self, request: Attributes, caller: Caller) -> RbacDecision:
        """RBAC first; then, for a principal that came with its own token, the access policies of its entry."""
        decision = self.rbac.authorize(request)
        if decision.allowed or not caller.principal_id:
            return decision
        found = self._policies(request, caller.principal_id)
        return found if found.allowed else decision

    def allows(self, request: Attributes, caller: Caller) -> bool:
        return self.decide(request, caller).allowed

    def admit(self, caller: Caller) -> Callable[[Resource, Mapping[str, Any] | None, Mapping[str, Any]], None]:
        """Refuses roles and bindings that would give away more than the caller has.

        Source: Kubernetes documentation, "Using RBAC Authorization", privilege escalation prevention; kubernetes
        ``pkg/registry/rbac/clusterrole/policybased/storage.go`` and its neighbours.
        """

        def admit(resource: Resource, old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> None:
            if resource.group == RBAC and MASTERS not in caller.user.groups:
                self._check_escalation(resource, old, new, caller)

        return admit

    def _check_escalation(
        self, resource: Resource, old: Mapping[str, Any] | None, new: Mapping[str, Any], caller: Caller
    ) -> None:
        name, namespace = new["metadata"]["name"], new["metadata"].get("namespace", "")
        if old is not None and _changes_owners_alone(old, new):
            return
        if resource.plural in ("roles", "clusterroles"):
            # A role that is being made has no name yet: "escalate" limited to names is for changing roles.
            if self._may("escalate", resource.plural, namespace, name if old is not None else "", caller):
                return
            wanted = _rules(new)
        else:
            role = new["roleRef"]
            plural = "clusterroles" if role["kind"] == "ClusterRole" else "roles"
            if self._may("bind", plural, namespace, role["name"], caller):
                return
            found = self.rbac.role_rules(namespace, role["kind"], role["name"])
            if found is None:
                raise not_found(RBAC, plural, role["name"])
            wanted = found
        owned = self.rbac.rules_for(caller.user, namespace)
        missing = uncovered(owned, wanted)
        if missing:
            raise _escalates(resource, name, caller.user, missing)
        # An aggregated role can come to hold anything: only who has everything may make one, or change it.
        if any(one and one.get("aggregationRule") for one in (old, new)) and uncovered(owned, EVERYTHING):
            why = "must have cluster-admin privileges to use the aggregationRule"
            raise forbidden(RBAC, resource.plural, name, why)

    def _may(self, verb: str, plural: str, namespace: str, name: str, caller: Caller) -> bool:
        return self.allows(Attributes(caller.user, verb, RBAC, "v1", plural, "", namespace, name), caller)


def attributes(request: ApiRequest, user: KubernetesUser) -> Attributes:
    """A request as authorisation sees it."""
    if not request.resource:
        return Attributes(user, request.verb, path=request.path)
    return Attributes(
        user,
        request.verb,
        request.group,
        request.version,
        request.resource,
        request.subresource,
        request.namespace,
        request.name if request.verb != "create" or request.subresource else "",
    )


def refusal(request: Attributes) -> StatusError:
    """The real server's 403 for a request that nothing allows."""
    user = request.user.username
    if not request.is_resource:
        message = f'forbidden: User "{user}" cannot {request.verb} path "{request.path}"'
        return StatusError(403, "Forbidden", message, {})
    resource = f"{request.resource}/{request.subresource}" if request.subresource else request.resource
    where = f' in the namespace "{request.namespace}"' if request.namespace else " at the cluster scope"
    why = f'User "{user}" cannot {request.verb} resource "{resource}" in API group "{request.api_group}"{where}'
    return forbidden(request.api_group, request.resource, request.name, why)


def _build(store: ObjectStore) -> Authorizer:
    roles: dict[tuple[str, str], tuple[PolicyRule, ...]] = {}
    for key in _KEYS[:2]:
        for found in store.listed(key):
            roles[found["metadata"].get("namespace", ""), found["metadata"]["name"]] = _rules(found)
    bindings = [Binding.from_json(found) for key in _KEYS[2:] for found in store.listed(key)]
    return Authorizer(roles, bindings)


def _changes_owners_alone(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Whether a change is one that deleting by owner needs (upstream's ``IsOnlyMutatingGCFields``)."""

    def rest(found: Mapping[str, Any]) -> dict[str, Any]:
        left_out = ("ownerReferences", "finalizers", "managedFields", "resourceVersion")
        metadata = {key: value for key, value in found["metadata"].items() if key not in left_out}
        return {**found, "metadata": metadata}

    return rest(old) == rest(new)


def _rules(found: Mapping[str, Any]) -> tuple[PolicyRule, ...]:
    return tuple(PolicyRule.from_json(rule) for rule in found.get("rules") or ())


def _escalates(resource: Resource, name: str, user: KubernetesUser, missing: Sequence[PolicyRule]) -> StatusError:
    groups = " ".join(f'"{group}"' for group in user.groups)
    rules = "\n".join(describe(rule) for rule in missing[:20])
    why = f'user "{user.username}" (groups=[{groups}]) is attempting to grant RBAC permissions not currently held:'
    why += f"\n{rules}"
    return forbidden(RBAC, resource.plural, name, why)
