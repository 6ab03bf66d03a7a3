"""IAM users, roles and their inline policies, each read as a plain value and changed from one value to another.

The values are those of access as code: JSON objects, ``None`` where there is no such thing. IAM answers from copies
that take seconds to agree (IAM user guide, "Changes that I make are not always immediately visible"): what was just
made is waited for, and a document that names it is offered again for a while.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any
from urllib.parse import unquote

from botocore.exceptions import ClientError

from rolecall.aws.errors import AwsError
from rolecall.aws.eventual import code, offer, wait_until

Value = Mapping[str, Any]


def read_user(iam: Any, name: str) -> dict[str, Any] | None:
    """``{path, tags}`` of a user."""
    found = _get(iam.get_user, "User", UserName=name)
    return None if found is None else {"path": found["Path"], "tags": _tags(found)}


def read_role(iam: Any, name: str) -> dict[str, Any] | None:
    """``{path, description, maxSessionDuration, tags, trust}`` of a role."""
    found = _get(iam.get_role, "Role", RoleName=name)
    if found is None:
        return None
    return {
        "path": found["Path"],
        "description": found.get("Description", ""),
        "maxSessionDuration": found.get("MaxSessionDuration", 3600),
        "tags": _tags(found),
        "trust": _document(found["AssumeRolePolicyDocument"]),
    }


def read_role_policy(iam: Any, role: str, policy: str) -> dict[str, Any] | None:
    """``{document}`` of an inline policy."""
    try:
        found = iam.get_role_policy(RoleName=role, PolicyName=policy)
    except ClientError as error:
        if code(error) == "NoSuchEntity":
            return None
        raise
    return {"document": _document(found["PolicyDocument"])}


def read_user_policy(iam: Any, user: str, policy: str) -> dict[str, Any] | None:
    """``{document}`` of an inline policy of a user."""
    try:
        found = iam.get_user_policy(UserName=user, PolicyName=policy)
    except ClientError as error:
        if code(error) == "NoSuchEntity":
            return None
        raise
    return {"document": _document(found["PolicyDocument"])}


def write_user(iam: Any, name: str, before: Value | None, after: Value | None) -> None:
    """Make, change or delete a user; a deleted one loses its keys, devices, password, policies and groups first."""
    if after is None:
        _delete_user(iam, name)
    elif before is None:
        iam.create_user(UserName=name, Path=after["path"], Tags=_tag_list(after["tags"]))
        wait_until(lambda: read_user(iam, name) is not None, f"user {name}")
    else:
        if before["path"] != after["path"]:
            iam.update_user(UserName=name, NewPath=after["path"])
        _write_tags(iam, "user", {"UserName": name}, before["tags"], after["tags"])


def write_role(iam: Any, name: str, before: Value | None, after: Value | None) -> None:
    """Make, change or delete a role. A role's path cannot be changed."""
    if after is None:
        iam.delete_role(RoleName=name)
    elif before is None:
        _create_role(iam, name, after)
    else:
        if before["path"] != after["path"]:
            raise AwsError(
                f"the path of role {name} cannot be changed from {before['path']} to {after['path']}",
                where=f"role {name}",
                advice="IAM keeps a role's path for good: give the path that it has, or make a role of another name",
            )
        if before["trust"] != after["trust"]:
            _offer(partial(iam.update_assume_role_policy, RoleName=name, PolicyDocument=_text(after["trust"])))
        if any(before[key] != after[key] for key in ("description", "maxSessionDuration")):
            iam.update_role(
                RoleName=name, Description=after["description"], MaxSessionDuration=after["maxSessionDuration"]
            )
        _write_tags(iam, "role", {"RoleName": name}, before["tags"], after["tags"])


def write_role_policy(iam: Any, role: str, policy: str, after: Value | None) -> None:
    """Put or delete an inline policy of a role."""
    if after is None:
        iam.delete_role_policy(RoleName=role, PolicyName=policy)
    else:
        iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=_text(after["document"]))


def write_user_policy(iam: Any, user: str, policy: str, after: Value | None) -> None:
    """Put or delete an inline policy of a user."""
    if after is None:
        iam.delete_user_policy(UserName=user, PolicyName=policy)
    else:
        iam.put_user_policy(UserName=user, PolicyName=policy, PolicyDocument=_text(after["document"]))


def _create_role(iam: Any, name: str, after: Value) -> None:
    _offer(
        lambda: iam.create_role(
            RoleName=name,
            Path=after["path"],
            AssumeRolePolicyDocument=_text(after["trust"]),
            Description=after["description"],
            MaxSessionDuration=after["maxSessionDuration"],
            Tags=_tag_list(after["tags"]),
        )
    )
    wait_until(lambda: read_role(iam, name) is not None, f"role {name}")


def _delete_user(iam: Any, name: str) -> None:
    """First keys and password, so that access ends first; then, while IAM wants more gone before a user, the rest."""
    who = {"UserName": name}
    takes = (_take_keys, _take_policies_and_groups, _take_devices, _take_other_credentials)
    for take in takes:
        try:
            take(iam, who)
            iam.delete_user(**who)
            return
        except ClientError as error:
            if code(error) == "NoSuchEntity":
                return
            if code(error) != "DeleteConflict" or take is takes[-1]:
                raise


def _take_keys(iam: Any, who: Mapping[str, str]) -> None:
    for key in _pages(iam, "list_access_keys", "AccessKeyMetadata", **who):
        iam.delete_access_key(AccessKeyId=key["AccessKeyId"], **who)
    _absent_is_fine(partial(iam.delete_login_profile, **who))


def _take_policies_and_groups(iam: Any, who: Mapping[str, str]) -> None:
    for policy in _pages(iam, "list_user_policies", "PolicyNames", **who):
        iam.delete_user_policy(PolicyName=policy, **who)
    for attached in _pages(iam, "list_attached_user_policies", "AttachedPolicies", **who):
        iam.detach_user_policy(PolicyArn=attached["PolicyArn"], **who)
    for group in _pages(iam, "list_groups_for_user", "Groups", **who):
        iam.remove_user_from_group(GroupName=group["GroupName"], **who)


def _take_devices(iam: Any, who: Mapping[str, str]) -> None:
    for device in _pages(iam, "list_mfa_devices", "MFADevices", **who):
        iam.deactivate_mfa_device(SerialNumber=device["SerialNumber"], **who)
        if ":mfa/" in device["SerialNumber"]:
            _absent_is_fine(partial(iam.delete_virtual_mfa_device, SerialNumber=device["SerialNumber"]))


def _take_other_credentials(iam: Any, who: Mapping[str, str]) -> None:
    for key in _pages(iam, "list_ssh_public_keys", "SSHPublicKeys", **who):
        iam.delete_ssh_public_key(SSHPublicKeyId=key["SSHPublicKeyId"], **who)
    for certificate in _pages(iam, "list_signing_certificates", "Certificates", **who):
        iam.delete_signing_certificate(CertificateId=certificate["CertificateId"], **who)
    for credential in iam.list_service_specific_credentials(**who).get("ServiceSpecificCredentials", ()):
        iam.delete_service_specific_credential(
            ServiceSpecificCredentialId=credential["ServiceSpecificCredentialId"], **who
        )


def _write_tags(iam: Any, kind: str, who: Mapping[str, str], before: Value, after: Value) -> None:
    gone = [key for key in before if key not in after]
    new = {key: value for key, value in after.items() if before.get(key) != value}
    if gone:
        getattr(iam, f"untag_{kind}")(TagKeys=gone, **who)
    if new:
        getattr(iam, f"tag_{kind}")(Tags=_tag_list(new), **who)


def _get(call: Callable[..., Any], member: str, **arguments: str) -> Any:
    try:
        return call(**arguments)[member]
    except ClientError as error:
        if code(error) == "NoSuchEntity":
            return None
        raise


def _pages(iam: Any, operation: str, member: str, **arguments: str) -> Iterator[Any]:
    for page in iam.get_paginator(operation).paginate(**arguments):
        yield from page[member]


def _absent_is_fine(call: Callable[[], Any]) -> None:
    try:
        call()
    except ClientError as error:
        if code(error) != "NoSuchEntity":
            raise


def _offer(call: Callable[[], Any]) -> None:
    offer(call, "MalformedPolicyDocument", "principal")


def _document(found: Any) -> dict[str, Any]:
    # botocore decodes documents itself; a text is what other clients get, percent-encoded (IAM API reference).
    value = json.loads(unquote(found)) if isinstance(found, str) else found
    return dict(value)


def _text(document: Value) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


def _tags(found: Mapping[str, Any]) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in found.get("Tags", ())}


def _tag_list(tags: Value) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in tags.items()]
