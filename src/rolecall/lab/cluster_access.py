"""Who a cluster of the lab takes an AWS identity for, and what its access entry allows: the same for every backend.

A backend only says where ``aws-auth`` and the identity mappings are read; what they mean is decided here, by the rules
of ``mapping`` and ``rbac``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from rolecall.authenticator.authorize import entry_allows
from rolecall.authenticator.review import Review, StsClient
from rolecall.mapping.access_entries import AccessEntry
from rolecall.mapping.backends.chain import AccessEntryBackend
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.mapping.reading.aws_auth import AwsAuth, parse_aws_auth
from rolecall.mapping.resolve import AuthenticationMode, MappingDecision, Mappings, resolve
from rolecall.model import Identity
from rolecall.rbac.rules import Attributes, RbacDecision
from rolecall.tokens.hosts import StsHosts

log = logging.getLogger(__name__)

Object = Mapping[str, Any]
MAX_REPORTED = 20


@dataclass(frozen=True, slots=True)
class AccessConfig:
    """What EKS knows about who may get in: the mode, the entries by principal id, and the hidden creator's ARN."""

    mode: AuthenticationMode
    entries: Mapping[str, AccessEntry]
    creator: str = ""


@dataclass(frozen=True, slots=True)
class ClusterSpec:
    """What a cluster knows from outside.

    :param version: the Kubernetes version now, such as ``1.36``.
    :param access: EKS's access configuration now.
    :param state: changes whenever ``access`` or STS could answer differently.
    :param old_ca: whether its certificate authority has the shape of old EKS clusters, if it is new.
    """

    name: str
    issuer: str
    version: Callable[[], str]
    sts: StsClient
    hosts: StsHosts
    access: Callable[[], AccessConfig]
    state: Callable[[], int]
    clock: Callable[[], datetime]
    old_ca: bool = False


class ClusterAccess:
    """The mapping and the access policies of one cluster.

    :param config_map: the ConfigMap ``kube-system/aws-auth`` as it is now.
    :param identity_mappings: the IAMIdentityMappings as they are now.
    """

    def __init__(
        self,
        spec: ClusterSpec,
        config_map: Callable[[], Object | None],
        identity_mappings: Callable[[], Iterable[Object]],
    ) -> None:
        self._spec = spec
        self._config_map = config_map
        self._identity_mappings = identity_mappings
        self._aws_auth: tuple[str, AwsAuth] | None = None
        self._review = Review(spec.name, spec.hosts, spec.sts, self.map_identity)

    async def review(self, question: Object) -> Object:
        """Answer a TokenReview.

        :raises MalformedReviewError: if it is not one
        """
        return await self._review(question, now=self._spec.clock())

    def map_identity(self, identity: Identity) -> MappingDecision:
        """Who the cluster takes an AWS identity for."""
        access = self._spec.access()
        found = (IdentityMapping.from_object(one) for one in self._identity_mappings())
        mappings = tuple(mapping for mapping in found if mapping is not None)
        return resolve(identity, Mappings(access.mode, access.entries, self._read_aws_auth(), mappings, access.creator))

    def policies_allow(self, request: Attributes, principal_id: str) -> RbacDecision:
        """What the access policies of a principal's entry say; not allowed if they say nothing."""
        entry = self.access_entries().by_id.get(principal_id)
        return entry_allows(entry, request, principal_id) if entry else RbacDecision(False)

    def access_entries(self) -> AccessEntryBackend:
        """The access entries that count now: none in a mode that does not read them."""
        access = self._spec.access()
        return AccessEntryBackend(access.entries if access.mode.reads_entries else {})

    def _read_aws_auth(self) -> AwsAuth | None:
        found = self._config_map()
        if found is None:
            return None
        version = found["metadata"]["resourceVersion"]
        if self._aws_auth is None or self._aws_auth[0] != version:
            self._aws_auth = version, parse_aws_auth(found.get("data") or {})
            for problem in self._aws_auth[1].problems[:MAX_REPORTED]:
                log.warning("cluster %s: aws-auth %s", self._spec.name, problem)
        return self._aws_auth[1]
