"""Credentials and profiles that are not in a lab; tools ask for them before they delete a user or a role.

A lab has no console, no CodeCommit, no web server certificates and no instances. So its answers are those of an account
in which there is no such thing: an empty list, or NoSuchEntity. Creating one is an operation that the lab does not
know. Source: IAM API reference, DeleteLoginProfile, ListSSHPublicKeys, ListSigningCertificates,
ListServiceSpecificCredentials, ListInstanceProfilesForRole.
"""

from __future__ import annotations

from typing import NoReturn

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam.owners import ROLE, USER, the_user


def _no_login_profile(call: Call, params: Params) -> NoReturn:
    user = the_user(call, params)
    raise AwsError("NoSuchEntity", f"Login Profile for User {user['name']} cannot be found.", 404)


@action("iam", "GetLoginProfile", resource=USER.resource, context=USER.tags)
def get_login_profile(call: Call, params: Params) -> Result:
    _no_login_profile(call, params)


@action("iam", "DeleteLoginProfile", resource=USER.resource, context=USER.tags)
def delete_login_profile(call: Call, params: Params) -> Result:
    _no_login_profile(call, params)


@action("iam", "ListSSHPublicKeys", resource=USER.resource, context=USER.tags)
def list_ssh_public_keys(call: Call, params: Params) -> Result:
    the_user(call, params)
    return {"SSHPublicKeys": []}


@action("iam", "ListSigningCertificates", resource=USER.resource, context=USER.tags)
def list_signing_certificates(call: Call, params: Params) -> Result:
    the_user(call, params)
    return {"Certificates": []}


@action("iam", "ListServiceSpecificCredentials", resource=USER.resource, context=USER.tags)
def list_service_specific_credentials(call: Call, params: Params) -> Result:
    the_user(call, params)
    return {"ServiceSpecificCredentials": []}


@action("iam", "ListInstanceProfilesForRole", resource=ROLE.resource, context=ROLE.tags)
def list_instance_profiles_for_role(call: Call, params: Params) -> Result:
    ROLE.get(call, params["RoleName"])
    return {"InstanceProfiles": []}
