"""The nouns of the chain: who signed a request, who STS says that is, and who the cluster takes them for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

NO_EXTRA: Mapping[str, tuple[str, ...]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Reason:
    """One cause of a decision.

    :param code: a stable identifier for programs, such as ``trust-policy-allows`` or ``no-mapping``.
    :param text: the sentence a person reads.
    :param source: what decided: a policy and statement, a ConfigMap line, a binding; empty where nothing did.
    """

    code: str
    text: str
    source: str = ""


@dataclass(frozen=True, slots=True)
class CallerIdentity:
    """What ``sts:GetCallerIdentity`` answers about the principal that signed a request.

    :param arn: the caller's ARN as STS writes it (a session is ``arn:aws:sts::A:assumed-role/ROLE/SESSION``).
    :param account: 12 digits.
    :param user_id: ``AIDA...`` of a user, ``AROA...:SESSION`` of a role session, ``ACCOUNT:NAME`` of a federated user,
        the account id of the root user.
    """

    arn: str
    account: str
    user_id: str


@dataclass(frozen=True, slots=True)
class Identity:
    """An AWS identity as a cluster's authenticator sees it, before it is mapped to a Kubernetes user.

    Shape of aws-iam-authenticator's ``token.Identity`` (pkg/token/token.go, v0.7).

    :param arn: the caller's ARN as STS wrote it.
    :param canonical_arn: the IAM ARN behind it (see :func:`rolecall.arn.canonicalize`).
    :param account: 12 digits.
    :param user_id: the unique id without the session name: ``AROA...``, ``AIDA...``, a federated user's
        ``ACCOUNT:NAME``, the root user's account id (see :func:`rolecall.tokens.identity.identity_of`).
    :param session_name: the role session's name, empty for every other principal.
    :param access_key_id: the key id that signed the token (``AKIA...`` or ``ASIA...``).
    :param sts_endpoint: the host of STS that answered, empty if unknown.
    """

    arn: str
    canonical_arn: str
    account: str
    user_id: str
    session_name: str = ""
    access_key_id: str = ""
    sts_endpoint: str = ""


@dataclass(frozen=True, slots=True)
class KubernetesUser:
    """Who a Kubernetes API server takes the caller for: ``user.Info`` of Kubernetes.

    :param extra: lists by key, as in ``TokenReviewStatus.user.extra``.
    """

    username: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=lambda: NO_EXTRA)
