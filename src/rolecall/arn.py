"""ARNs: their parts, and the canonical identity behind a caller's ARN.

Sources: AWS General Reference, "Amazon Resource Names (ARNs)";
kubernetes-sigs/aws-iam-authenticator v0.7 ``pkg/arn/arn.go`` for :func:`canonicalize`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from rolecall.errors import InvalidArnError
from rolecall.partitions import PARTITIONS, Partition

__all__ = ["PARTITIONS", "Arn", "Partition", "PrincipalArn", "PrincipalKind", "canonicalize"]

MAX_ARN_LENGTH = 2048
_ACCOUNT = re.compile(r"[0-9]{12}")


class PrincipalKind(Enum):
    """What an ARN names when it stands for somebody who can sign requests."""

    ROOT = "root"
    USER = "user"
    ROLE = "role"
    ASSUMED_ROLE = "assumed-role"
    FEDERATED_USER = "federated-user"


@dataclass(frozen=True, slots=True)
class Arn:
    """The six parts of an ARN; ``resource`` is everything after the fifth colon."""

    partition: str
    service: str
    region: str
    account: str
    resource: str

    def __str__(self) -> str:
        return f"arn:{self.partition}:{self.service}:{self.region}:{self.account}:{self.resource}"

    @classmethod
    def parse(cls, text: str) -> Arn:
        """The ARN that ``text`` spells; :class:`InvalidArnError` where it has fewer than six parts."""
        if len(text) > MAX_ARN_LENGTH:
            raise InvalidArnError(f"an ARN has at most {MAX_ARN_LENGTH} characters, this has {len(text)}")
        parts = text.split(":", 5)
        if len(parts) != 6 or parts[0] != "arn":
            raise InvalidArnError(
                f"{text!r} is not an ARN",
                advice="an ARN reads arn:PARTITION:SERVICE:REGION:ACCOUNT:RESOURCE",
            )
        return cls(*parts[1:])


@dataclass(frozen=True, slots=True)
class PrincipalArn:
    """An ARN that names an IAM principal, taken apart.

    :param path: ``/`` or ``/team/x/``; STS ARNs carry none and get ``/``.
    :param name: the user's, role's or federated user's name; ``root`` for the root user.
    :param session: the session name of an assumed role, else empty.
    """

    kind: PrincipalKind
    partition: str
    account: str
    path: str
    name: str
    session: str = ""

    @classmethod
    def parse(cls, text: str) -> PrincipalArn:
        """The principal that ``text`` names; :class:`InvalidArnError` where it names none."""
        arn = Arn.parse(text)
        if arn.partition not in PARTITIONS:
            raise InvalidArnError(f"unknown AWS partition {arn.partition!r} in {text!r}")
        if arn.region or not _ACCOUNT.fullmatch(arn.account):
            raise InvalidArnError(f"{text!r} does not name a principal: it needs no region and a 12-digit account")
        kind, *rest = arn.resource.split("/")
        if arn.service == "iam" and arn.resource == "root":
            return cls(PrincipalKind.ROOT, arn.partition, arn.account, "/", "root")
        if arn.service == "iam" and kind in ("user", "role") and rest and rest[-1]:
            path = "/" + "".join(f"{part}/" for part in rest[:-1])
            return cls(PrincipalKind(kind), arn.partition, arn.account, path, rest[-1])
        if arn.service == "sts" and kind == "assumed-role" and len(rest) >= 2 and all((rest[0], rest[-1])):
            path = "/" + "".join(f"{part}/" for part in rest[:-2])
            return cls(PrincipalKind.ASSUMED_ROLE, arn.partition, arn.account, path, rest[-2], rest[-1])
        if arn.service == "sts" and kind == "federated-user" and len(rest) == 1 and rest[0]:
            return cls(PrincipalKind.FEDERATED_USER, arn.partition, arn.account, "/", rest[0])
        raise InvalidArnError(
            f"{text!r} does not name a principal",
            advice="a principal is an IAM user, role or root, an STS assumed-role session or a federated user",
        )


def canonicalize(text: str) -> str:
    """The IAM ARN behind a caller's ARN, exactly as aws-iam-authenticator computes it.

    An assumed role becomes its role, with everything between the first and the last ``/`` kept (so a path would
    survive, although STS never sends one); users, roles, federated users and the root user stay as they are.
    Anything else raises :class:`InvalidArnError`. Source: aws-iam-authenticator v0.7 ``pkg/arn/arn.go``,
    ``Canonicalize``.
    """
    arn = Arn.parse(text)
    if arn.partition not in PARTITIONS:
        raise InvalidArnError(f"unknown AWS partition {arn.partition!r} in {text!r}")
    parts = arn.resource.split("/")
    if arn.service == "sts":
        if parts[0] == "federated-user":
            return text
        if parts[0] == "assumed-role":
            if len(parts) < 3:
                raise InvalidArnError(f"assumed-role ARN {text!r} does not have a role")
            return f"arn:{arn.partition}:iam::{arn.account}:role/{'/'.join(parts[1:-1])}"
        raise InvalidArnError(f"unrecognized resource {arn.resource!r} for service sts in {text!r}")
    if arn.service == "iam":
        if parts[0] in ("role", "user", "root"):
            return text
        raise InvalidArnError(f"unrecognized resource {arn.resource!r} for service iam in {text!r}")
    raise InvalidArnError(f"service {arn.service!r} in {text!r} is not iam or sts")
