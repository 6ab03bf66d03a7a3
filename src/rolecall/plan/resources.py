"""The things that a plan changes, each as an identifier and a plain JSON value, and a plan as changes of them.

Whatever is planned, applied, resumed, undone or found drifted is a :class:`Change` of one :class:`ResourceId` from one
value to another, where ``None`` means that there is no such thing. So an undo is the same change turned round, and a
step of a killed apply is done, not done, or in conflict by comparing the world with both values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a resource is; the values of each are JSON objects with these members.

    ``iam-user``            path, tags; name: the user's name
    ``iam-role``            path, description, maxSessionDuration, tags, trust (the document); name: the role's name
    ``iam-role-policy``     document; name: ``ROLE/POLICY``
    ``iam-user-policy``     document; name: ``USER/POLICY``
    ``aws-auth-role``       arn, username, groups; name: the ARN in lower case (``mapRoles``)
    ``aws-auth-user``       the same for ``mapUsers``
    ``access-entry``        type, username, groups, policies: [{policyArn, scope, namespaces}]; name: principal's ARN
    ``identity-mapping``    arn, username, groups; name: the object's name
    ``cluster-role-binding``  roleRef {kind, name}, subjects [{kind, name, namespace?}]; name: the object's name
    ``role-binding``        the same; name: ``NAMESPACE/NAME``
    """

    IAM_USER = "iam-user"
    IAM_ROLE = "iam-role"
    IAM_ROLE_POLICY = "iam-role-policy"
    IAM_USER_POLICY = "iam-user-policy"
    AWS_AUTH_ROLE = "aws-auth-role"
    AWS_AUTH_USER = "aws-auth-user"
    ACCESS_ENTRY = "access-entry"
    IDENTITY_MAPPING = "identity-mapping"
    CLUSTER_ROLE_BINDING = "cluster-role-binding"
    ROLE_BINDING = "role-binding"


POLICY_KINDS = frozenset({Kind.IAM_ROLE_POLICY, Kind.IAM_USER_POLICY})
IAM_KINDS = frozenset({Kind.IAM_USER, Kind.IAM_ROLE, *POLICY_KINDS})
MAPPING_KINDS = frozenset({Kind.AWS_AUTH_ROLE, Kind.AWS_AUTH_USER, Kind.ACCESS_ENTRY, Kind.IDENTITY_MAPPING})
# Where in the ConfigMap the entries of a kind stand.
AWS_AUTH_SECTIONS = {Kind.AWS_AUTH_ROLE: "mapRoles", Kind.AWS_AUTH_USER: "mapUsers"}
BINDING_KINDS = frozenset({Kind.CLUSTER_ROLE_BINDING, Kind.ROLE_BINDING})

Value = Mapping[str, Any]


@dataclass(frozen=True, slots=True, order=True)
class ResourceId:
    """A thing in the world.

    :param place: the account's id for IAM's kinds, else the cluster's ARN.
    """

    kind: Kind
    place: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name} in {self.place}"


@dataclass(frozen=True, slots=True)
class Change:
    """One resource from ``before`` to ``after``; ``None``: there is none.

    A resource may change twice in one plan: a role's trust policy first shrinks, then widens.

    :param key: its number in the plan, as text; unique within it.
    :param needs: keys, or gates, of the changes that must be done before this one; where one of them fails, this is not
        tried.
    :param follows: keys, or gates, of the changes that must have ended before this one, done or failed.
    :param gates: names of what it is part of: a change that names one in ``needs`` or ``follows`` names all its parts;
        see :mod:`rolecall.plan.waits`.
    :param text: for an aws-auth entry that is put back: what the removal recorded, so that its own text returns to its
        place (:class:`rolecall.mapping.editing.aws_auth_text.Removed` as JSON); else empty.
    """

    key: str
    resource: ResourceId
    before: Value | None
    after: Value | None
    needs: tuple[str, ...] = ()
    follows: tuple[str, ...] = ()
    text: str = ""
    gates: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """What the resource is called: its name in AWS or Kubernetes; in aws-auth the ARN as it is written there."""
        if self.resource.kind in AWS_AUTH_SECTIONS:
            return str((self.after or self.before or {}).get("arn") or self.resource.name)
        return self.resource.name

    def __str__(self) -> str:
        return f"{self.resource.kind} {self.name} in {self.resource.place}"
