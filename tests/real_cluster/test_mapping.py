"""Who gets in, on the real kube-apiserver: every way of mapping, how soon a change is in force, and a broken map.

Sources: EKS user guide, "Grant IAM users and roles access to Kubernetes APIs"; aws-iam-authenticator v0.7 README.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from kubectl_steps import create_cluster
from people import ACCOUNT, People, within
from raw_cluster import Cluster

CONFIG_MAPS = "/api/v1/namespaces/default/configmaps"
AWS_AUTH = "/api/v1/namespaces/kube-system/configmaps/aws-auth"
MAPPINGS = "/apis/iamauthenticator.k8s.aws/v1alpha1/iamidentitymappings"
PRINCIPAL_ID = "sigs.k8s.io/aws-iam-authenticator/principalId"


@pytest.fixture(scope="module")
def people(lab: Any) -> People:
    create_cluster(lab.environment(), "c")
    return People(lab.home, Cluster(lab.home), "c")


def entry(key: str, arn: str, username: str, group: str = "team") -> str:
    return f"- {key}: {arn}\n  username: {username}\n  groups: [{group}]\n"


def test_the_creator_is_an_administrator_that_no_map_shows(people: People) -> None:
    people.cluster.send("DELETE", AWS_AUTH)
    status, found = people.cluster.send("GET", AWS_AUTH)
    assert (status, found["reason"]) == (404, "NotFound")


def test_who_is_not_mapped_is_nobody(people: People) -> None:
    status, found = people.whoami(people.user("stranger"))
    assert (status, found["reason"]) == (401, "Unauthorized")


def test_map_roles(people: People) -> None:
    role = people.role("Mapped")
    people.write_aws_auth(mapRoles=entry("rolearn", role, "dev:{{AccessKeyID}}:{{SessionName}}"))
    login = people.assume(role)
    within(lambda: people.whoami(login)[0] == 201)
    status, user = people.whoami(login)
    assert status == 201
    assert user["username"] == f"dev:{login.credentials.access_key_id}:rita"
    assert user["groups"] == ["team", "system:authenticated"]
    extra = {key: value for key, (value,) in user["extra"].items()}
    assert extra["arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/Mapped/rita"
    assert extra["canonicalArn"] == role
    assert user["uid"] == f"aws-iam-authenticator:{ACCOUNT}:{extra['principalId']}"


def test_a_removed_entry_is_in_force(people: People) -> None:
    role = people.role("Removed")
    people.write_aws_auth(mapRoles=entry("rolearn", role, "gone"))
    login = people.assume(role)
    within(lambda: people.whoami(login)[0] == 201)
    people.write_aws_auth(mapRoles="")
    within(lambda: people.whoami(login)[0] == 401)


def test_map_users_and_map_accounts(people: People) -> None:
    ann, other = people.user("ann"), people.user("other")
    people.write_aws_auth(
        mapUsers=entry("userarn", f"arn:aws:iam::{ACCOUNT}:user/ann", "ann"), mapAccounts=f'- "{ACCOUNT}"\n'
    )
    within(lambda: people.whoami(ann)[0] == 201)
    assert people.whoami(ann)[1]["username"] == "ann"
    name = people.whoami(other)[1]
    assert (name["username"], name["groups"]) == (f"arn:aws:iam::{ACCOUNT}:user/other", ["system:authenticated"])


def test_a_broken_section_is_reported_and_takes_nothing_else_with_it(people: People, lab: Any) -> None:
    """EKS saves what is good (``pkg/mapper/configmap``, ``loadConfigMap``), and so does a cluster of the lab."""
    bob = people.user("bob")
    good = entry("userarn", f"arn:aws:iam::{ACCOUNT}:user/bob", "bob")
    people.write_aws_auth(mapRoles="- rolearn: [\n", mapUsers=good)
    within(lambda: people.whoami(bob)[0] == 201)
    assert "cluster c: aws-auth mapRoles line" in (Path(lab.home) / "lab.log").read_text()


def test_identity_mappings(people: People) -> None:
    role = people.role("Custom")
    login = people.assume(role)
    found = {
        "apiVersion": "iamauthenticator.k8s.aws/v1alpha1",
        "kind": "IAMIdentityMapping",
        "metadata": {"name": "custom"},
        "spec": {"arn": role, "username": "custom:{{SessionName}}", "groups": ["viewers"]},
    }
    status, created = people.cluster.send("POST", MAPPINGS, found)
    assert status == 201, created
    within(lambda: people.whoami(login)[0] == 201)
    assert people.whoami(login)[1]["username"] == "custom:rita"
    assert people.cluster.send("DELETE", f"{MAPPINGS}/custom")[0] == 200
    within(lambda: people.whoami(login)[0] == 401)


def test_aggregated_roles_are_filled(people: People) -> None:
    """Without a controller-manager nobody would; the rules are those of the embedded cluster."""
    for name in ("view", "edit", "admin"):
        status, found = people.cluster.send("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")
        assert status == 200
        assert found["rules"], name
    role = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "more", "labels": {"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
        "rules": [{"apiGroups": ["more.example.com"], "resources": ["things"], "verbs": ["get"]}],
    }
    assert people.cluster.send("POST", "/apis/rbac.authorization.k8s.io/v1/clusterroles", role)[0] == 201

    def is_in(name: str) -> bool:
        found = people.cluster.send("GET", f"/apis/rbac.authorization.k8s.io/v1/clusterroles/{name}")[1]
        return any(rule.get("apiGroups") == ["more.example.com"] for rule in found["rules"])

    within(lambda: is_in("view") and is_in("edit") and is_in("admin"))


def test_access_entries_and_their_policies(people: People) -> None:
    role = people.role("Entry")
    login = people.assume(role)
    people.eks.update_cluster_config(name="c", accessConfig={"authenticationMode": "API_AND_CONFIG_MAP"})
    people.eks.create_access_entry(clusterName="c", principalArn=role, username="entry:{{SessionName}}")
    within(lambda: people.whoami(login)[0] == 201)
    assert people.may(login, "GET", CONFIG_MAPS) == 403
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
    scope = {"type": "namespace", "namespaces": ["default"]}
    people.eks.associate_access_policy(clusterName="c", principalArn=role, policyArn=policy, accessScope=scope)
    assert people.may(login, "GET", CONFIG_MAPS) == 200
    assert people.may(login, "GET", CONFIG_MAPS.replace("default", "kube-system")) == 403
    assert people.may(login, "GET", CONFIG_MAPS.replace("configmaps", "secrets")) == 403
    people.eks.disassociate_access_policy(clusterName="c", principalArn=role, policyArn=policy)
    assert people.may(login, "GET", CONFIG_MAPS) == 403


def test_an_impersonated_principal_id_reaches_no_policy(people: People) -> None:
    """ADR 5: nobody may choose the id that access policies are keyed on, not even an administrator."""
    role = people.role("Victim")
    login = people.assume(role)
    people.eks.create_access_entry(clusterName="c", principalArn=role)
    policy = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
    people.eks.associate_access_policy(
        clusterName="c", principalArn=role, policyArn=policy, accessScope={"type": "cluster"}
    )
    within(lambda: people.may(login, "GET", CONFIG_MAPS) == 200)
    user = people.whoami(login)[1]
    (principal,) = user["extra"][PRINCIPAL_ID]
    uid = f"aws-iam-authenticator:{role.split(':')[4]}:{principal}"
    # k8s.io/apiserver v0.36 impersonation.go decodes the key after it has put it into lower case: %49 is a capital I.
    for key in (PRINCIPAL_ID, PRINCIPAL_ID.replace("I", "%49")):
        header = f"Impersonate-Extra-{key.replace('/', '%2F')}"
        for more in ({}, {"Impersonate-Uid": uid}):
            headers = {"Impersonate-User": "mallory", header: principal, **more}
            status, found = people.cluster.send("GET", CONFIG_MAPS, headers=headers)
            assert (status, found["reason"]) == (403, "Forbidden"), headers


def test_a_service_account_needs_nobody(people: People) -> None:
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 600}}
    status, found = people.cluster.send("POST", path, body)
    assert status == 201, found
    own = {"Authorization": f"Bearer {found['status']['token']}"}
    status, found = people.cluster.send("POST", "/apis/authentication.k8s.io/v1/selfsubjectreviews", {
        "apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview",
    }, headers=own)  # fmt: skip
    assert status == 201
    assert found["status"]["userInfo"]["username"] == "system:serviceaccount:default:default"


def test_a_service_account_assumes_a_role(people: People) -> None:
    """IAM roles for service accounts: AWS verifies the token with the keys of the cluster's issuer."""
    issuer = people.eks.describe_cluster(name="c")["cluster"]["identity"]["oidc"]["issuer"]
    audience = "sts.amazonaws.com"
    provider = people.iam.create_open_id_connect_provider(Url=issuer, ClientIDList=[audience])
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": provider["OpenIDConnectProviderArn"]},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {
            "StringEquals": {
                f"{issuer.removeprefix('https://')}:sub": "system:serviceaccount:default:default",
                f"{issuer.removeprefix('https://')}:aud": audience,
            }
        },
    }
    trust = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    role = people.iam.create_role(RoleName="Pod", AssumeRolePolicyDocument=trust)["Role"]["Arn"]
    path = "/api/v1/namespaces/default/serviceaccounts/default/token"
    spec = {"audiences": [audience], "expirationSeconds": 600}
    body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
    status, found = people.cluster.send("POST", path, body)
    assert status == 201, found
    assumed = people.sts.assume_role_with_web_identity(
        RoleArn=role, RoleSessionName="pod", WebIdentityToken=found["status"]["token"]
    )
    assert assumed["SubjectFromWebIdentityToken"] == "system:serviceaccount:default:default"
