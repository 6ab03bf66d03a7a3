"""Virtual MFA devices: time-based codes by RFC 6238, each accepted once.

Source: IAM API reference, CreateVirtualMFADevice, EnableMFADevice and neighbours. The picture of the QR code is not
made: the seed is what programs use.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from datetime import datetime
from sqlite3 import Row
from typing import Any

from rolecall.arn import PrincipalKind
from rolecall.iam.principals import Principal
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam.owners import USER, new_arn, the_user
from rolecall.lab.aws_endpoint.moments import from_text, to_text

STEP_SECONDS = 30
MAX_DEVICES = 8


def code_at(seed: str, step: int) -> str:
    """The six digits of a seed (base32) for a 30-second step (RFC 6238, RFC 4226)."""
    digest = hmac.new(base64.b32decode(seed), step.to_bytes(8, "big"), hashlib.sha1).digest()
    offset = digest[-1] & 0xF
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 1_000_000:06}"


def verify_mfa(call: Call, principal: Principal, serial: str | None, code: str | None) -> bool:
    """Whether a request proves possession of the caller's device; ``False`` if it does not try.

    ``AccessDenied`` with STS's sentence if it tries and fails.
    """
    if serial is None and code is None:
        return False
    if serial is None or code is None:
        raise _failed("must provide both MFA serial number and one time pass code.")
    device = call.store.one("SELECT * FROM mfa_devices WHERE serial = ?", (serial,))
    if device is None or principal.kind is not PrincipalKind.USER or device["user_id"] != principal.principal_id:
        raise _failed(
            "unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
        )
    step = _matching_step(device, code, call.now)
    if step is None:
        raise _failed("invalid MFA one time pass code.", "with")
    call.store.execute("UPDATE mfa_devices SET last_step = ? WHERE serial = ?", (step, serial))
    return True


def _matching_step(device: Row, code: str, now: datetime) -> int | None:
    current = int(now.timestamp()) // STEP_SECONDS
    for step in (current - 1, current, current + 1):
        if step > device["last_step"] and hmac.compare_digest(code_at(device["seed"], step), code):
            return step
    return None


def _failed(why: str, joint: str = ",") -> AwsError:
    return AwsError("AccessDenied", f"MultiFactorAuthentication failed{joint if joint == ',' else ' ' + joint} {why}")


def _serial(call: Call, params: Params) -> str:
    if serial := params.get("SerialNumber"):
        return str(serial)
    return new_arn(call, "mfa", params.get("Path", "/"), params.get("VirtualMFADeviceName", "*"))


def _get(call: Call, serial: str) -> Row:
    row = call.store.one("SELECT * FROM mfa_devices WHERE serial = ? AND account = ?", (serial, call.account))
    if row is None:
        raise AwsError("NoSuchEntity", f"VirtualMFADevice with serial number {serial} doesn't exist.", 404)
    return row


@action("iam", "CreateVirtualMFADevice", resource=_serial)
def create_virtual_mfa_device(call: Call, params: Params) -> Result:
    serial = _serial(call, params)
    if call.store.one("SELECT 1 FROM mfa_devices WHERE serial = ? COLLATE NOCASE", (serial,)) is not None:
        raise AwsError("EntityAlreadyExists", "MFADevice entity at the same path and name already exists.", 409)
    seed = base64.b32encode(call.ids.bytes(40)).decode()
    call.store.execute("INSERT INTO mfa_devices (serial, account, seed) VALUES (?, ?, ?)", (serial, call.account, seed))
    return {"VirtualMFADevice": {"SerialNumber": serial, "Base32StringSeed": seed.encode()}}


@action("iam", "EnableMFADevice", resource=USER.resource, context=USER.tags)
def enable_mfa_device(call: Call, params: Params) -> Result:
    user, device = USER.get(call, params["UserName"]), _get(call, params["SerialNumber"])
    if device["user_id"]:
        raise AwsError("EntityAlreadyExists", "MFA Device is already in use.", 409)
    owned = call.store.all("SELECT serial FROM mfa_devices WHERE user_id = ?", (user["id"],))
    if len(owned) >= MAX_DEVICES:
        raise AwsError("LimitExceeded", f"Cannot exceed quota for MfaDevicesPerUser: {MAX_DEVICES}", 409)
    step = _consecutive_step(device, params["AuthenticationCode1"], params["AuthenticationCode2"], call.now)
    call.store.execute(
        "UPDATE mfa_devices SET user_id = ?, enabled = ?, last_step = ? WHERE serial = ?",
        (user["id"], to_text(call.now), step, device["serial"]),
    )
    return {}


def _consecutive_step(device: Row, first: str, second: str, now: datetime) -> int:
    current = int(now.timestamp()) // STEP_SECONDS
    # Two codes in a row have to be waited for, so a few minutes back and one step ahead are accepted.
    for step in range(current - 10, current + 2):
        if hmac.compare_digest(code_at(device["seed"], step), first) and hmac.compare_digest(
            code_at(device["seed"], step + 1), second
        ):
            return step + 1
    raise AwsError("InvalidAuthenticationCode", "Authentication code for device is not valid.", 403)


@action("iam", "DeactivateMFADevice", resource=USER.resource, context=USER.tags)
def deactivate_mfa_device(call: Call, params: Params) -> Result:
    user, device = the_user(call, params), _get(call, params["SerialNumber"])
    if device["user_id"] != user["id"]:
        raise AwsError("NoSuchEntity", "Device with serial number is not associated with this user.", 404)
    call.store.execute("UPDATE mfa_devices SET user_id = NULL, enabled = NULL WHERE serial = ?", (device["serial"],))
    return {}


@action("iam", "DeleteVirtualMFADevice", resource=_serial)
def delete_virtual_mfa_device(call: Call, params: Params) -> Result:
    device = _get(call, params["SerialNumber"])
    if device["user_id"]:
        raise AwsError("DeleteConflict", "MFA VirtualDevice in use. Must deactivate first.", 409)
    call.store.execute("DELETE FROM mfa_devices WHERE serial = ?", (device["serial"],))
    return {}


@action("iam", "ListMFADevices", resource=USER.resource, context=USER.tags)
def list_mfa_devices(call: Call, params: Params) -> Result:
    user = the_user(call, params)
    rows = call.store.all("SELECT * FROM mfa_devices WHERE user_id = ? ORDER BY serial", (user["id"],))
    return {
        "MFADevices": [
            {"UserName": user["name"], "SerialNumber": row["serial"], "EnableDate": from_text(row["enabled"])}
            for row in rows
        ]
    }


@action("iam", "ListVirtualMFADevices")
def list_virtual_mfa_devices(call: Call, params: Params) -> Result:
    rows = call.store.all(
        "SELECT d.*, u.id AS owner, u.name, u.path, u.created FROM mfa_devices d LEFT JOIN users u ON u.id = d.user_id "
        "WHERE d.account = ? ORDER BY serial",
        (call.account,),
    )
    status = params.get("AssignmentStatus", "Any")
    return {
        "VirtualMFADevices": [
            _shown(call, row)
            for row in rows
            if status == "Any" or (status == "Assigned") == (row["user_id"] is not None)
        ]
    }


def _shown(call: Call, row: Row) -> dict[str, Any]:
    found: dict[str, Any] = {"SerialNumber": row["serial"]}
    if row["owner"]:
        found["EnableDate"] = from_text(row["enabled"])
        found["User"] = {
            "Path": row["path"],
            "UserName": row["name"],
            "UserId": row["owner"],
            "Arn": new_arn(call, "user", row["path"], row["name"]),
            "CreateDate": from_text(row["created"]),
        }
    return found
