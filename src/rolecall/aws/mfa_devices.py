"""The MFA devices of a user whose codes STS takes."""

from __future__ import annotations

from rolecall.aws.errors import explained
from rolecall.aws.session import AwsClients


def code_devices(clients: AwsClients, account: str) -> tuple[str, ...]:
    """Serial numbers of the caller's own devices that show a code; :class:`AwsError` where they may not be listed.

    Security keys and passkeys (``...:u2f/...``) have no code that a call of AssumeRole could carry (IAM user guide,
    "FIDO2 security keys": not for the AWS CLI's MFA-protected API).
    """
    iam = clients.client(account, "iam")
    with explained(f"account {account}"):
        # A user has eight devices at most (IAM quotas), which is one page.
        devices = iam.list_mfa_devices()["MFADevices"]
    return tuple(serial for device in devices if ":u2f/" not in (serial := str(device["SerialNumber"])))
