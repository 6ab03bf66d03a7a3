"""From an AWS identity to a Kubernetes user: which of a cluster's mappings speaks, and what it says.

Access entries win over aws-auth for the same principal, and nothing is merged (EKS user guide, "Migrate existing
aws-auth ConfigMap entries to access entries"). An unmapped identity is nobody: the cluster answers 401.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from rolecall.errors import RolecallError
from rolecall.mapping.access_entries import AccessEntry
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.mapping.reading.aws_auth import AwsAuth
from rolecall.mapping.templates import TemplateError, render
from rolecall.model import Identity, KubernetesUser, Reason

EXTRA_PRINCIPAL_ID = "sigs.k8s.io/aws-iam-authenticator/principalId"


class AuthenticationMode(StrEnum):
    """Where a cluster looks for mappings. A cluster only ever moves to the next one."""

    CONFIG_MAP = "CONFIG_MAP"
    API_AND_CONFIG_MAP = "API_AND_CONFIG_MAP"
    API = "API"

    @property
    def reads_entries(self) -> bool:
        return self is not AuthenticationMode.CONFIG_MAP

    @property
    def reads_config_map(self) -> bool:
        return self is not AuthenticationMode.API


class ModeChangeError(RolecallError):
    """EKS refuses a change of the authentication mode."""


def check_mode_change(old: AuthenticationMode, new: AuthenticationMode) -> None:
    """:class:`ModeChangeError` unless ``new`` is the step after ``old``.

    Source: EKS user guide, "Change authentication mode to use access entries".
    """
    order = list(AuthenticationMode)
    if order.index(new) - order.index(old) != 1:
        raise ModeChangeError(f"Unsupported authentication mode update from {old} to {new}")


@dataclass(frozen=True, slots=True)
class Mappings:
    """Everything that a cluster knows about identities.

    :param entries: access entries by principal id.
    :param creator: canonical ARN of the cluster's creator where it is its hidden administrator, else empty.
    """

    mode: AuthenticationMode = AuthenticationMode.CONFIG_MAP
    entries: Mapping[str, AccessEntry] | None = None
    aws_auth: AwsAuth | None = None
    identity_mappings: tuple[IdentityMapping, ...] = ()
    creator: str = ""


@dataclass(frozen=True, slots=True)
class MappingDecision:
    """Who the cluster takes an identity for; ``user`` is ``None`` where nobody mapped it."""

    user: KubernetesUser | None
    reasons: tuple[Reason, ...]


def resolve(identity: Identity, mappings: Mappings, *, ec2_private_dns_name: str | None = None) -> MappingDecision:
    """The Kubernetes user for ``identity``, and the entry or line that decided."""
    for username, groups, source in _candidates(identity, mappings):
        try:
            name = render(username, identity, ec2_private_dns_name=ec2_private_dns_name)
            rendered = tuple(render(group, identity, ec2_private_dns_name=ec2_private_dns_name) for group in groups)
        except TemplateError as error:
            return MappingDecision(None, (Reason("template", error.what, source),))
        reason = Reason("mapped", f"{identity.canonical_arn} is {name} by {source}", source)
        return MappingDecision(kubernetes_user(identity, name, rendered), (reason,))
    return MappingDecision(None, (_unmapped(identity, mappings),))


def kubernetes_user(identity: Identity, username: str, groups: Iterable[str]) -> KubernetesUser:
    """The user with the uid and extras that the authenticator gives (pkg/server/server.go, v0.7)."""
    return KubernetesUser(
        username,
        f"aws-iam-authenticator:{identity.account}:{identity.user_id}",
        tuple(groups),
        {
            "accessKeyId": (identity.access_key_id,),
            "arn": (identity.arn,),
            "canonicalArn": (identity.canonical_arn,),
            "principalId": (identity.user_id,),
            "sessionName": (identity.session_name,),
            EXTRA_PRINCIPAL_ID: (identity.user_id,),
        },
    )


def _candidates(identity: Identity, mappings: Mappings) -> Iterable[tuple[str, tuple[str, ...], str]]:
    if mappings.mode.reads_entries and mappings.entries:
        entry = mappings.entries.get(identity.user_id)
        if entry is not None:
            yield entry.username, entry.groups, f"access entry {entry.principal_arn}"
    if mappings.mode.reads_config_map:
        if mappings.creator and mappings.creator.lower() == identity.canonical_arn.lower():
            # Before access entries the creator's mapping was built in and invisible.
            yield "kubernetes-admin", ("system:masters",), "the cluster's creator"
        if mappings.aws_auth and (found := mappings.aws_auth.find(identity.canonical_arn, identity.account)):
            yield found.username, found.groups, str(found)
    for mapping in mappings.identity_mappings:
        if mapping.canonical_arn == identity.canonical_arn.lower():
            yield mapping.username, mapping.groups, f"IAMIdentityMapping {mapping.name}"


def _unmapped(identity: Identity, mappings: Mappings) -> Reason:
    places = []
    if mappings.mode.reads_entries:
        places.append("no access entry")
    if mappings.mode.reads_config_map:
        places.append("no aws-auth entry")
    name = identity.canonical_arn.rpartition("/")[2].lower()
    text = f"{identity.canonical_arn} is not mapped: {' and '.join(places)} for it"
    if mappings.aws_auth:
        for entry in mappings.aws_auth.entries:
            if entry.arn.lower().endswith(f"/{name}") and entry.arn.lower() != identity.canonical_arn.lower():
                text += f"; {entry} has {entry.arn}, which is another ARN"
                break
    return Reason("no-mapping", text)
