"""A cluster's own side: aws-auth, IAMIdentityMappings and RBAC, as its API tells them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, TypeVar

from lightkube import Client
from lightkube.generic_resource import create_global_resource
from lightkube.resources.core_v1 import ConfigMap, Namespace
from lightkube.resources.rbac_authorization_v1 import ClusterRole, ClusterRoleBinding, Role, RoleBinding

from rolecall.clusters.errors import ClusterError, explained
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.rbac.rules import Binding, PolicyRule

AWS_AUTH, AWS_AUTH_NAMESPACE = "aws-auth", "kube-system"
MANAGED_BY, ROLECALL = "app.kubernetes.io/managed-by", "rolecall"
PAGE = 500
MAX_OBJECTS = 50_000
NOT_FOUND = 404
UNAUTHORIZED = 401
_NO_ROLES: Mapping[tuple[str, str], tuple[PolicyRule, ...]] = MappingProxyType({})
_Found = TypeVar("_Found")
# aws-iam-authenticator v0.7, deploy/iamidentitymapping.yaml
IdentityMappingObject = create_global_resource(
    "iamauthenticator.k8s.aws", "v1alpha1", "IAMIdentityMapping", "iamidentitymappings"
)


@dataclass(frozen=True, slots=True)
class KubernetesState:
    """What a cluster's API told; see :class:`rolecall.access.world.ClusterState` for the members."""

    aws_auth: Mapping[str, str] | None = None
    aws_auth_version: str = ""
    identity_mappings: tuple[IdentityMapping, ...] = ()
    roles: Mapping[tuple[str, str], tuple[PolicyRule, ...]] = field(default_factory=lambda: _NO_ROLES)
    bindings: tuple[Binding, ...] = ()
    managed_bindings: frozenset[tuple[str, str]] = frozenset()
    unread: tuple[str, ...] = ()
    namespaces: frozenset[str] | None = None


class RuleShare:
    """Keeps one of each list of rules: the default roles are the same in every cluster, and are most of what is read.

    Safe to share by threads.
    """

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: MutableMapping[tuple[PolicyRule, ...], tuple[PolicyRule, ...]] = {}

    def one(self, rules: tuple[PolicyRule, ...]) -> tuple[PolicyRule, ...]:
        return self._known.setdefault(rules, rules)


def read_cluster(
    client: Client, where: str, *, with_aws_auth: bool = True, with_rbac: bool = False, share: RuleShare | None = None
) -> KubernetesState:
    """What the cluster maps and, where it is asked for, its RBAC.

    What may not be read is named in ``unread`` and left empty; a cluster that does not let the caller in at all, or
    does not answer, is a :class:`ClusterError`.

    :param where: the cluster's ARN, for errors.
    :param with_aws_auth: left out where the authentication mode does not read the ConfigMap.
    """
    reader = _Reader(client, where)
    aws_auth = reader.part(AWS_AUTH, _aws_auth, may_be_absent=True) if with_aws_auth else None
    data, version = aws_auth or (None, "")
    # The clusters of EKS do not know this resource.
    mappings = reader.part("IAMIdentityMappings", _identity_mappings, may_be_absent=True) or ()
    if not with_rbac:
        return KubernetesState(data, version, mappings, unread=tuple(reader.unread))
    share = share or RuleShare()
    roles: dict[tuple[str, str], tuple[PolicyRule, ...]] = {}
    bindings: list[dict[str, Any]] = []
    for kind in (ClusterRole, Role):
        for found in reader.objects(kind):
            rules = tuple(PolicyRule.from_json(rule) for rule in found.get("rules") or ())
            roles[_name(found)] = share.one(rules)
    for binding in (ClusterRoleBinding, RoleBinding):
        bindings += reader.objects(binding)
    return KubernetesState(
        data,
        version,
        mappings,
        roles,
        tuple(Binding.from_json(found) for found in bindings),
        frozenset(_name(found) for found in bindings if _is_managed(found)),
        tuple(reader.unread),
        reader.namespaces(),
    )


class _Reader:
    """Reads part by part and remembers which it could not read."""

    def __init__(self, client: Client, where: str) -> None:
        self._client, self._where = client, where
        self.unread: list[str] = []

    def part(self, name: str, read: Callable[[Client], _Found], *, may_be_absent: bool = False) -> _Found | None:
        """One part, or ``None`` where the cluster refuses it; :class:`ClusterError` where it refuses the caller.

        :param may_be_absent: whether a part that the cluster does not know is simply not there.
        """
        try:
            with explained(f"{name} of {self._where}"):
                return read(self._client)
        except ClusterError as error:
            if error.code in (0, UNAUTHORIZED):
                raise
            if not (may_be_absent and error.code == NOT_FOUND):
                self.unread.append(f"{name}: {error.what}")
            return None

    def namespaces(self) -> frozenset[str] | None:
        """The names of the namespaces; ``None`` if the caller may not list them, which takes nothing from the rest."""
        try:
            with explained(f"Namespaces of {self._where}"):
                return frozenset(found.metadata.name for found in _all(self._client, Namespace))
        except ClusterError as error:
            if error.code in (0, UNAUTHORIZED):
                raise
            return None

    def objects(self, kind: Any) -> list[dict[str, Any]]:
        """Every object of a kind, of all namespaces, as its JSON."""
        name = f"{kind.__name__}s"
        return self.part(name, lambda client: [found.to_dict() for found in _all(client, kind)]) or []


def _aws_auth(client: Client) -> tuple[Mapping[str, str], str]:
    found = client.get(ConfigMap, AWS_AUTH, namespace=AWS_AUTH_NAMESPACE)
    version = found.metadata.resourceVersion if found.metadata else None
    return dict(found.data or {}), version or ""


def _identity_mappings(client: Client) -> tuple[IdentityMapping, ...]:
    found = (IdentityMapping.from_object(item) for item in _all(client, IdentityMappingObject))
    return tuple(mapping for mapping in found if mapping is not None)


def _all(client: Client, kind: Any) -> Iterator[Any]:
    """Every object of a kind, page by page."""
    namespaced = {"namespace": "*"} if kind in (Role, RoleBinding) else {}
    found: Iterable[Any] = client.list(kind, chunk_size=PAGE, **namespaced)  # type: ignore[call-overload]
    for count, item in enumerate(found):
        if count >= MAX_OBJECTS:
            raise ClusterError(f"there are more than {MAX_OBJECTS} of them", code=413)
        yield item


def _name(found: Mapping[str, Any]) -> tuple[str, str]:
    return found["metadata"].get("namespace", ""), found["metadata"]["name"]


def _is_managed(found: Mapping[str, Any]) -> bool:
    return (found["metadata"].get("labels") or {}).get(MANAGED_BY) == ROLECALL
