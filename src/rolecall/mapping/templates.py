"""Templates in usernames and groups: ``admin:{{AccessKeyID}}:{{SessionName}}``.

Source: aws-iam-authenticator v0.7 ``pkg/server/server.go``, ``renderTemplate``.
"""

from __future__ import annotations

import re

from rolecall.errors import RolecallError
from rolecall.model import Identity

_NAMES = ("AccountID", "SessionName", "SessionNameRaw", "AccessKeyID", "EC2PrivateDNSName")
# Each as it is written in a template.
PLACEHOLDERS = tuple(f"{{{{{name}}}}}" for name in _NAMES)
_PLACEHOLDER = re.compile(rf"\{{\{{({'|'.join(_NAMES)})\}}\}}")
_INSTANCE_ID = re.compile(r"i-(?:[0-9a-f]{8}|[0-9a-f]{17})", re.ASCII)


def is_instance_id(session_name: str) -> bool:
    """Whether a session is named after an instance, as EC2 names those of instance profiles."""
    return _INSTANCE_ID.fullmatch(session_name) is not None


class TemplateError(RolecallError):
    """A template asks for something that the identity does not have."""


def render(template: str, identity: Identity, *, ec2_private_dns_name: str | None = None) -> str:
    """``template`` with its placeholders replaced in one pass, so that no value can bring in another placeholder.

    :param ec2_private_dns_name: of the instance that the session is named after; asked for by a caller that can.
    """

    def value(found: re.Match[str]) -> str:
        match found[1]:
            case "AccountID":
                return identity.account
            case "SessionName":
                # Kubernetes names may not hold an @, which session names of people usually do.
                return identity.session_name.replace("@", "-")
            case "SessionNameRaw":
                return identity.session_name
            case "AccessKeyID":
                return identity.access_key_id
            case _:
                return _private_dns_name(identity, ec2_private_dns_name)

    return _PLACEHOLDER.sub(value, template)


def _private_dns_name(identity: Identity, name: str | None) -> str:
    if not is_instance_id(identity.session_name):
        raise TemplateError(f"SessionName did not contain an instance id: {identity.session_name!r}")
    if name is None:
        raise TemplateError(f"the private DNS name of instance {identity.session_name} is not known")
    return name
