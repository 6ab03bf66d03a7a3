"""What was read of accounts and clusters: the state that plans, explanations and audits are computed from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from rolecall.iam.account import Account
from rolecall.mapping.access_entries import AccessEntry
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.mapping.resolve import AuthenticationMode
from rolecall.rbac.rules import Binding, PolicyRule


@dataclass(frozen=True, slots=True)
class ClusterState:
    """One cluster: how it maps identities, and its RBAC.

    :param arn: ``arn:PARTITION:eks:REGION:ACCOUNT:cluster/NAME``; its key everywhere.
    :param aws_auth: the ``data`` of ConfigMap kube-system/aws-auth, ``None`` if there is no such ConfigMap.
    :param aws_auth_version: its ``resourceVersion``, empty where there is none.
    :param entries: access entries; an entry's ``principal_id`` is empty where the account that knows it was not read.
    :param roles: rules by ``(namespace, name)``; the namespace of a ClusterRole is empty.
    :param managed_bindings: names ``(namespace, name)`` of the bindings that carry rolecall's label.
    :param creator: the canonical ARN of the hidden administrator where known, else empty.
    :param unread: what could not be read and why; empty where everything was.
    :param namespaces: names of the cluster's namespaces; ``None`` if they were not read.
    """

    arn: str
    name: str
    account: str
    region: str
    mode: AuthenticationMode = AuthenticationMode.CONFIG_MAP
    aws_auth: Mapping[str, str] | None = None
    aws_auth_version: str = ""
    entries: tuple[AccessEntry, ...] = ()
    identity_mappings: tuple[IdentityMapping, ...] = ()
    roles: Mapping[tuple[str, str], tuple[PolicyRule, ...]] = field(default_factory=dict)
    bindings: tuple[Binding, ...] = ()
    managed_bindings: frozenset[tuple[str, str]] = frozenset()
    creator: str = ""
    unread: tuple[str, ...] = ()
    namespaces: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class World:
    """Accounts by id and clusters by ARN, read at one moment.

    :param caller: the canonical ARN of the reader, so that a plan can see whether it locks its caller out.
    :param callers: the same by account: each may have been read with credentials of its own.
    :param behind: by account, the canonical ARN of the user or role whose credentials assumed the caller's role, as far
        as profiles tell; without the account if that is not known.
    :param unread: by account that could not be read, why.
    :param sessions: by account, the name of the caller's session; without the account if the caller is a user.
    """

    read_at: datetime
    accounts: Mapping[str, Account] = field(default_factory=dict)
    clusters: Mapping[str, ClusterState] = field(default_factory=dict)
    caller: str = ""
    callers: Mapping[str, str] = field(default_factory=dict)
    behind: Mapping[str, str] = field(default_factory=dict)
    sessions: Mapping[str, str] = field(default_factory=dict)
    unread: Mapping[str, str] = field(default_factory=dict)
