"""The actions by which somebody becomes another principal or raises their own permissions: a table.

Sources, by row: service authorization reference, "Actions, resources, and condition keys" of AWS IAM, Amazon EKS, AWS
IAM Identity Center and the services named (which resource an action is about); IAM user guide, "Permissions boundaries
for IAM entities" and "Grant a user permissions to pass a role to an AWS service"; EKS user guide, "Associate access
policies with access entries", "Grant users access to Kubernetes with an external OIDC provider", "Learn how EKS Pod
Identity grants pods access to AWS services"; Rhino Security Labs, "AWS IAM privilege escalation methods".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class About(Enum):
    """What kind of resource an action is about, as the resource part of its ARN."""

    ROLE = "role/*"
    USER = "user/*"
    GROUP = "group/*"
    POLICY = "policy/*"
    INSTANCE_PROFILE = "instance-profile/*"
    OIDC_PROVIDER = "oidc-provider/*"
    SAML_PROVIDER = "saml-provider/*"
    CLUSTER = "cluster/NAME"
    ACCESS_ENTRY = "access-entry/NAME/*"
    ANYTHING = "*"


@dataclass(frozen=True, slots=True)
class Power:
    """One action.

    :param action: as AWS writes it.
    :param gives: what a principal that may call it can do, as the end of a sentence that begins with "can".
    :param on_itself: whether it raises somebody who may do it to themselves alone. A new key for oneself does not.
    """

    action: str
    about: About
    gives: str
    on_itself: bool = True


_TRUST = "change who may assume the role"
_ANY_PERMISSION = "give it any permission"
_NO_DENY = "take a policy off it, and with it what the policy denies"
_BOUNDARY = "lift the permissions boundary that limits it"
_SIGN_IN = "sign in as the user"
_VERSION = "change what the policy allows, for everyone who has it"
_IDP = "let the users of an identity provider assume the roles that trust it"
_CODE = "run commands as the role of what is already running"
_SSO = "give permissions through IAM Identity Center"

POWERS = (
    # Roles.
    Power("iam:UpdateAssumeRolePolicy", About.ROLE, _TRUST),
    Power("iam:PutRolePolicy", About.ROLE, _ANY_PERMISSION),
    Power("iam:AttachRolePolicy", About.ROLE, _ANY_PERMISSION),
    Power("iam:DeleteRolePolicy", About.ROLE, _NO_DENY),
    Power("iam:DetachRolePolicy", About.ROLE, _NO_DENY),
    Power("iam:PutRolePermissionsBoundary", About.ROLE, _BOUNDARY),
    Power("iam:DeleteRolePermissionsBoundary", About.ROLE, _BOUNDARY),
    Power("iam:CreateRole", About.ROLE, "create a role that trusts anybody, also one of a name that aws-auth maps"),
    Power("iam:TagRole", About.ROLE, "change the tags that conditions of policies compare"),
    Power("iam:PassRole", About.ROLE, "hand the role to an AWS service, and act as the role through it"),
    Power("iam:AddRoleToInstanceProfile", About.INSTANCE_PROFILE, "have an EC2 instance act as another role"),
    # Users and groups.
    Power("iam:CreateUser", About.USER, "create a user, also one of a name that a trust policy or aws-auth has", False),
    Power("iam:CreateAccessKey", About.USER, _SIGN_IN, False),
    Power("iam:UpdateAccessKey", About.USER, "switch on a key of the user that was switched off", False),
    Power("iam:CreateLoginProfile", About.USER, _SIGN_IN, False),
    Power("iam:UpdateLoginProfile", About.USER, _SIGN_IN, False),
    Power("iam:EnableMFADevice", About.USER, "give the codes of the user's MFA device", False),
    Power("iam:PutUserPolicy", About.USER, _ANY_PERMISSION),
    Power("iam:AttachUserPolicy", About.USER, _ANY_PERMISSION),
    Power("iam:DeleteUserPolicy", About.USER, _NO_DENY),
    Power("iam:DetachUserPolicy", About.USER, _NO_DENY),
    Power("iam:PutUserPermissionsBoundary", About.USER, _BOUNDARY),
    Power("iam:DeleteUserPermissionsBoundary", About.USER, _BOUNDARY),
    Power("iam:TagUser", About.USER, "change the tags that conditions of policies compare"),
    Power("iam:AddUserToGroup", About.GROUP, "add a user to the group, and so give them its permissions"),
    Power("iam:RemoveUserFromGroup", About.GROUP, "take a user out of the group, and so lift what it denies"),
    Power("iam:PutGroupPolicy", About.GROUP, _ANY_PERMISSION),
    Power("iam:AttachGroupPolicy", About.GROUP, _ANY_PERMISSION),
    Power("iam:DeleteGroupPolicy", About.GROUP, _NO_DENY),
    Power("iam:DetachGroupPolicy", About.GROUP, _NO_DENY),
    # Managed policies.
    Power("iam:CreatePolicyVersion", About.POLICY, _VERSION),
    Power("iam:SetDefaultPolicyVersion", About.POLICY, _VERSION),
    # Identity providers.
    Power("iam:CreateOpenIDConnectProvider", About.OIDC_PROVIDER, _IDP),
    Power("iam:AddClientIDToOpenIDConnectProvider", About.OIDC_PROVIDER, _IDP),
    Power("iam:UpdateOpenIDConnectProviderThumbprint", About.OIDC_PROVIDER, _IDP),
    Power("iam:CreateSAMLProvider", About.SAML_PROVIDER, _IDP),
    Power("iam:UpdateSAMLProvider", About.SAML_PROVIDER, _IDP),
    Power("sso:PutInlinePolicyToPermissionSet", About.ANYTHING, _SSO),
    Power("sso:AttachManagedPolicyToPermissionSet", About.ANYTHING, _SSO),
    Power("sso:AttachCustomerManagedPolicyReferenceToPermissionSet", About.ANYTHING, _SSO),
    Power("sso:CreateAccountAssignment", About.ANYTHING, _SSO),
    Power("identitystore:CreateGroupMembership", About.ANYTHING, _SSO),
    # What runs with a role already.
    Power("lambda:UpdateFunctionCode", About.ANYTHING, _CODE),
    Power("ssm:SendCommand", About.ANYTHING, _CODE),
    Power("ssm:StartSession", About.ANYTHING, _CODE),
    Power("ecs:ExecuteCommand", About.ANYTHING, _CODE),
    Power("codebuild:UpdateProject", About.ANYTHING, _CODE),
    Power("cloudformation:UpdateStack", About.ANYTHING, _CODE),
    # Clusters.
    Power("eks:CreateAccessEntry", About.CLUSTER, "let any IAM principal into the cluster, as any username and groups"),
    Power("eks:UpdateAccessEntry", About.ACCESS_ENTRY, "change the username and groups of an access entry"),
    Power("eks:AssociateAccessPolicy", About.ACCESS_ENTRY, "make any access entry administrator of the cluster"),
    Power("eks:UpdateClusterConfig", About.CLUSTER, "change whether the cluster reads access entries and aws-auth"),
    Power("eks:AssociateIdentityProviderConfig", About.CLUSTER, "let in users and groups of any OIDC provider"),
    Power("eks:CreatePodIdentityAssociation", About.CLUSTER, "have pods of the cluster act as a role that EKS may use"),
    Power("eks:UpdatePodIdentityAssociation", About.ANYTHING, "have pods of a cluster act as another role"),
)
