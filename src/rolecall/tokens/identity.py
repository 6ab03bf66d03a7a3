"""Who is behind a token: what the answer of ``sts:GetCallerIdentity`` says about each kind of principal.

============================  ======================  ==============  ============
ARN                           UserId                  user id         session name
============================  ======================  ==============  ============
``iam::A:root``               ``A``                   ``A``           none
``iam::A:user/PATH/NAME``     ``AIDA...``             ``AIDA...``     none
``sts::A:assumed-role/R/S``   ``AROA...:S``           ``AROA...``     ``S``
``sts::A:federated-user/F``   ``A:F``                 ``A:F``         none
============================  ======================  ==============  ============

A federated user keeps the whole UserId: cut at the colon, it would be the id of the account's root user. Sources: IAM
user guide, "Unique identifiers" and "IAM policy elements: variables" (``aws:userid``); STS API, ``GetCallerIdentity``;
aws-iam-authenticator v0.7 ``pkg/token/token.go`` (``getIdentityFromSTSResponse``).
"""

from __future__ import annotations

from rolecall.arn import PrincipalArn, PrincipalKind, canonicalize
from rolecall.errors import RolecallError
from rolecall.model import CallerIdentity, Identity


class InvalidCallerError(RolecallError):
    """The parts of STS's answer do not fit together, so it is not clear who the caller is."""


def identity_of(caller: CallerIdentity, access_key_id: str = "", sts_endpoint: str = "") -> Identity:
    """The identity that an answer of STS describes.

    :param access_key_id: the key id that signed the call.
    :param sts_endpoint: the host that answered.
    :raises InvalidArnError: if the ARN does not name a principal.
    :raises InvalidCallerError: if account, ARN and UserId contradict each other.
    """
    canonical = canonicalize(caller.arn)
    principal = PrincipalArn.parse(caller.arn)
    if principal.account != caller.account:
        raise InvalidCallerError(f"STS answers with account {caller.account} and the ARN {caller.arn}")
    found = _id_and_session(principal, caller.user_id)
    if found is None:
        raise InvalidCallerError(f"malformed UserID {caller.user_id!r} for a {principal.kind.value}")
    return Identity(caller.arn, canonical, caller.account, *found, access_key_id, sts_endpoint)


def _id_and_session(principal: PrincipalArn, user_id: str) -> tuple[str, str] | None:
    """The user id and the session name in a UserId; ``None`` if it does not fit the kind of principal."""
    before, colon, after = user_id.partition(":")
    is_unique_id = bool(before) and before != principal.account
    match principal.kind:
        case PrincipalKind.ROOT:
            return (user_id, "") if user_id == principal.account else None
        case PrincipalKind.USER:
            return (user_id, "") if is_unique_id and not colon else None
        case PrincipalKind.FEDERATED_USER:
            return (user_id, "") if user_id == f"{principal.account}:{principal.name}" else None
        case _:
            return (before, after) if is_unique_id and after and ":" not in after else None
