"""Who makes a request, as IAM's rules see them: a plain value, built by the code that verified the signature."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from types import MappingProxyType

from rolecall.arn import PrincipalKind

NO_TAGS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Session:
    """The temporary credentials behind a request: an assumed role, a federated user or GetSessionToken.

    :param name: the role session's name; empty for GetSessionToken.
    :param issued: when the credentials were issued (``aws:TokenIssueTime``), UTC.
    :param expires: when they end, UTC.
    :param policies: session policy documents as JSON texts; empty where none was passed.
    :param policy_arns: managed policies passed as session policies.
    :param source_identity: ``aws:SourceIdentity`` that was set when the session began, or empty.
    :param tags: session tags (already overlaid on nothing: role tags are kept in ``Principal.tags``).
    :param transitive_tag_keys: keys of ``tags`` that persist down a role chain.
    :param mfa_authenticated_at: when an MFA code was given for these credentials, else ``None``.
    """

    name: str
    issued: datetime
    expires: datetime
    policies: tuple[str, ...] = ()
    policy_arns: tuple[str, ...] = ()
    source_identity: str = ""
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
    transitive_tag_keys: frozenset[str] = frozenset()
    mfa_authenticated_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of an AWS API.

    :param arn: as STS writes it: ``arn:aws:iam::A:user/path/N``, ``arn:aws:sts::A:assumed-role/R/S``, ``...:root``.
    :param principal_arn: ``aws:PrincipalArn``: for a session the role's ARN *with* its path, else ``arn``
        (IAM user guide, global condition keys, aws:PrincipalArn).
    :param principal_id: the unique id alone: ``AIDA...``, ``AROA...``; the account id for the root user.
    :param user_id: ``aws:userid``: ``AROA...:SESSION`` for a role session, else ``principal_id``.
    :param tags: tags of the IAM user or role itself.
    """

    kind: PrincipalKind
    account: str
    arn: str
    principal_arn: str
    principal_id: str
    user_id: str
    access_key_id: str = ""
    name: str = ""
    session: Session | None = None
    tags: Mapping[str, str] = field(default_factory=lambda: NO_TAGS)
