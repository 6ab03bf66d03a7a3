"""Every guard refusing, with the sentence that a person reads, and what it lets pass."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from rolecall.access.principals import GONE
from rolecall.access.read_world import Reading
from rolecall.access.world import World
from rolecall.manifest.load import parse
from rolecall.plan.actual import role_value
from rolecall.plan.findings import Allowance, AllowanceError, Finding
from rolecall.plan.guards import CODES
from rolecall.plan.plan import Plan
from rolecall.plan.plan_file import to_json
from rolecall.plan.planning import make_plan
from rolecall.plan.recheck import recheck
from rolecall.plan.render_effects import effect_lines
from rolecall.plan.resources import Change, Kind, ResourceId
from rolecall.plan.simulate import with_changes
from worlds import (
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

ACCOUNTS = f"accounts: {{main: {{id: '{MAIN}'}}}}\n"
CLUSTERS = "clusters: {k: {account: main, region: eu-west-2, name: kubedemy}}\n"
ANN = "people: {ann: {user: ann, account: main}}\n"
ADMINS = "roles: {admins: {account: main, assumableBy: [ann]}}\n"
MASTERS = ["system:masters"]
ROLE = role_arn("admins")


def plan(text: str, found: World, *allow: str) -> Plan:
    return make_plan(parse(text), found, NOW, allowances=[Allowance.parse(one, CODES) for one in allow])


def findings(text: str, found: World) -> dict[str, Finding]:
    return {finding.code: finding for finding in plan(text, found).findings}


def sentence(text: str, found: World, code: str) -> str:
    there = findings(text, found)
    assert code in there, sorted(there)
    assert there[code].refuses
    return f"{there[code]}; {there[code].advice}"


def grants(*more: str) -> str:
    return (
        ACCOUNTS
        + ANN
        + ADMINS
        + CLUSTERS
        + "grants:\n"
        + "".join(f"- {{role: admins, clusters: k, {one}}}\n" for one in more)
    )


class TestLockout:
    mapped = aws_auth(
        [(ROLE, "admin", MASTERS), (role_arn("other"), "o", MASTERS)], [(user_arn("ann"), "ann", MASTERS)]
    )
    there = account([user("ann")], [role("admins", trust(user_arn("ann"))), role("other", trust(user_arn("ann")))])

    def world(self, caller: str, data: dict[str, str] | None = None, **more: Any) -> World:
        return world([self.there], [cluster(aws_auth=data or self.mapped, **more)], caller)

    def test_the_caller_would_lose_access(self) -> None:
        text = ACCOUNTS + ANN + CLUSTERS
        assert sentence(text, self.world(user_arn("ann")), "lockout-caller") == (
            "you (arn:aws:iam::231144931069:user/ann) would lose access to cluster k; "
            "let somebody else apply it, or keep your own access in the file"
        )
        assert "lockout-caller" not in findings(text, self.world(ROLE))

    def test_the_caller_would_no_longer_be_administrator(self) -> None:
        text = grants("username: a, groups: [devs]")
        assert sentence(text, self.world(ROLE), "lockout-caller").startswith(
            f"you ({ROLE}) would no longer be administrator of cluster k; "
        )

    def test_a_group_that_is_bound_keeps_the_caller_administrator(self) -> None:
        text = grants("username: a, groups: [devs], bindings: [{clusterRole: cluster-admin}]")
        assert "lockout-caller" not in findings(text, self.world(ROLE))

    def test_an_access_policy_keeps_the_caller_administrator(self) -> None:
        text = grants("username: a, mapping: access-entries, accessPolicies: [{policy: AmazonEKSClusterAdminPolicy}]")
        assert "lockout-caller" not in findings(text, self.world(ROLE, mode="API_AND_CONFIG_MAP"))
        narrow = text.replace("AmazonEKSClusterAdminPolicy", "AmazonEKSViewPolicy")
        assert "lockout-caller" in findings(narrow, self.world(ROLE, mode="API_AND_CONFIG_MAP"))

    def test_the_caller_would_be_deleted(self) -> None:
        text = ACCOUNTS + "people: {ann: {user: ann, account: main, state: absent}}\n"
        assert sentence(text, self.world(user_arn("ann")), "lockout-caller").startswith(
            "the user ann, which you are, would be deleted; "
        )

    def test_the_caller_of_the_cluster_s_own_account_counts(self) -> None:
        found = replace(self.world(user_arn("far", OTHER)), callers={MAIN: user_arn("ann")})
        assert "lockout-caller" in findings(ACCOUNTS + ANN + CLUSTERS, found)

    def test_the_person_behind_the_session_counts(self) -> None:
        """AWS: a role session is of whoever assumed it, and ends; its trust policy decides who assumes it again."""
        there = account([user("ann"), user("me")], [role("ops", trust(user_arn("me")))])
        mapped = cluster(aws_auth=aws_auth([(role_arn("ops"), "o", MASTERS)]))
        text = ACCOUNTS + ANN + CLUSTERS + "roles: {ops: {account: main, assumableBy: [ann]}}\n"
        text += "grants: [{role: ops, clusters: k, username: o, groups: ['system:masters']}]\n"
        found = world([there], [mapped], role_arn("ops"))
        assert sentence(text, found, "lockout-caller") == (
            f"{user_arn('me')} could no longer become role ops, as which you get into cluster k; "
            "let somebody else apply it, or keep your own access in the file"
        )
        # Two may be the caller: profiles or the session's name tell which of them it is.
        both = account([user("ann"), user("me")], [role("ops", trust(user_arn("me"), user_arn("ann")))])
        found = world([both], [mapped], role_arn("ops"))
        assert "who may be you, could no longer become role ops" in sentence(text, found, "lockout-caller")
        assert "lockout-caller" not in findings(text, replace(found, sessions={MAIN: "ann"}))
        assert "lockout-caller" in findings(text, replace(found, sessions={MAIN: "me"}))
        assert "lockout-caller" not in findings(text, replace(found, behind={MAIN: user_arn("ann")}))
        assert "lockout-caller" in findings(text, replace(found, behind={MAIN: user_arn("me")}, sessions={MAIN: "ann"}))

    def test_a_role_on_the_way_to_the_caller_s_role_counts(self) -> None:
        """From one account through a role of another, as ``roleArn`` of an account has it."""
        allow = {
            "Version": "2012-10-17",
            "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": "*"}],
        }
        central = account([user("me", OTHER, inline={"a": json.dumps(allow)})], [], OTHER)
        first = role("first", trust(user_arn("me", OTHER)), inline={"a": allow})
        second = role("second", trust(f"arn:aws:iam::{MAIN}:root"))
        mapped = cluster(aws_auth=aws_auth([(role_arn("second"), "o", MASTERS), (ROLE, "admin", MASTERS)]))
        found = world(
            [central, account([user("ann")], [first, second, role("admins")])], [mapped], user_arn("me", OTHER)
        )
        found = replace(found, callers={OTHER: user_arn("me", OTHER), MAIN: role_arn("second")}, behind={MAIN: user_arn("me", OTHER)})  # fmt: skip
        text = ACCOUNTS + ANN + CLUSTERS
        assert "lockout-caller" not in findings(text, found)
        gone = text + "roles: {first: {account: main, state: absent}}\n"
        assert "into cluster k" in sentence(gone, found, "lockout-caller")
        closed = text + "roles: {first: {account: main, assumableBy: [ann]}}\n"
        assert "into cluster k" in sentence(closed, found, "lockout-caller")
        less = text + f"roles: {{first: {{account: main, policies: {{}}, trustPolicy: {json.dumps(trust(user_arn('me', OTHER)))}}}}}\n"  # fmt: skip
        assert "into cluster k" in sentence(less, found, "lockout-caller")

    def test_a_user_that_gets_in_through_a_role_counts(self) -> None:
        there = account([user("ann"), user("me")], [role("ops", trust(user_arn("me"))), role("admins")])
        mapped = cluster(aws_auth=aws_auth([(role_arn("ops"), "o", MASTERS), (ROLE, "admin", MASTERS)]))
        text = ACCOUNTS + ANN + CLUSTERS + "roles: {ops: {account: main, assumableBy: [ann]}}\n"
        text += "grants: [{role: ops, clusters: k, username: o, groups: ['system:masters']}]\n"
        found = world([there], [mapped], user_arn("me"))
        assert "would have no way left into cluster k" in sentence(text, found, "lockout-caller")

    def test_an_entry_that_outlives_its_role_counts_for_nobody(self) -> None:
        gone = role("gone", trust(user_arn("ann")))
        left = replace(entry(gone.arn, "x", policies={"AmazonEKSClusterAdminPolicy": ()}), principal_id=gone.role_id)
        found = world([account([user("ann")], [gone])], [cluster(mode="API", entries=(left,))])
        deleted = Change("1", ResourceId(Kind.IAM_ROLE, MAIN, "gone"), role_value(gone), None)
        assert "lockout-last-admin" in {one.code for one in recheck([deleted], Reading(found)).refusals}

    def test_nobody_would_be_administrator(self) -> None:
        one = aws_auth([(ROLE, "admin", MASTERS)])
        text = grants("username: a, groups: [devs]")
        assert sentence(text, self.world("", one), "lockout-last-admin") == (
            f"cluster k would have no administrator left; now it has {ROLE}; "
            "grant a role cluster-admin, or keep one of them"
        )
        assert "lockout-last-admin" not in findings(text, self.world(""))

    def test_a_role_that_trusts_nobody_is_no_administrator(self) -> None:
        """The mapping stays, and yet nobody can be that role any more."""
        one = aws_auth([(ROLE, "admin", MASTERS)])
        text = grants("username: admin, groups: [system:masters], bindings: [{clusterRole: view}]").replace(
            "[ann]", "[]"
        )
        assert "lockout-last-admin" in findings(text, self.world("", one))

    def test_the_hidden_creator_is_an_administrator(self) -> None:
        one = aws_auth([(ROLE, "admin", MASTERS)])
        text = grants("username: a, groups: [devs]")
        assert "lockout-last-admin" not in findings(text, self.world("", one, creator=user_arn("ann")))

    @pytest.mark.parametrize("mode", ["CONFIG_MAP", "API_AND_CONFIG_MAP"])
    def test_nodes_would_be_lost(self, mode: str) -> None:
        node = role_arn("NodeRole")
        there = world(
            [account(roles=[role("NodeRole")])],
            [cluster(mode=mode, aws_auth=aws_auth([(node, "system:node:{{EC2PrivateDNSName}}", ["system:bootstrappers", "system:nodes"])]))],
        )  # fmt: skip
        text = ACCOUNTS + f"roles: {{node: {{arn: '{node}'}}}}\n" + CLUSTERS
        assert sentence(text, there, "lockout-nodes") == (
            f"worker nodes with {node} would no longer be nodes of cluster k; write a grant with nodeRole: true for it"
        )
        kept = text + "grants: [{role: node, clusters: k, nodeRole: true}]"
        assert "lockout-nodes" not in findings(kept, there)
        if mode == "API_AND_CONFIG_MAP":
            # Moved to an access entry, they stay nodes.
            assert plan(kept, there).changes

    def test_nodes_by_access_entry_would_be_lost(self) -> None:
        node = role_arn("node")
        there = world(
            [account(roles=[role("node")])],
            [
                cluster(
                    mode="API",
                    entries=(entry(node, "system:node:{{EC2PrivateDNSName}}", ["system:nodes"], "EC2_LINUX"),),
                )
            ],
        )
        assert "lockout-nodes" in findings(ACCOUNTS + f"roles: {{node: {{arn: '{node}'}}}}\n" + CLUSTERS, there)


class TestTrust:
    def test_an_account_as_a_whole(self) -> None:
        text = ACCOUNTS + "roles: {admins: {account: main, assumableBy: [{account: main}]}}"
        assert sentence(text, world(), "wide-trust") == (
            f"access.yaml:2:9: anyone whom account {MAIN} allows could assume role admins: its policies decide, not this file; "
            "name people or groups in assumableBy"
        )
        # What is there already is no reason to refuse something else.
        there = account(roles=[role("admins", trust(f"arn:aws:iam::{MAIN}:root"))])
        assert "wide-trust" not in findings(text.replace("assumableBy", "description: x, assumableBy"), world([there]))

    def test_everybody(self) -> None:
        text = (
            ACCOUNTS
            + "roles: {admins: {account: main, trustPolicy: {Version: 2012-10-17, Statement: [{Effect: Allow, Principal: '*', Action: 'sts:AssumeRole'}]}}}"
        )
        assert sentence(text, world(), "wide-trust").startswith(
            "access.yaml:2:9: everybody, in any AWS account, could assume role admins; "
        )

    def test_a_document_that_names_others(self) -> None:
        text = ACCOUNTS + ANN + (
            "roles: {admins: {account: main, trustPolicy: {Version: 2012-10-17, Statement: [{Effect: Allow, "
            f"Principal: {{AWS: ['{user_arn('ann')}', '{user_arn('eve')}'], Service: ec2.amazonaws.com}}, Action: 'sts:AssumeRole'}}]}}}}}}"
        )  # fmt: skip
        assert sentence(text, world(), "raw-trust-policy") == (
            f"access.yaml:3:9: the written-out trust policy of role admins lets in {MAIN}/user/eve, service ec2.amazonaws.com, "
            "whom the file does not name; use assumableBy, or list them in people"
        )
        assert "raw-trust-policy" not in findings(
            text.replace("user/eve", "user/ann").replace(", Service: ec2.amazonaws.com", ""), world()
        )

    def test_through_a_role_that_trusts_others(self) -> None:
        hop = role("hop", trust(user_arn("eve"), user_arn("ann")))
        text = (
            ACCOUNTS
            + f"people: {{hop: {{arn: '{hop.arn}'}}, ann: {{user: ann, account: main}}}}\nroles: {{admins: {{account: main, assumableBy: [hop]}}}}"
        )
        assert sentence(text, world([account(roles=[hop])]), "trust-through-role") == (
            f"access.yaml:3:9: {MAIN}/user/eve could assume role admins through {hop.arn}, which trusts them; "
            f"list {hop.arn} in roles with its own assumableBy, or trust people instead"
        )
        named = account(roles=[role("hop", trust(user_arn("ann")))])
        assert "trust-through-role" not in findings(text, world([named]))

    def test_the_role_of_a_permission_set_is_a_person(self) -> None:
        saml = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": f"arn:aws:iam::{MAIN}:saml-provider/x"}, "Action": "sts:AssumeRoleWithSAML"}]}  # fmt: skip
        there = account(roles=[role("AWSReservedSSO_P_0123456789abcdef", saml, path=SSO_PATH)])
        text = (
            ACCOUNTS
            + "people: {p: {permissionSet: P, account: main}}\nroles: {admins: {account: main, assumableBy: [p]}}"
        )
        assert plan(text, world([there])).refusals == ()

    def test_across_accounts_both_sides_must_allow(self) -> None:
        far = user("far", OTHER)
        text = (
            ACCOUNTS
            + f"people: {{far: {{arn: '{far.arn}'}}}}\nroles: {{admins: {{account: main, assumableBy: [far]}}}}"
        )
        found = findings(text, world([account(), account([far], ident=OTHER)]))["cannot-assume"]
        assert not found.refuses
        assert f"{found}; {found.advice}" == (
            f"access.yaml:3:9: {far.arn} cannot assume role admins: their own policies do not allow it; "
            f"allow sts:AssumeRole on {ROLE} in their policies; across accounts both sides must allow"
        )
        allowed = json.dumps(
            {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": ROLE}]}
        )
        there = world([account(), account([replace(far, inline={"p": allowed})], ident=OTHER)])
        assert "cannot-assume" not in findings(text, there)

    @pytest.mark.parametrize("conditions", ["", "conditions: {externalId: abc}, "])
    def test_break_glass_without_mfa(self, conditions: str) -> None:
        text = ACCOUNTS + ANN + f"roles: {{fire: {{account: main, breakGlass: true, {conditions}assumableBy: [ann]}}}}"
        assert sentence(text, world(), "break-glass-without-mfa") == (
            "access.yaml:3:9: the break-glass role fire can be assumed without MFA; write conditions: {mfa: true}"
        )
        safe = text.replace("breakGlass: true", "breakGlass: true").replace(
            conditions + "assumableBy", "conditions: {mfa: true}, assumableBy"
        )
        assert "break-glass-without-mfa" not in findings(safe, world())

    def test_a_break_glass_role_is_held_to_an_hour(self) -> None:
        text = (
            ACCOUNTS
            + ANN
            + "roles: {fire: {account: main, breakGlass: true, conditions: {mfa: true}, assumableBy: [ann]}}"
        )
        there = account([user("ann")], [role("fire", trust(user_arn("ann")), max_session_duration=43200)])
        [change] = [
            c
            for c in plan(text, world([there])).changes
            if c.after and "maxSessionDuration" in c.after and c.after["maxSessionDuration"] == 3600
        ][-1:]
        assert change.resource.name == "fire"

    def test_a_break_glass_session_that_outlives_the_emergency(self) -> None:
        text = (
            ACCOUNTS
            + ANN
            + "roles: {fire: {account: main, breakGlass: true, maxSessionDuration: 7200, conditions: {mfa: true}, assumableBy: [ann]}}"
        )
        assert sentence(text, world(), "break-glass-session") == (
            "access.yaml:3:9: sessions of the break-glass role fire could last 7200 seconds; write 3600, or leave it out"
        )

    def test_a_trust_policy_that_iam_would_not_take(self) -> None:
        people = "".join(f"  person-{n}: {{user: a-rather-long-user-name-{n}, account: main}}\n" for n in range(80))
        text = (
            ACCOUNTS
            + "people:\n"
            + people
            + f"roles: {{admins: {{account: main, assumableBy: [{', '.join(f'person-{n}' for n in range(80))}]}}}}"
        )
        found = sentence(text, world(), "policy-length")
        assert "characters; IAM takes 4096 at most; split the role" in found
        few = text.replace(", ".join(f"person-{n}" for n in range(80)), ", ".join(f"person-{n}" for n in range(40)))
        warning = findings(few, world())["policy-length"]
        assert "IAM takes 2048 unless the account's quota was raised" in warning.text
        assert not warning.refuses

    def test_inline_policies_that_iam_would_not_take(self) -> None:
        clusters = "clusters:\n" + "".join(
            f"  k{n}: {{account: main, region: eu-west-2, name: a-long-cluster-name-{n:03}}}\n" for n in range(160)
        )
        text = ACCOUNTS + ANN + ADMINS + clusters + "grants: [{role: admins, clusters: 'k*', groups: [g]}]"
        states = [cluster(f"a-long-cluster-name-{n:03}") for n in range(160)]
        assert sentence(text, world(clusters=states), "policy-length").startswith(
            "the inline policies of role admins have 11"
        )

    def test_the_path_of_a_role_is_for_good(self) -> None:
        text = ACCOUNTS + ANN + "roles: {admins: {account: main, path: /x/, assumableBy: [ann]}}"
        assert sentence(text, world([account(roles=[role("admins")])]), "role-path") == (
            "access.yaml:3:9: the path of role admins cannot change from / to /x/; leave path out, or take another name"
        )

    def test_a_role_with_managed_policies_is_not_deleted(self) -> None:
        text = ACCOUNTS + "roles: {admins: {account: main, state: absent}}"
        there = account(roles=[role("admins", attached=("arn:aws:iam::aws:policy/ReadOnlyAccess",))])
        assert sentence(text, world([there]), "role-in-use") == (
            "role admins cannot be deleted while arn:aws:iam::aws:policy/ReadOnlyAccess is attached to it; detach it first"
        )


class TestMapping:
    there = account([user("ann")], [role("admins", trust(user_arn("ann")))])

    def world(self, **more: Any) -> World:
        return world([self.there], [cluster(**more)])

    def test_system_masters(self) -> None:
        text = grants("username: a, groups: [system:masters]")
        assert sentence(text, self.world(), "system-masters") == (
            f"access.yaml:6:3: {ROLE} would get system:masters on cluster k, which no RBAC rule limits; "
            "give a group of your own and bindings: [{clusterRole: cluster-admin}]"
        )
        assert "system-masters" not in findings(text, self.world(aws_auth=aws_auth([(ROLE, "old", MASTERS)])))

    @pytest.mark.parametrize(
        ("mode", "mapping", "where", "other"),
        [
            ("API", "aws-auth", "aws-auth", "access-entries"),
            ("CONFIG_MAP", "access-entries", "access entries", "aws-auth"),
        ],
    )
    def test_a_mapping_that_is_not_read(self, mode: str, mapping: str, where: str, other: str) -> None:
        text = grants(f"username: a, groups: [g], mapping: {mapping}")
        assert sentence(text, self.world(mode=mode), "mapping-not-read") == (
            f"access.yaml:6:3: cluster k has authentication mode {mode}, which does not read {where}; write mapping: {other}"
        )

    def test_a_principal_that_does_not_exist(self) -> None:
        text = (
            ACCOUNTS
            + f"people: {{bob: {{arn: '{user_arn('bob')}'}}}}\nroles: {{admins: {{account: main, assumableBy: [bob]}}}}"
        )
        assert sentence(text, world([account()]), "no-such-principal") == (
            "access.yaml:2:10: arn:aws:iam::231144931069:user/bob does not exist; correct the ARN, or make the principal first"
        )
        elsewhere = account([user("bob", path="/team/")])
        assert sentence(text, world([elsewhere]), "no-such-principal") == (
            "access.yaml:2:10: arn:aws:iam::231144931069:user/bob does not exist under this path; "
            "write arn:aws:iam::231144931069:user/team/bob"
        )
        unused = findings(text.partition("roles:")[0], world([account()]))
        assert not unused["no-such-principal"].refuses

    def test_a_principal_that_the_plan_makes_exists(self) -> None:
        assert "no-such-principal" not in findings(
            grants("username: a, groups: [system:x]"), world([account()], [cluster()])
        )

    def test_a_mapping_behind_another(self) -> None:
        text = grants(
            "username: a, groups: [system:x], mapping: access-entries",
            "username: b, groups: [system:x], mapping: aws-auth",
        )
        assert sentence(text, self.world(mode="API_AND_CONFIG_MAP"), "shadowed-mapping") == (
            f"access.yaml:7:3: the mapping of {ROLE} on cluster k would never be used: its access entry {ROLE} speaks first; "
            "keep one mapping of a principal"
        )

    def test_a_group_that_nothing_is_bound_to(self) -> None:
        text = grants("username: a, groups: [devs, ops]")
        ops = (binding("x", "ops", "view"),)
        assert sentence(text, self.world(bindings=ops), "group-without-binding") == (
            f"access.yaml:6:3: no binding on cluster k gives anything to group devs of {ROLE}; "
            "add bindings to the grant, or correct the group's name"
        )
        bound = text.replace("ops]", "ops], bindings: [{clusterRole: view}]")
        assert "group-without-binding" not in findings(bound, self.world())

    @pytest.mark.parametrize(
        ("grant", "words"),
        [
            ("username: 'system:x'", "The username must not begin with system:"),
            ("username: '{{SessionName}}'", "The username {{SessionName}} is invalid, a colon must precede {{SessionName}}"),
            ("username: 'a:{{AccessKeyID}}'", "The username a:{{AccessKeyID}} is invalid, only {{SessionName}} and {{SessionNameRaw}} can be templated"),
            ("groups: [system:masters]", "The kubernetes group name system:masters is invalid, it cannot start with system:"),
        ],
    )  # fmt: skip
    def test_what_eks_would_refuse(self, grant: str, words: str) -> None:
        assert sentence(grants(grant), self.world(mode="API"), "eks-rejects") == (
            f"access.yaml:6:3: EKS would refuse the access entry of {ROLE} on cluster k: {words}; "
            "use mapping: aws-auth for what EKS refuses in entries"
        )

    def test_nodes_of_another_account_cannot_have_an_entry(self) -> None:
        text = (
            ACCOUNTS
            + f"roles: {{n: {{arn: '{role_arn('n', OTHER)}'}}}}\n"
            + CLUSTERS
            + "grants: [{role: n, clusters: k, nodeRole: true}]"
        )
        assert "Access entries of type EC2_LINUX must be in the account of the cluster" in sentence(
            text, self.world(mode="API"), "eks-rejects"
        )

    def test_an_entry_of_a_principal_that_was_deleted_since(self) -> None:
        stale = replace(entry(ROLE, "a", ["g"]), principal_id=GONE)
        found = findings(grants("username: a, groups: [g]"), self.world(mode="API", entries=(stale,)))[
            "entry-of-gone-principal"
        ]
        assert not found.refuses
        assert (
            str(found)
            == f"access.yaml:6:3: the access entry of {ROLE} on cluster k is of a principal that was deleted since"
        )

    def test_a_binding_of_somebody_else_with_our_name(self) -> None:
        text = grants("username: a, groups: [devs], bindings: [{clusterRole: view}]")
        theirs = (binding("rolecall:view:devs", "devs", "edit"),)
        assert sentence(text, self.world(bindings=theirs), "binding-of-others") == (
            "access.yaml:6:3: the binding rolecall:view:devs on cluster k exists, is not rolecall's, and says otherwise; "
            "rename or delete it"
        )
        assert "binding-of-others" not in findings(
            text, self.world(bindings=(binding("rolecall:view:devs", "devs", "view"),))
        )

    @pytest.mark.parametrize(
        ("grant", "words"),
        [
            (
                'username: "a:{{SesionName}}", groups: [system:x]',
                "'{{SesionName}}' in 'a:{{SesionName}}' is not replaced: did you mean {{SessionName}}?",
            ),
            (
                'username: a, groups: ["team:{{SessionName}}"]',
                "anyone who assumes the role chooses the session name, and with it the group team:{{SessionName}}: "
                "write the group out",
            ),
            (
                "username: a, groups: [system:nodes]",
                "a node needs both the group system:nodes and a username system:node:NAME; this entry has only one: "
                "write username: system:node:{{EC2PrivateDNSName}} and the groups system:bootstrappers, system:nodes",
            ),
        ],
    )
    def test_an_entry_that_would_not_do_what_it_says(self, grant: str, words: str) -> None:
        found = sentence(grants(grant), self.world(), "never-matches")
        assert found == f"aws-auth of cluster k: mapRoles line 1 has no effect as written: {words}; "

    def test_what_was_wrong_with_aws_auth_before_is_told(self) -> None:
        data = {
            "mapRoles": f"- roleARN: {role_arn('x')}\n  username: x\n- rolearn: {role_arn('y', path='/p/')}\n  username: z\n"
        }
        found = [
            f
            for f in plan(grants("username: a, groups: [system:x]"), self.world(aws_auth=data)).findings
            if f.code == "aws-auth-problem"
        ]
        assert [f.refuses for f in found] == [False, False]
        assert all("aws-auth of cluster k, mapRoles line" in f.text for f in found)

    def test_an_aws_auth_that_cannot_be_read_is_left_alone(self) -> None:
        text = grants("username: a, groups: [system:x]")
        found = plan(text, self.world(aws_auth={"mapRoles": "- rolearn: [\n"}))
        assert "cluster k could not be read, so nothing there changes" in str(
            next(f for f in found.refusals if f.code == "not-read")
        )
        assert {c.resource.place for c in found.changes} == {MAIN}

    def test_a_cluster_that_was_not_read(self) -> None:
        found = sentence(grants("username: a"), self.world(unread=("may not list rolebindings",)), "not-read")
        assert found == (
            "cluster k could not be read, so nothing there changes: may not list rolebindings; "
            "fix access to it, or skip it with --allow not-read:k"
        )


class TestAllow:
    there = world([account([user("ann")], [role("admins", trust(user_arn("ann")))])], [cluster()])
    text = grants("username: a, groups: [system:masters]")

    @pytest.mark.parametrize("allow", ["system-masters", "system-masters:admins", "system-masters:k"])
    def test_a_refusal_is_overridden_by_name(self, allow: str) -> None:
        found = plan(self.text, self.there, allow)
        assert found.refusals == ()
        assert [f.allowed for f in found.findings if f.code == "system-masters"] == [True]

    @pytest.mark.parametrize("allow", ["system-masters:others", "wide-trust"])
    def test_another_name_overrides_nothing(self, allow: str) -> None:
        assert [f.code for f in plan(self.text, self.there, allow).refusals] == ["system-masters"]

    def test_a_name_that_no_guard_has(self) -> None:
        with pytest.raises(AllowanceError, match="there is no guard 'everything'"):
            Allowance.parse("everything", CODES)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_no_world_upsets_a_guard(found: World) -> None:
    made = make_plan(parse(ORGANISATION), found, NOW)
    assert {f.code for f in made.findings} <= set(CODES)
    assert to_json(made)["changes"] is not None
    assert all(f.text for f in made.findings)


def test_limited_to_some_places() -> None:
    text = grants("username: a, groups: [system:x]")
    found = make_plan(parse(text), world([account()], [cluster()]), NOW, places=frozenset({cluster_arn()}))
    assert {c.resource.place for c in found.changes} == {cluster_arn()}


class TestNamesInsideAClusterAreThere:
    """Kubernetes takes a binding to a role that does not exist; EKS takes a namespace that does not exist."""

    there = account([user("ann")], [role("admins", trust(user_arn("ann")))])

    def world(self, **more: Any) -> World:
        return world([self.there], [cluster(namespaces=frozenset({"default", "web", "dev-1"}), **more)])

    def test_a_cluster_role(self) -> None:
        text = grants("username: a, groups: [devs], bindings: [{clusterRole: veiw}]")
        assert sentence(text, self.world(), "no-such-role") == (
            "access.yaml:6:3: there is no ClusterRole veiw on cluster k, so a binding to it has no effect; "
            "did you mean view?"
        )
        assert "group-without-binding" in findings(text, self.world())
        right = grants("username: a, groups: [devs], bindings: [{clusterRole: view}]")
        assert not findings(right, self.world())

    def test_a_role_and_a_namespace(self) -> None:
        text = grants("username: a, groups: [devs], bindings: [{role: writer, namespace: wbe}]")
        found = findings(text, self.world())
        assert found["no-such-role"].text.startswith("there is no Role writer in namespace wbe on cluster k")
        assert found["no-such-namespace"].text == "there is no namespace wbe on cluster k"
        assert found["no-such-namespace"].advice == "did you mean web?"
        assert found["no-such-namespace"].about == ("wbe", "k")
        assert not found["no-such-namespace"].refuses, "Kubernetes refuses that one step, and others do not wait for it"

    def test_a_namespace_of_an_access_policy(self) -> None:
        def text(namespace: str) -> str:
            return grants(f"mapping: access-entries, accessPolicies: [{{policy: AmazonEKSViewPolicy, namespaces: [{namespace}]}}]")  # fmt: skip

        api = self.world(mode="API")
        assert findings(text("wbe"), api)["no-such-namespace"].advice == "did you mean web?"
        assert "no-such-namespace" not in findings(text("web"), api)
        assert "no-such-namespace" not in findings(text("dev-*"), api)
        assert not findings(text("new-*"), api)["no-such-namespace"].refuses

    def test_what_was_not_read_is_not_taken_for_absent(self) -> None:
        text = grants("username: a, groups: [devs], bindings: [{clusterRole: view, namespace: wbe}]")
        found = findings(text, world([self.there], [cluster()]))
        assert "is not known: you may not list namespaces" in found["no-such-namespace"].text
        assert not found["no-such-namespace"].refuses

    def test_what_is_so_already_is_not_said_again(self) -> None:
        made = binding("rolecall:veiw:devs", "devs", "veiw")
        data = aws_auth([(ROLE, "a", ["devs"])])
        found = self.world(bindings=(made,), managed_bindings=frozenset({("", made.name)}), aws_auth=data)
        text = grants("username: a, groups: [devs], bindings: [{clusterRole: veiw}]")
        assert "no-such-role" not in findings(text, found)

    def test_the_last_administrator_is_told_of_the_name(self) -> None:
        data = aws_auth([(ROLE, "admin", MASTERS)])
        text = grants("username: a, groups: [admins], bindings: [{clusterRole: cluster-admn}]")
        assert "group admins is bound to ClusterRole cluster-admn, which does not exist there" in sentence(
            text, self.world(aws_auth=data), "lockout-last-admin"
        )

    def test_several_clusters_are_one_finding(self) -> None:
        two = (
            ACCOUNTS + ANN + ADMINS
            + "clusters: {k: {account: main, region: eu-west-2, name: kubedemy}, k2: {account: main, region: eu-west-2}}\n"
            + "grants: [{role: admins, clusters: [k, k2], username: a, groups: [devs], bindings: [{clusterRole: veiw}]}]\n"
        )  # fmt: skip
        found = world([self.there], [cluster(), cluster("k2")])
        assert findings(two, found)["no-such-role"].text.startswith("there is no ClusterRole veiw on clusters k, k2")


class TestPeopleInOneAccountAndRolesInAnother:
    """Both sides must allow (IAM user guide, "Cross-account policy evaluation logic")."""

    text = (
        f"accounts: {{people: {{id: '{OTHER}'}}, main: {{id: '{MAIN}'}}}}\n"
        "people: {ann: {user: ann, account: people}, bob: {user: bob, account: people}}\n"
        "roles: {admins: {account: main, assumableBy: [ann, bob]}}\n"
    )

    def test_rolecall_gives_the_right_to_assume(self) -> None:
        made = plan(self.text, world([account(), account(ident=OTHER)]))
        policies = [one for one in made.changes if one.resource.kind is Kind.IAM_USER_POLICY]
        assert [one.resource.name for one in policies] == ["ann/rolecall-assume-roles", "bob/rolecall-assume-roles"]
        assert (policies[0].after or {})["document"]["Statement"] == [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": ROLE}
        ]
        assert not made.findings

    def test_nothing_is_left_to_change_afterwards(self) -> None:
        found = world([account(), account(ident=OTHER)])
        after = with_changes(found, plan(self.text, found).changes)
        assert plan(self.text, after).changes == ()
        less = self.text.replace("assumableBy: [ann, bob]", "assumableBy: [ann]")
        assert [one.resource.name for one in plan(less, after).changes if one.after is None] == [
            "bob/rolecall-assume-roles"
        ]

    def test_who_has_the_right_already_gets_no_policy(self) -> None:
        allow = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]}
        ann = user("ann", OTHER, inline={"own": json.dumps(allow)})
        made = plan(self.text, world([account(), account([ann, user("bob", OTHER)], ident=OTHER)]))
        assert [one.resource.name for one in made.changes if one.resource.kind is Kind.IAM_USER_POLICY] == [
            "bob/rolecall-assume-roles"
        ]

    def test_the_warning_stays_as_long_as_it_is_true_one_for_a_role(self) -> None:
        text = self.text.replace("account: people}", "account: people, assumeRoles: false}")
        found = world([account(), account(ident=OTHER)])
        after = with_changes(found, plan(text, found).changes)
        made = plan(text, after)
        assert made.changes == ()
        assert [str(one) for one in made.findings] == [
            f"access.yaml:3:9: {user_arn('ann', OTHER)}, {user_arn('bob', OTHER)} cannot assume role admins: "
            "their own policies do not allow it"
        ]
        assert not made.refusals

    def test_a_role_that_asks_for_a_source_identity(self) -> None:
        text = self.text.replace("[ann, bob]}", "[ann], conditions: {sourceIdentity: username}}")
        made = plan(text, world([account(), account(ident=OTHER)]))
        (policy,) = [one for one in made.changes if one.resource.kind is Kind.IAM_USER_POLICY]
        assert (policy.after or {})["document"]["Statement"][0]["Action"] == ["sts:AssumeRole", "sts:SetSourceIdentity"]
        assert not made.findings

    def test_a_user_that_goes_takes_its_policy_along_and_the_journal_has_it(self) -> None:
        found = world([account(), account(ident=OTHER)])
        after = with_changes(found, plan(self.text, found).changes)
        gone = plan(self.text.replace("user: bob, account: people", "user: bob, account: people, state: absent"), after)
        assert ResourceId(Kind.IAM_USER_POLICY, OTHER, "bob/rolecall-assume-roles") in {
            c.resource for c in gone.changes
        }

    def test_no_user_has_more_than_iam_takes(self) -> None:
        roles = "".join(f"  r{n}: {{account: main, assumableBy: [ann]}}\n" for n in range(60))
        text = self.text[: self.text.index("roles:")] + "roles:\n" + roles
        assert "policy-length" in {one.code for one in plan(text, world([account(), account(ident=OTHER)])).refusals}


class TestPrincipalsThatCanTakeMore:
    """EKS user guide, "Associate access policies with access entries"; IAM user guide, actions on policies."""

    def found(self, document: dict[str, Any], group: str = "devs", role_name: str = "view") -> dict[str, Finding]:
        there = account([user("ann")], [role("admins", trust(user_arn("ann")), inline={"own": document})])
        text = grants(f"username: a, groups: [{group}], bindings: [{{clusterRole: {role_name}}}]")
        text = text.replace("assumableBy: [ann]", "assumableBy: [ann], describeClusters: false")
        return findings(text, world([there], [cluster(mode="API_AND_CONFIG_MAP")]))

    def allow(self, *actions: str, **more: Any) -> dict[str, Any]:
        statement = {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}
        return {"Version": "2012-10-17", "Statement": [statement]}

    @pytest.mark.parametrize(
        "actions", [("eks:CreateAccessEntry", "eks:AssociateAccessPolicy"), ("eks:*",), ("iam:PutRolePolicy",), ("*",)]
    )
    def test_a_grant_that_is_not_administrator_has_a_finding(self, actions: tuple[str, ...]) -> None:
        finding = self.found(self.allow(*actions))["raises-itself"]
        assert finding.text.startswith(
            f"{ROLE} can take more than it is granted: inline policy own of role admins lets it"
        )
        assert finding.about == ("admins", "k")
        assert not finding.refuses

    def test_others_have_none(self) -> None:
        assert "raises-itself" not in self.found(self.allow("s3:GetObject"))
        assert "raises-itself" not in self.found(self.allow("*"), "admins", "cluster-admin")
        other = f"arn:aws:eks:eu-west-2:{MAIN}:cluster/other"
        assert "raises-itself" not in self.found(self.allow("eks:CreateAccessEntry", Resource=other))

    def test_conditions_make_it_uncertain(self) -> None:
        document = self.allow("eks:*", Condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}})
        assert " may let it " in self.found(document)["raises-itself"].text

    def test_the_effect_names_the_policy(self) -> None:
        there = account([user("ann")], [role("admins", trust(user_arn("ann")), inline={"own": self.allow("eks:*")})])
        text = grants("username: a, groups: [devs], bindings: [{clusterRole: view}]")
        made = plan(text, world([there], [cluster(mode="API_AND_CONFIG_MAP")]))
        lines = [*effect_lines(made.effects)]
        assert f"  ! {ROLE} can take more than it is granted" in lines
        assert any(line.startswith("      inline policy own of role admins lets it eks:") for line in lines)


def test_a_date_that_is_over_is_said() -> None:
    """A slip in the year shows as a loss, and here as what it is."""
    there = account([user("ann")], [role("admins", trust(user_arn("ann")))])
    text = grants("username: a, groups: [devs], until: 2020-12-31, bindings: [{clusterRole: view}]")
    found = findings(text, world([there], [cluster(aws_auth=aws_auth([(ROLE, "a", ["devs"])]))]))["date-over"]
    assert found.text == "the grant of admins ended on 2020-12-31T00:00:00Z: this date is over"
    assert not found.refuses
    assert "date-over" not in findings(text, world([there], [cluster()]))
    text = ACCOUNTS + ANN + "roles: {admins: {account: main, assumableBy: [{person: ann, until: 2020-12-31}]}}\n"
    assert "ann could assume role admins until 2020-12-31" in findings(text, world([there]))["date-over"].text
