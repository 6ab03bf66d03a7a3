"""From file and world to changes: what is wanted, what is there, and that making the changes makes them the same."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from rolecall.access.world import World
from rolecall.iam.documents import PolicyKind, parse_policy
from rolecall.iam.trust_policy import NO_CONDITIONS, Trusted, read_trust, trust_policy
from rolecall.manifest.load import ManifestError, parse
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.plan.actual import actual, scope_of
from rolecall.plan.plan import compare, ordered
from rolecall.plan.resources import Change, Kind, ResourceId
from rolecall.plan.simulate import with_changes
from rolecall.plan.values import same_value
from worlds import (
    ANY_POLICY,
    MAIN,
    NOW,
    ORGANISATION,
    OTHER,
    SSO_PATH,
    account,
    aws_auth,
    binding,
    cluster,
    cluster_arn,
    entry,
    role,
    role_arn,
    trust,
    user,
    user_arn,
    world,
    worlds,
)

SEED = f"""\
accounts: {{main: {{id: "{MAIN}"}}, other: {{id: "{OTHER}"}}}}
people: {{kubedemy: {{user: kubedemy, account: main, tags: {{owner: kubedemy}}}}}}
roles:
  admins: {{name: Kubedemy_EKS_KubernetesAdmin, account: main, assumableBy: [kubedemy]}}
clusters: {{kubedemy: {{account: main, region: eu-west-2}}}}
grants:
  - role: admins
    clusters: kubedemy
    username: "admin:{{{{AccessKeyID}}}}:{{{{SessionName}}}}"
    groups: [system:masters]
"""
K = cluster_arn()


def changes(text: str, found: World) -> dict[str, tuple[Any, Any]]:
    """Before and after of each change, by its kind and name."""
    return {
        f"{c.resource.kind} {c.resource.name}": (c.before, c.after) for c in compare(parse(text), found, NOW).changes
    }


def added(text: str, found: World) -> dict[str, Any]:
    result = changes(text, found)
    assert all(before is None for before, _ in result.values()), result
    return {name: after for name, (_, after) in result.items()}


def test_the_procedure_as_a_file() -> None:
    """The resources of the procedure (facts of the reference run), from one person, one role, one cluster."""
    arn = role_arn("Kubedemy_EKS_KubernetesAdmin")
    assert added(SEED, world(clusters=[cluster()])) == {
        "iam-user kubedemy": {"path": "/", "tags": {"owner": "kubedemy"}},
        "iam-role Kubedemy_EKS_KubernetesAdmin": {
            "path": "/",
            "description": "",
            "maxSessionDuration": 3600,
            "tags": {},
            "trust": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Principal": {"AWS": "arn:aws:iam::231144931069:user/kubedemy"},
                        "Action": "sts:AssumeRole",
                    }
                ],
            },
        },
        "iam-role-policy Kubedemy_EKS_KubernetesAdmin/rolecall-describe-clusters": {
            "document": {
                "Version": "2012-10-17",
                "Statement": [
                    {
                        "Effect": "Allow",
                        "Action": "eks:DescribeCluster",
                        "Resource": "arn:aws:eks:eu-west-2:231144931069:cluster/kubedemy",
                    }
                ],
            }
        },
        f"aws-auth-role {arn.lower()}": {
            "arn": arn,
            "username": "admin:{{AccessKeyID}}:{{SessionName}}",
            "groups": ["system:masters"],
        },
    }


BASE = SEED.split("roles:")[0]
CLUSTER = "clusters: {kubedemy: {account: main, region: eu-west-2}}\n"


@pytest.mark.parametrize(
    ("mapping", "grant", "expected"),
    [
        # The path is left out where STS leaves it out, and kept where EKS keeps it (EKS user guide, "Create access
        # entries"; aws-iam-authenticator v0.7, pkg/arn).
        ("aws-auth", "username: u", ("aws-auth-role arn:aws:iam::231144931069:role/r", {"arn": role_arn("r"), "username": "u", "groups": []})),
        ("crd", "username: u, groups: [g]", (None, {"arn": role_arn("r"), "username": "u", "groups": ["g"]})),
        ("access-entries", "username: u", (f"access-entry {role_arn('r', path='/team/')}", {"type": "STANDARD", "username": "u", "groups": [], "policies": []})),
        # The username that EKS gives where none is asked for.
        ("access-entries", "groups: [g]", (None, {"type": "STANDARD", "username": f"arn:aws:sts::{MAIN}:assumed-role/r/{{{{SessionName}}}}", "groups": ["g"], "policies": []})),
        ("aws-auth", "groups: [g]", (None, {"arn": role_arn("r"), "username": f"arn:aws:sts::{MAIN}:assumed-role/r/{{{{SessionName}}}}", "groups": ["g"]})),
        ("access-entries", "username: u, accessPolicies: [{policy: AmazonEKSViewPolicy, namespaces: [b, a, b]}]",
         (None, {"type": "STANDARD", "username": "u", "groups": [], "policies": [
             {"policyArn": "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy", "scope": "namespace", "namespaces": ["a", "b"]}]})),
        ("aws-auth", "nodeRole: true", (None, {"arn": role_arn("r"), "username": "system:node:{{EC2PrivateDNSName}}", "groups": ["system:bootstrappers", "system:nodes"]})),
        ("access-entries", "nodeRole: true", (None, {"type": "EC2_LINUX", "username": "system:node:{{EC2PrivateDNSName}}", "groups": ["system:nodes"], "policies": []})),
        ("access-entries", "nodeRole: true, type: FARGATE_LINUX", (None, {"type": "FARGATE_LINUX", "username": "system:node:{{SessionName}}", "groups": ["system:node-proxier", "system:nodes"], "policies": []})),
        # A cluster that reads access entries gets them unless the file says otherwise.
        (None, "username: u", (f"access-entry {role_arn('r', path='/team/')}", None)),
    ],
)  # fmt: skip
def test_the_mapping_of_a_role(mapping: str | None, grant: str, expected: tuple[str | None, Any]) -> None:
    where = f", mapping: {mapping}" if mapping else ""
    text = f"{BASE}roles: {{r: {{arn: '{role_arn('r', path='/team/')}'}}}}\n{CLUSTER}grants: [{{role: r, clusters: kubedemy, {grant}{where}}}]"
    found = {
        k: v
        for k, v in added(text, world(clusters=[cluster(mode="API_AND_CONFIG_MAP")])).items()
        if not k.startswith("iam-")
    }
    [(name, value)] = found.items()
    assert expected[0] in (None, name)
    assert expected[1] in (None, value)


def test_a_person_may_be_mapped_without_a_role() -> None:
    text = f"{BASE}{CLUSTER}grants: [{{person: kubedemy, clusters: kubedemy, groups: [g]}}]"
    found = added(text, world(clusters=[cluster()]))
    assert found[f"aws-auth-user {user_arn('kubedemy')}"]["username"] == user_arn("kubedemy")


def test_grants_of_one_principal_add_up_and_contradictions_are_told() -> None:
    grants = "grants:\n- {role: admins, clusters: kubedemy, username: u, groups: [a]}\n- {role: admins, clusters: 'kube*', username: u, groups: [b, a]}\n"
    text = SEED.split("grants:")[0] + grants
    found = added(text, world(clusters=[cluster()]))
    assert found[f"aws-auth-role {role_arn('kubedemy_eks_kubernetesadmin')}"]["groups"] == ["a", "b"]
    with pytest.raises(ManifestError, match=r"admins is 'v' on 'kubedemy' here, and 'u' at access\.yaml:7:3"):
        added(text.replace("username: u, groups: [b", "username: v, groups: [b"), world(clusters=[cluster()]))


class TestTime:
    def until(self, days: int) -> str:
        return (NOW + timedelta(days=days)).date().isoformat()

    def test_a_grant_whose_time_is_over_is_no_grant(self) -> None:
        future = SEED + f"    until: {self.until(1)}\n"
        assert added(future, world(clusters=[cluster()])) == added(SEED, world(clusters=[cluster()]))
        past = SEED + f"    until: {self.until(-1)}\n"
        assert [name.split()[0] for name in added(past, world(clusters=[cluster()]))] == ["iam-role", "iam-user"]

    def test_iam_itself_ends_a_membership(self) -> None:
        text = SEED.replace("[kubedemy]", f"[{{person: kubedemy, until: {self.until(2)}}}]")
        value = added(text, world(clusters=[cluster()]))["iam-role Kubedemy_EKS_KubernetesAdmin"]
        assert value["trust"]["Statement"][0]["Condition"] == {
            "DateLessThan": {"aws:CurrentTime": "2026-01-03T00:00:00Z"}
        }

    def test_a_role_whose_last_member_left_trusts_nobody(self) -> None:
        text = SEED.replace("[kubedemy]", f"[{{person: kubedemy, until: {self.until(-2)}}}]")
        value = added(text, world(clusters=[cluster()]))["iam-role Kubedemy_EKS_KubernetesAdmin"]
        assert value["trust"]["Statement"] == [
            {"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
        ]


CONDITIONS = [
    ("{mfa: true}", {"Bool": {"aws:MultiFactorAuthPresent": "true"}}),
    ("{mfa: true, mfaMaxAge: 900}", {"Bool": {"aws:MultiFactorAuthPresent": "true"}, "NumericLessThanEquals": {"aws:MultiFactorAuthAge": "900"}}),
    ("{sessionName: username}", {"StringEquals": {"sts:RoleSessionName": "${aws:username}"}}),
    ("{externalId: 'x:1'}", {"StringEquals": {"sts:ExternalId": "x:1"}}),
    ("{sourceIp: [203.0.113.0/24]}", {"IpAddress": {"aws:SourceIp": "203.0.113.0/24"}}),
]  # fmt: skip


@pytest.mark.parametrize(("conditions", "expected"), CONDITIONS)
def test_conditions_of_a_trust_policy(conditions: str, expected: dict[str, Any]) -> None:
    text = SEED.replace("assumableBy", f"conditions: {conditions}, assumableBy")
    value = added(text, world(clusters=[cluster()]))["iam-role Kubedemy_EKS_KubernetesAdmin"]
    assert value["trust"]["Statement"][0]["Condition"] == expected
    parse_policy(json.dumps(value["trust"]), PolicyKind.TRUST)


def test_source_identity_needs_a_second_action() -> None:
    """IAM user guide, "Monitor and control actions taken with assumed roles": sts:SetSourceIdentity in the trust."""
    text = SEED.replace("assumableBy", "conditions: {sourceIdentity: username}, assumableBy")
    statement = added(text, world(clusters=[cluster()]))["iam-role Kubedemy_EKS_KubernetesAdmin"]["trust"]["Statement"][
        0
    ]
    assert statement["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]
    assert statement["Condition"] == {"StringEquals": {"sts:SourceIdentity": "${aws:username}"}}


@given(
    st.lists(st.builds(Trusted, st.sampled_from([user_arn("a"), user_arn("b"), role_arn("c")]), st.sampled_from([None, NOW + timedelta(days=1), NOW + timedelta(days=2)])), max_size=5),
)  # fmt: skip
def test_what_is_written_as_a_trust_policy_is_read_back(members: list[Trusted]) -> None:
    document = trust_policy(members, NO_CONDITIONS, NOW)
    parse_policy(json.dumps(document), PolicyKind.TRUST)
    found = read_trust(document, NOW)
    assert found is not None
    assert trust_policy(found[0], found[1], NOW) == document


def test_groups_are_resolved_and_absent_people_are_out() -> None:
    text = f"""\
accounts: {{main: {{id: "{MAIN}"}}}}
people:
  ann: {{user: ann, account: main}}
  bob: {{arn: "{user_arn("bob", OTHER)}"}}
  cho: {{permissionSet: Platform, account: main}}
  dan: {{user: dan, account: main, state: absent}}
groups: {{all: [inner, ann], inner: [bob, cho, dan]}}
roles: {{r: {{account: main, assumableBy: [all, {{account: main}}]}}}}
"""
    name = "AWSReservedSSO_Platform_0123456789abcdef"
    there = account([user("dan")], [role(name, path=SSO_PATH)])
    found = changes(text, world([there]))
    assert found["iam-role r"][1]["trust"]["Statement"][0]["Principal"]["AWS"] == [
        user_arn("bob", OTHER), role_arn(name, path=SSO_PATH), user_arn("ann"), f"arn:aws:iam::{MAIN}:root",
    ]  # fmt: skip
    assert found["iam-user dan"] == ({"path": "/", "tags": {}}, None)


@pytest.mark.parametrize(
    ("text", "there", "sentence"),
    [
        ("people: {c: {permissionSet: Platform, account: main}}", account(), "the permission set 'Platform' has no role AWSReservedSSO_Platform_"),
        ("people: {c: {permissionSet: Plat, account: main}}", account(roles=[role("AWSReservedSSO_Platform_0123456789abcdef")]), "'Plat' has no role"),
        ("people: {c: {permissionSet: P, account: main}}", account(roles=[role("AWSReservedSSO_P_0123456789abcdef"), role("AWSReservedSSO_P_0123456789abcdff")]), "has 2 roles"),
        ("people: {c: {user: Ann, account: main}}", account([user("ann")]), "IAM has the user as 'ann'"),
        ("roles: {ADMINS: {account: main, assumableBy: []}}", account(roles=[role("Admins")]), "IAM has the role as 'Admins'"),
    ],
)  # fmt: skip
def test_names_that_stand_for_nothing(text: str, there: Any, sentence: str) -> None:
    found = compare(parse(f"accounts: {{main: {{id: '{MAIN}'}}}}\n{text}"), world([there]), NOW)
    [one] = found.unresolved
    assert sentence in one.what


class TestWhatIsLeftAlone:
    def there(self, **more: Any) -> World:
        admins = role(
            "Kubedemy_EKS_KubernetesAdmin",
            trust(user_arn("kubedemy")),
            tags={"a": "b"},
            description="d",
            max_session_duration=7200,
            **more,
        )
        return world(
            [account([user("kubedemy", tags={"owner": "kubedemy", "x": "y"}), user("other")], [admins])], [cluster()]
        )

    def test_what_the_file_leaves_open_stays(self) -> None:
        found = changes(SEED.replace(", tags: {owner: kubedemy}", ""), self.there())
        assert not any(name.startswith(("iam-user", "iam-role ")) for name in found)

    def test_inline_policies_are_kept_unless_the_file_lists_them(self) -> None:
        document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
        there = self.there(inline={"mine": document})
        assert not any("mine" in name for name in changes(SEED, there))
        listed = SEED.replace("assumableBy", "policies: {}, assumableBy")
        assert changes(listed, there)["iam-role-policy Kubedemy_EKS_KubernetesAdmin/mine"] == (
            {"document": document},
            None,
        )

    @pytest.mark.parametrize("unlisted", ["keep", "remove"])
    def test_mappings_of_others_unless_the_cluster_says_so(self, unlisted: str) -> None:
        others = aws_auth(
            [(role_arn("Else"), "e", ["g"]), (role_arn("Dead", path="/p/"), "d", [])], [(user_arn("u"), "u", [])]
        )
        text = SEED.replace("region: eu-west-2", f"region: eu-west-2, unlisted: {unlisted}")
        found = changes(
            text,
            world(
                [account()],
                [cluster(aws_auth=others, identity_mappings=(IdentityMapping("m", role_arn("else"), "x", ()),))],
            ),
        )
        removed = sorted(name for name, (_, after) in found.items() if after is None)
        assert removed == ([] if unlisted == "keep" else [
            f"aws-auth-role {role_arn('else')}", f"aws-auth-role {role_arn('dead', path='/p/')}", f"aws-auth-user {user_arn('u')}", "identity-mapping m",
        ])  # fmt: skip


def test_a_named_principal_loses_every_mapping_that_no_grant_gives() -> None:
    """Also in the places that the cluster's mappings are not written to, and the same role under another path."""
    arn = role_arn("Kubedemy_EKS_KubernetesAdmin")
    there = cluster(
        mode="API_AND_CONFIG_MAP",
        aws_auth=aws_auth([(arn, "a", [])], [(arn, "a2", [])]),
        entries=(entry(arn, "b"),),
        identity_mappings=(IdentityMapping("m", arn.lower(), "c", ()),),
    )
    found = changes(SEED.split("grants:")[0], world([account()], [there]))
    assert sorted(name.split()[0] for name, (_, after) in found.items() if after is None) == [
        "access-entry", "aws-auth-role", "aws-auth-user", "identity-mapping",
    ]  # fmt: skip


def test_a_shadowed_entry_is_left_while_what_shadows_it_stays() -> None:
    arn = role_arn("Kubedemy_EKS_KubernetesAdmin")
    kept = ("admin:{{AccessKeyID}}:{{SessionName}}", ["system:masters"])
    there = cluster(aws_auth=aws_auth([(arn, "old", []), (arn, *kept)], [(arn, "hidden", [])]))
    assert not any(name.startswith("aws-auth") for name in changes(SEED, world([account()], [there])))
    # Once the other changes, the hidden one goes, so that it never comes into force.
    found = changes(SEED.replace("system:masters", "devs"), world([account()], [there]))
    assert found[f"aws-auth-user {arn.lower()}"][1] is None


class TestBindings:
    text = SEED.replace(
        "groups: [system:masters]",
        "groups: [devs, 'ops:x']\n    bindings: [{clusterRole: view}, {role: r, namespace: n}]",
    )

    def test_each_group_gets_each_role(self) -> None:
        found = {k: v for k, v in added(self.text, world(clusters=[cluster()])).items() if "binding" in k}
        assert found["cluster-role-binding rolecall:view:devs"] == {
            "roleRef": {"kind": "ClusterRole", "name": "view"},
            "subjects": [{"kind": "Group", "name": "devs"}],
        }
        assert len(found) == 4
        assert sum(name.startswith("role-binding n/rolecall:r:") for name in found) == 2

    def test_one_that_says_the_same_is_kept_whatever_its_name(self) -> None:
        there = cluster(bindings=(binding("by-hand", "devs", "view"),), managed_bindings=frozenset({("", "by-hand")}))
        names = [name for name in added(self.text, world(clusters=[there])) if "devs" in name or "by-hand" in name]
        assert len(names) == 1

    def test_one_of_ours_that_no_grant_wants_goes_and_others_stay(self) -> None:
        there = cluster(
            bindings=(binding("rolecall:view:old", "old", "view"), binding("theirs", "old", "view")),
            managed_bindings=frozenset({("", "rolecall:view:old")}),
        )
        found = changes(self.text, world(clusters=[there]))
        assert [name for name, (_, after) in found.items() if after is None] == [
            "cluster-role-binding rolecall:view:old"
        ]

    def test_a_username_is_bound_where_there_is_no_group(self) -> None:
        text = SEED.replace('"admin:{{AccessKeyID}}:{{SessionName}}"', "ops").replace(
            "groups: [system:masters]", "bindings: [{clusterRole: view}]"
        )
        [value] = [v for k, v in added(text, world(clusters=[cluster()])).items() if "binding" in k]
        assert value["subjects"] == [{"kind": "User", "name": "ops"}]


def test_a_role_that_shall_be_absent_goes_with_its_policies_and_mappings() -> None:
    there = role("Kubedemy_EKS_KubernetesAdmin", inline={"p": ANY_POLICY})
    text = SEED.replace("assumableBy: [kubedemy]", "state: absent")
    found = changes(text, world([account(roles=[there])], [cluster(aws_auth=aws_auth([(there.arn, "a", [])]))]))
    assert sorted(name.split()[0] for name, (_, after) in found.items() if after is None) == [
        "aws-auth-role",
        "iam-role",
        "iam-role-policy",
    ]


def test_what_was_not_read_is_left_out_and_told() -> None:
    planned = compare(parse(SEED), world(clusters=[cluster(unread=("may not list bindings",))]), NOW)
    assert planned.unread == {K: "may not list bindings"}
    assert {change.resource.kind for change in planned.changes} == {Kind.IAM_USER, Kind.IAM_ROLE, Kind.IAM_ROLE_POLICY}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds(), st.sampled_from([NOW, NOW + timedelta(days=60), NOW + timedelta(days=365)]))
def test_once_the_changes_are_made_there_are_none(found: World, now: Any) -> None:
    loaded = parse(ORGANISATION)
    planned = compare(loaded, found, now)
    after = with_changes(found, planned.changes)
    again = compare(loaded, after, now)
    assert again.changes == ()
    # And what the world then holds is what the file wants, but for mappings that another one hides.
    have = actual(after, scope_of(again.names))
    for resource, value in again.want.values.items():
        if resource.place not in again.unread:
            there = have[resource]
            arns = {"arn": value["arn"]} if "arn" in value and value["arn"].lower() == there["arn"].lower() else {}
            assert same_value(resource.kind, {**there, **arns}, value)
    # The same in the order in which they would be made, where one resource may change in two steps.
    stepwise = with_changes(found, ordered(planned))
    assert compare(loaded, stepwise, now).changes == ()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_changes_turned_round_bring_the_world_back(found: World) -> None:
    planned = compare(parse(ORGANISATION), found, NOW)
    back = [Change("", c.resource, c.after, c.before) for c in planned.changes]
    restored = with_changes(with_changes(found, planned.changes), back)
    scope = scope_of(planned.names)
    before, after = actual(found, scope), actual(restored, scope)
    assert before.keys() == after.keys()
    assert all(same_value(resource.kind, before[resource], after[resource]) for resource in before)


def test_identifiers_are_of_the_cluster() -> None:
    planned = compare(parse(SEED), world(clusters=[cluster()]), NOW)
    assert ResourceId(Kind.AWS_AUTH_ROLE, K, role_arn("kubedemy_eks_kubernetesadmin")) in planned.want.values
