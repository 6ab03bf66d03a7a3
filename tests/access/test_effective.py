"""Who gets into which cluster as whom, and what a difference between two worlds means for people."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.access.effective import EffectiveAccess, Way
from rolecall.access.effects import effects, effects_of
from rolecall.access.principals import GONE
from rolecall.access.world import ClusterState, World
from rolecall.iam.account import Account, IamRole, IamUser
from rolecall.mapping.access_entries import AccessEntry, AssociatedPolicy, EntryType, ScopeType
from rolecall.mapping.resolve import AuthenticationMode
from rolecall.rbac.rules import Binding, PolicyRule, Subject

NOW = datetime(2026, 1, 2, tzinfo=UTC)
A, B = "111122223333", "444455556666"
CLUSTER = f"arn:aws:eks:eu-west-2:{A}:cluster/c"
ADMIN_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
VIEW_POLICY = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSViewPolicy"
EVERYTHING = (PolicyRule(("*",), ("*",), ("*",)),)
READ = (PolicyRule(("get",), ("",), ("pods",)),)


def user(name: str, account: str = A) -> IamUser:
    return IamUser(name, f"arn:aws:iam::{account}:user/{name}", f"AIDA{name}")


def trusting(*names: str, condition: dict[str, Any] | None = None, kind: str = "AWS") -> str:
    statement = {"Effect": "Allow", "Principal": {kind: list(names)}, "Action": "sts:AssumeRole"}
    return json.dumps(
        {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}
    )


def role(name: str, trust: str, path: str = "/", account: str = A) -> IamRole:
    return IamRole(name, f"arn:aws:iam::{account}:role{path}{name}", trust, f"AROA{name}", path)


ALICE, BOB = user("alice"), user("bob")
OPS = role("Ops", trusting(ALICE.arn), "/team/")
NODE = role("Node", trusting("ec2.amazonaws.com", kind="Service"))


def account(*roles: IamRole, users: tuple[IamUser, ...] = (ALICE, BOB)) -> Account:
    return Account(A, "aws", {one.name: one for one in users}, {one.name: one for one in roles})


def map_roles(*lines: tuple[str, str, str]) -> dict[str, str]:
    return {
        "mapRoles": "".join(
            f"- rolearn: {arn}\n  username: {name}\n  groups: [{groups}]\n" for arn, name, groups in lines
        )
    }


def cluster(**parts: Any) -> ClusterState:
    return ClusterState(CLUSTER, "c", A, "eu-west-2", **parts)


def world(found: Account, *clusters: ClusterState) -> World:
    return World(NOW, {found.id: found}, {one.arn: one for one in clusters})


def ways(found: World) -> list[Way]:
    return sorted(EffectiveAccess(found).ways(), key=lambda way: (way.person, way.principal))


OPS_LINE = (f"arn:aws:iam::{A}:role/Ops", "ops:{{SessionName}}", 'ops, "{{AccountID}}"')


def test_a_person_through_a_role_and_a_line_of_aws_auth() -> None:
    state = cluster(aws_auth=map_roles(OPS_LINE))
    (way,) = ways(world(account(OPS), state))
    assert (way.person, way.principal, way.reach.roles) == (ALICE.arn, OPS.arn, (OPS.arn,))
    # The path of the role is not in what the cluster compares; what the session knows stands as its placeholder.
    assert (way.user.username, way.user.groups) == ("ops:{{SessionName}}", ("ops", A))
    assert way.user.source == "aws-auth mapRoles line 1"


def test_a_role_line_with_a_path_lets_nobody_in() -> None:
    line = (OPS.arn, "ops", "ops")
    assert ways(world(account(OPS), cluster(aws_auth=map_roles(line)))) == []


def test_an_access_entry_wins_and_gives_its_policies() -> None:
    policies = (AssociatedPolicy(ADMIN_POLICY), AssociatedPolicy(VIEW_POLICY, ScopeType.NAMESPACE, ("dev-*",)))
    entry = AccessEntry(OPS.arn, OPS.role_id, EntryType.STANDARD, "entry:{{SessionName}}", ("g",), policies)
    state = cluster(
        mode=AuthenticationMode.API_AND_CONFIG_MAP, entries=(entry,), aws_auth=map_roles(OPS_LINE), roles={}
    )
    (way,) = ways(world(account(OPS), state))
    assert (way.user.username, way.user.groups, way.user.admin) == ("entry:{{SessionName}}", ("g",), True)
    assert [(p.text, p.admin) for p in way.user.permissions] == [
        ("AmazonEKSClusterAdminPolicy", True),
        ("AmazonEKSViewPolicy in dev-*", False),
    ]


def test_an_entry_of_a_role_that_was_made_anew_lets_nobody_in() -> None:
    entry = AccessEntry(OPS.arn, GONE, EntryType.STANDARD, "entry", ("g",))
    assert ways(world(account(OPS), cluster(mode=AuthenticationMode.API, entries=(entry,)))) == []


def test_users_mapped_by_themselves_and_by_their_account() -> None:
    data = {
        "mapUsers": f"- userarn: {ALICE.arn}\n  username: alice\n  groups: [system:masters]\n",
        "mapAccounts": f'- "{A}"\n',
    }
    found = {way.person: way.user for way in ways(world(account(), cluster(aws_auth=data)))}
    assert (found[ALICE.arn].username, found[ALICE.arn].admin) == ("alice", True)
    # aws-iam-authenticator: an account that is mapped gives the ARN as name and no group.
    assert (found[BOB.arn].username, found[BOB.arn].groups, found[BOB.arn].permissions) == (BOB.arn, (), ())


def test_what_bindings_give_to_groups_users_and_sessions() -> None:
    bindings = (
        Binding("ops", "", "ClusterRole", "cluster-admin", (Subject("Group", "ops"),)),
        Binding("read", "dev", "Role", "reader", (Subject("User", "ops:alice"), Subject("User", "other"))),
        Binding("own", "dev", "ClusterRole", "cluster-admin", (Subject("Group", "ops"),)),
        Binding("all", "", "ClusterRole", "basic", (Subject("Group", "system:authenticated"),)),
    )
    roles = {("", "cluster-admin"): EVERYTHING, ("dev", "reader"): READ, ("", "basic"): READ}
    (way,) = ways(world(account(OPS), cluster(aws_auth=map_roles(OPS_LINE), roles=roles, bindings=bindings)))
    assert [(p.text, p.by, p.admin) for p in way.user.permissions] == [
        ("ClusterRole cluster-admin", "ClusterRoleBinding ops to group ops", True),
        ("ClusterRole cluster-admin in namespace dev", "RoleBinding own to group ops", False),
        ("Role reader in namespace dev", "RoleBinding read to user ops:alice, a session of that name", False),
    ]


def test_nodes_and_others_whom_trust_policies_let_in() -> None:
    line = (NODE.arn, "system:node:{{EC2PrivateDNSName}}", "system:nodes")
    (way,) = ways(world(account(NODE), cluster(aws_auth=map_roles(line))))
    assert (way.person, way.user.username) == ("service ec2.amazonaws.com", "system:node:{{EC2PrivateDNSName}}")


def test_a_role_of_an_account_that_was_not_read() -> None:
    line = (f"arn:aws:iam::{B}:role/Away", "away", "system:masters")
    (way,) = ways(world(account(), cluster(aws_auth=map_roles(line))))
    assert (way.person, way.user.admin) == (f"anyone who is arn:aws:iam::{B}:role/Away", True)


def test_a_line_that_names_no_principal_lets_nobody_in() -> None:
    assert ways(world(account(), cluster(aws_auth=map_roles(("not-an-arn", "x", "system:masters"))))) == []


def test_a_chain_of_roles_with_what_it_needs() -> None:
    first = role("First", trusting(ALICE.arn, condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}))
    second = role("Second", trusting(first.arn))
    line = (second.arn, "second", "g")
    (way,) = ways(world(account(first, second), cluster(aws_auth=map_roles(line))))
    assert way.reach.roles == (first.arn, second.arn)
    assert [str(need) for need in way.reach.needs] == ["aws:MultiFactorAuthPresent true"]
    assert list(
        EffectiveAccess(world(account(first, second), cluster(aws_auth=map_roles(line)))).ways_of(ALICE.arn)
    ) == [way]


# --- differences ----------------------------------------------------------------------------------------------------


def test_a_person_more_in_a_trust_policy_gains() -> None:
    state = cluster(aws_auth=map_roles(OPS_LINE))
    both = replace(OPS, trust=trusting(ALICE.arn, BOB.arn))
    found = effects_of(world(account(OPS), state), world(account(both), state))
    (gain,) = found.gains
    assert (gain.cluster, gain.principal, gain.before, gain.people) == (CLUSTER, OPS.arn, None, (BOB.arn,))
    assert gain.after is not None
    assert gain.after.user.username == "ops:{{SessionName}}"
    assert (found.losses, found.changes, found.locked_out) == ((), (), ())
    back = effects_of(world(account(both), state), world(account(OPS), state))
    assert [loss.people for loss in back.losses] == [(BOB.arn,)]
    assert back.locked_out == ((BOB.arn, (CLUSTER,)),)
    assert json.loads(json.dumps(back.to_json()))["lockedOut"] == [{"person": BOB.arn, "clusters": [CLUSTER]}]


def test_other_groups_are_a_change() -> None:
    before, after = (cluster(aws_auth=map_roles((*OPS_LINE[:2], groups))) for groups in ("viewers", "system:masters"))
    found = effects_of(world(account(OPS), before), world(account(OPS), after))
    (change,) = found.changes
    assert change.before is not None
    assert change.after is not None
    assert (change.before.user.admin, change.after.user.admin) == (False, True)
    assert (found.gains, found.losses, found.locked_out) == ((), (), ())


def test_a_binding_changes_what_a_group_may_do() -> None:
    before = cluster(aws_auth=map_roles(OPS_LINE), roles={("", "cluster-admin"): EVERYTHING})
    bound = (Binding("ops", "", "ClusterRole", "cluster-admin", (Subject("Group", "ops"),)),)
    (change,) = effects_of(world(account(OPS), before), world(account(OPS), replace(before, bindings=bound))).changes
    assert change.after is not None
    assert change.after.user.admin


def test_an_mfa_condition_is_a_change() -> None:
    state = cluster(aws_auth=map_roles(OPS_LINE))
    strict = replace(OPS, trust=trusting(ALICE.arn, condition={"Bool": {"aws:MultiFactorAuthPresent": "true"}}))
    (change,) = effects_of(world(account(OPS), state), world(account(strict), state)).changes
    assert change.after is not None
    assert change.after.needs == ("aws:MultiFactorAuthPresent true",)


def test_one_way_less_of_two_is_a_loss_but_no_lockout() -> None:
    other = role("Other", trusting(ALICE.arn))
    lines = (OPS_LINE, (other.arn, "other", "g"))
    found = effects_of(
        world(account(OPS, other), cluster(aws_auth=map_roles(*lines))),
        world(account(OPS, other), cluster(aws_auth=map_roles(lines[0]))),
    )
    assert [(loss.principal, loss.people) for loss in found.losses] == [(other.arn, (ALICE.arn,))]
    assert found.locked_out == ()


def test_a_line_that_only_moves_is_nothing() -> None:
    other = (f"arn:aws:iam::{A}:role/Nobody", "x", "y")
    before = cluster(aws_auth=map_roles(OPS_LINE))
    after = cluster(aws_auth=map_roles(other, OPS_LINE))
    assert not effects_of(world(account(OPS), before), world(account(OPS), after))


def test_a_role_that_is_deleted_and_one_that_appears() -> None:
    """aws-auth matches by name: who makes a role of that name gets in (facts: pains.md 7)."""
    state = cluster(aws_auth=map_roles(OPS_LINE))
    gone = effects_of(world(account(OPS), state), world(account(), state))
    assert gone.locked_out == ((ALICE.arn, (CLUSTER,)),)
    assert [gain.people for gain in effects_of(world(account(), state), world(account(OPS), state)).gains] == [
        (ALICE.arn,)
    ]


# --- what is taken over from the world before is what would be computed anew ------------------------------------------

people = st.lists(
    st.sampled_from([ALICE.arn, BOB.arn, A, f"arn:aws:iam::{A}:role/R1"]), min_size=1, max_size=2, unique=True
)
names = st.sampled_from(["R1", "R2"])
lines = st.lists(
    st.tuples(
        names.map(lambda n: f"arn:aws:iam::{A}:role/{n}"), st.sampled_from(["u", "v"]), st.sampled_from(["g", "h"])
    ),
    max_size=2,
)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[World, World]:
    """A world, and one in which some of its parts are others and the rest is the same object."""
    roles = [role(name, trusting(*draw(people))) for name in ("R1", "R2")]
    states = [replace(cluster(aws_auth=map_roles(*draw(lines))), arn=f"{CLUSTER}{i}") for i in range(2)]
    first = world(account(*roles), *states)
    changed = dict(first.clusters)
    if draw(st.booleans()):
        changed[states[0].arn] = replace(states[0], aws_auth=map_roles(*draw(lines)))
    accounts = dict(first.accounts)
    match draw(st.sampled_from(["nothing", "trust", "no role", "policy", "anew"])):
        case "trust":
            accounts[A] = account(replace(roles[0], trust=trusting(*draw(people))), roles[1])
        case "no role":
            accounts[A] = account(roles[1])
        case "policy":
            allow = json.dumps(
                {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "sts:*", "Resource": "*"}}
            )
            accounts[A] = account(*roles, users=(replace(ALICE, inline={"p": allow}), BOB))
        case "anew":
            accounts[A] = account(replace(roles[0], role_id="AROAnew"), roles[1])
    return first, replace(first, accounts=accounts, clusters=changed)


@settings(max_examples=150)
@given(pairs())
def test_what_is_taken_over_is_what_would_be_computed_anew(pair: tuple[World, World]) -> None:
    first, second = pair
    before = EffectiveAccess(first)
    taken, anew = EffectiveAccess(second, before), EffectiveAccess(second)
    assert list(taken.graph.edges()) == list(anew.graph.edges())
    assert list(taken.ways()) == list(anew.ways())
    found = effects(before, taken)
    assert found == effects(before, anew)
    # Gains and losses are the difference of the two sets of ways, by person, cluster and principal.
    earlier, later = ({(w.person, w.cluster, w.principal) for w in access.ways()} for access in (before, anew))
    assert {(p, c.cluster, c.principal) for c in found.gains for p in c.people} == later - earlier
    assert {(p, c.cluster, c.principal) for c in found.losses for p in c.people} == earlier - later
    assert {(p, c) for p, clusters in found.locked_out for c in clusters} == {(p, c) for p, c, _ in earlier} - {
        (p, c) for p, c, _ in later
    }


@pytest.mark.parametrize("mode", list(AuthenticationMode))
def test_nothing_mapped_is_nothing(mode: AuthenticationMode) -> None:
    assert ways(world(account(OPS, NODE), cluster(mode=mode))) == []
