"""Whatever is planned, nobody has access in between that neither the state before nor the state after gives."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.plan.order import inverted, merged, order
from rolecall.plan.resources import Change, Kind, ResourceId
from rolecall.plan.values import same_value
from rolecall.plan.waits import parts_of

ACCOUNT = "111122223333"
PEOPLE = ["ann", "bob", "cid"]
ROLES = ["r1", "r2", "r3"]
CLUSTERS = [f"arn:aws:eks:eu-west-2:{ACCOUNT}:cluster/{name}" for name in ("c1", "c2")]
GROUPS = ["view", "edit"]

State = dict[ResourceId, Mapping[str, Any]]


def user(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:user/{name}"


def role(name: str) -> str:
    return f"arn:aws:iam::{ACCOUNT}:role/{name}"


def trust(statements: list[list[str]]) -> dict[str, Any]:
    return {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"AWS": names}, "Action": "sts:AssumeRole"}
            for names in statements
            if names
        ]
        or [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}],
    }


PRINCIPALS = st.lists(st.sampled_from([*map(user, PEOPLE), *map(role, ROLES)]), max_size=4, unique=True)
STATEMENTS = st.lists(
    st.fixed_dictionaries(
        {
            "Effect": st.just("Allow"),
            "Action": st.just("sts:AssumeRole"),
            "Resource": st.lists(st.sampled_from([role(name) for name in ROLES]), min_size=1, max_size=3, unique=True),
        }
    ),
    min_size=1,
    max_size=2,
)


@st.composite
def states(draw: st.DrawFn, untidy: bool = True) -> State:
    """:param untidy: with roles that are mapped in two places, or although they are gone: found, but in no file."""
    found: State = {}
    for name in ROLES:
        if draw(st.integers(0, 4)):
            document = trust(draw(st.lists(PRINCIPALS, min_size=1, max_size=2)))
            found[ResourceId(Kind.IAM_ROLE, ACCOUNT, name)] = {"path": "/", "tags": {}, "trust": document}
            if draw(st.booleans()):
                policy = {"Version": "2012-10-17", "Statement": draw(STATEMENTS)}
                found[ResourceId(Kind.IAM_ROLE_POLICY, ACCOUNT, f"{name}/p")] = {"document": policy}
        for cluster in CLUSTERS if untidy or ResourceId(Kind.IAM_ROLE, ACCOUNT, name) in found else ():
            if draw(st.integers(0, 2)):
                groups = draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))
                value = {"arn": role(name), "username": draw(st.sampled_from(["u", "v"])), "groups": groups}
                found[ResourceId(Kind.AWS_AUTH_ROLE, cluster, role(name))] = value
            mapped = ResourceId(Kind.AWS_AUTH_ROLE, cluster, role(name)) in found
            if not draw(st.integers(0, 2)) and (untidy or not mapped):
                groups = draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))
                entry = {"type": "STANDARD", "username": draw(st.sampled_from(["u", "v"])), "groups": groups}
                found[ResourceId(Kind.ACCESS_ENTRY, cluster, role(name))] = {**entry, "policies": []}
    for cluster in CLUSTERS:
        for binding in ("b1", "b2"):
            if draw(st.booleans()):
                subjects = draw(
                    st.lists(st.sampled_from([{"kind": "Group", "name": g} for g in GROUPS]), max_size=2, unique_by=str)
                )
                reference = {"kind": "ClusterRole", "name": draw(st.sampled_from(["admin", "reader"]))}
                found[ResourceId(Kind.CLUSTER_ROLE_BINDING, cluster, binding)] = {
                    "roleRef": reference,
                    "subjects": subjects,
                }
    return found


def listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value)


def trusted(state: State, name: str) -> set[str]:
    found = state.get(ResourceId(Kind.IAM_ROLE, ACCOUNT, name))
    if found is None:
        return set()
    allows = [s for s in found["trust"]["Statement"] if s["Effect"] == "Allow"]
    return {arn for s in allows for arn in listed(s["Principal"]["AWS"])}


def may_chain(state: State, source: str, target: str) -> bool:
    """A role goes on to another one where its own policy allows it too, so that policies matter here."""
    found = state.get(ResourceId(Kind.IAM_ROLE_POLICY, ACCOUNT, f"{source}/p"))
    return found is not None and any(role(target) in listed(s["Resource"]) for s in found["document"]["Statement"])


def mapping(state: State, cluster: str, name: str) -> Mapping[str, Any] | None:
    """Access entries are read before aws-auth (EKS user guide, "Migrate existing aws-auth ConfigMap entries")."""
    kinds = (Kind.ACCESS_ENTRY, Kind.AWS_AUTH_ROLE)
    return next((state[r] for kind in kinds if (r := ResourceId(kind, cluster, role(name))) in state), None)


def access(state: State) -> set[tuple[Any, ...]]:
    """Every (person, cluster, username, group, role in the cluster) that a state gives; a small model of the rules."""
    found = set()
    for person in PEOPLE:
        reached = {name for name in ROLES if user(person) in trusted(state, name)}
        while True:
            more = {b for a in reached for b in ROLES if role(a) in trusted(state, b) and may_chain(state, a, b)}
            if more <= reached:
                break
            reached |= more
        for cluster in CLUSTERS:
            for name in reached:
                mapped = mapping(state, cluster, name)
                if mapped is None:
                    continue
                found.add((person, cluster, name, mapped["username"]))
                for resource, binding in state.items():
                    if resource.kind is Kind.CLUSTER_ROLE_BINDING and resource.place == cluster:
                        for subject in binding["subjects"]:
                            if subject["name"] in mapped["groups"]:
                                found.add((person, cluster, name, subject["name"], binding["roleRef"]["name"]))
    return found


def difference(before: State, after: State) -> list[Change]:
    return [Change("", r, before.get(r), after.get(r)) for r in {**before, **after} if before.get(r) != after.get(r)]


def same(one: State, two: State) -> bool:
    return one.keys() == two.keys() and all(same_value(r.kind, one[r], two[r]) for r in one)


def run(state: State, steps: Iterable[Change], fails: set[str], rng: random.Random) -> Iterable[State]:
    """The states that a run goes through where some steps fail and independent ones are made in any order."""
    waiting, ended, bad = list(steps), set(), set()
    parts, current = parts_of(waiting), dict(state)
    needs = {s.key: {key for name in s.needs for key in parts[name]} for s in waiting}
    follows = {s.key: {key for name in s.follows for key in parts[name]} for s in waiting}
    while waiting:
        ready = [s for s in waiting if needs[s.key] | follows[s.key] <= ended]
        assert ready, "a cycle"
        step = rng.choice(ready)
        waiting.remove(step)
        ended.add(step.key)
        if step.key in fails or bad & needs[step.key]:
            bad.add(step.key)
            continue
        assert same_value(step.resource.kind, current.get(step.resource), step.before)
        if step.after is None:
            del current[step.resource]
        else:
            current[step.resource] = step.after
        yield dict(current)


@settings(max_examples=200)
@given(states(), states(untidy=False), st.randoms(use_true_random=False))
def test_nobody_gains_in_between(before: State, after: State, rng: random.Random) -> None:
    steps = order(difference(before, after), before)
    allowed = access(before) | access(after)
    last = before
    for state in run(before, steps, set(), rng):
        assert access(state) <= allowed
        last = state
    assert same(last, after)
    fails = {step.key for step in steps if rng.random() < 0.2}
    for state in run(before, steps, fails, rng):
        assert access(state) <= allowed


@settings(max_examples=150)
@given(states(), states(untidy=False))
def test_an_undo_is_the_same_turned_round(before: State, after: State) -> None:
    steps = order(difference(before, after), before)
    assert sorted(merged(steps), key=lambda c: c.resource) == sorted(
        (Change(c.key, c.resource, c.before, c.after, c.needs, c.follows, gates=c.gates) for c in merged(steps)),
        key=lambda c: c.resource,
    )
    back = order(inverted(steps), after)
    last = after
    for state in run(after, back, set(), random.Random(1)):
        assert access(state) <= access(before) | access(after)
        last = state
    assert same(last, before)


@settings(max_examples=150)
@given(states(), states(untidy=False), st.randoms(use_true_random=False))
def test_who_stays_mapped_is_mapped_at_every_moment(before: State, after: State, rng: random.Random) -> None:
    """From aws-auth to access entries and back, also where steps fail: a cluster knows the role all the time."""
    steps = order(difference(before, after), before)
    names = [n for n in ROLES if all(ResourceId(Kind.IAM_ROLE, ACCOUNT, n) in state for state in (before, after))]
    stay = [(c, n) for c in CLUSTERS for n in names if mapping(before, c, n) and mapping(after, c, n)]
    fails = {step.key for step in steps if rng.random() < 0.2}
    for state in run(before, steps, fails, rng):
        assert all(mapping(state, cluster, name) for cluster, name in stay)


def test_a_mapping_moves_without_a_gap() -> None:
    """The new one is written before the old one is removed, and a failure keeps the old one."""
    cluster = CLUSTERS[0]
    old = ResourceId(Kind.AWS_AUTH_ROLE, cluster, role("r1"))
    new = ResourceId(Kind.ACCESS_ENTRY, cluster, role("r1"))
    before: State = {old: {"arn": role("r1"), "username": "u", "groups": []}}
    after: State = {new: {"type": "STANDARD", "username": "u", "groups": [], "policies": []}}
    for first, second in ((before, after), (after, before)):
        written, removed = order(difference(first, second), first)
        assert written.before is None
        assert removed.after is None
        assert removed.needs == (written.key,)


def test_what_is_hidden_goes_before_what_hides_it() -> None:
    """An aws-auth entry that an access entry hides would be read as soon as that one is gone."""
    cluster = CLUSTERS[0]
    hidden = ResourceId(Kind.AWS_AUTH_ROLE, cluster, role("r1"))
    read = ResourceId(Kind.ACCESS_ENTRY, cluster, role("r1"))
    before: State = {
        hidden: {"arn": role("r1"), "username": "u", "groups": ["edit"]},
        read: {"type": "STANDARD", "username": "u", "groups": [], "policies": []},
    }
    steps = {step.resource: step for step in order(difference(before, {}), before)}
    assert steps[read].needs == (steps[hidden].key,)
    assert not steps[hidden].needs


def bound(name: str, group: str, cluster_role: str) -> State:
    subjects = [{"kind": "Group", "name": group}]
    reference = {"kind": "ClusterRole", "name": cluster_role}
    return {ResourceId(Kind.CLUSTER_ROLE_BINDING, CLUSTERS[0], name): {"roleRef": reference, "subjects": subjects}}


def mapped(group: str, name: str = "r1") -> State:
    value = {"arn": role(name), "username": "u", "groups": [group]}
    return {ResourceId(Kind.AWS_AUTH_ROLE, CLUSTERS[0], role(name)): value}


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # Another group for the same permission, another role for the same group, both.
        ({**mapped("view"), **bound("a", "view", "admin")}, {**mapped("edit"), **bound("b", "edit", "admin")}),
        ({**mapped("view"), **bound("a", "view", "admin")}, {**mapped("view"), **bound("b", "view", "reader")}),
        ({**mapped("view"), **bound("a", "view", "admin")}, {**mapped("edit"), **bound("b", "edit", "reader")}),
    ],
)
def test_whoever_makes_the_change_is_never_without_a_binding(before: State, after: State) -> None:
    """They could not make the next step: whoever administers by a group moves to another one without a gap."""
    trusting: State = {ResourceId(Kind.IAM_ROLE, ACCOUNT, "r1"): {"path": "/", "tags": {}, "trust": trust([[user("ann")]])}}  # fmt: skip
    before, after = {**trusting, **before}, {**trusting, **after}
    for first, second in ((before, after), (after, before)):
        steps = order(difference(first, second), first)
        for seed in range(20):
            rng = random.Random(seed)
            fails = {step.key for step in steps if rng.random() < 0.3}
            for state in run(first, steps, fails, rng):
                assert any(len(one) == 5 for one in access(state))
                assert access(state) <= access(first) | access(second)


def test_a_binding_that_somebody_new_would_get_goes_first() -> None:
    """r2 comes into the group, so its old binding is taken from it before, although r1 is then without it."""
    before = {**mapped("view"), **bound("a", "view", "admin")}
    after = {**mapped("view"), **mapped("view", "r2"), **bound("b", "view", "reader")}
    steps = order(difference(before, after), before)
    assert [step.after is None for step in steps] == [True, False, False]


def test_what_waits_for_thousands_does_not_name_them() -> None:
    """A plan's file and a run's journal grow with the steps, not with their pairs."""
    before: State = {}
    after: State = {}
    for number in range(400):
        # One chain of linked roles: every step of each may open something for all.
        resource, linked = ResourceId(Kind.IAM_ROLE, ACCOUNT, f"r{number}"), role(f"r{number - 1}")
        before[resource] = {"path": "/", "tags": {}, "trust": trust([[linked, user("ann")]])}
        after[resource] = {"path": "/", "tags": {}, "trust": trust([[linked, user("bob")]])}
        for cluster in CLUSTERS:
            mapped = ResourceId(Kind.AWS_AUTH_ROLE, cluster, role(f"r{number}"))
            before[mapped] = {"arn": role(f"r{number}"), "username": "u", "groups": ["view"]}
            after[mapped] = {**before[mapped], "groups": ["edit"]}
    steps = order(difference(before, after), before)
    assert len(steps) == 1_600
    assert sum(len(s.needs) + len(s.follows) + len(s.gates) for s in steps) < 10 * len(steps)
    widened = next(s for s in steps if s.resource.kind is Kind.IAM_ROLE and "bob" in str(s.after))
    parts = parts_of(steps)
    assert len({key for name in widened.needs for key in parts[name]}) == 1_200


def needed(steps: Iterable[Change], resource: ResourceId) -> set[ResourceId]:
    """What a resource's last step needs, directly or not."""
    steps = list(steps)
    parts, by_key = parts_of(steps), {step.key: step for step in steps}
    found: set[str] = set()
    waiting = [next(step.key for step in reversed(steps) if step.resource == resource)]
    while waiting:
        more = {key for name in by_key[waiting.pop()].needs for key in parts[name]} - found
        found |= more
        waiting += more
    return {by_key[key].resource for key in found}


def test_a_mapping_waits_for_the_bindings_of_its_own_groups() -> None:
    """A namespace that does not exist holds back those alone who would be bound in it."""
    cluster, admins, devs = CLUSTERS[0], role("admins"), role("devs")
    space = ResourceId(Kind.ROLE_BINDING, cluster, "wbe/rolecall:edit:devs")
    everywhere = ResourceId(Kind.CLUSTER_ROLE_BINDING, cluster, "rolecall:cluster-admin:admins")

    def to(group: str, name: str) -> Mapping[str, Any]:
        return {"roleRef": {"kind": "ClusterRole", "name": name}, "subjects": [{"kind": "Group", "name": group}]}

    after: State = {space: to("devs", "edit"), everywhere: to("admins", "cluster-admin")}
    for arn, group in ((admins, "admins"), (devs, "devs")):
        value = {"arn": arn, "username": f"{group}:{{{{SessionName}}}}", "groups": [group]}
        after[ResourceId(Kind.AWS_AUTH_ROLE, cluster, arn)] = value
        after[ResourceId(Kind.IAM_ROLE, ACCOUNT, group)] = {"path": "/", "tags": {}, "trust": trust([[user("ann")]])}
    steps = order(difference({}, after), {})
    assert space not in needed(steps, ResourceId(Kind.AWS_AUTH_ROLE, cluster, admins))
    assert needed(steps, ResourceId(Kind.AWS_AUTH_ROLE, cluster, devs)) == {
        space, ResourceId(Kind.IAM_ROLE, ACCOUNT, "devs")
    }  # fmt: skip
    assert not needed(steps, ResourceId(Kind.IAM_ROLE, ACCOUNT, "devs"))
    assert not needed(steps, space)


def test_what_only_takes_access_away_waits_for_nothing() -> None:
    before: State = {
        ResourceId(Kind.IAM_ROLE, ACCOUNT, "r1"): {"path": "/", "tags": {}, "trust": trust([[user("ann"), user("bob")]])},
        ResourceId(Kind.IAM_ROLE_POLICY, ACCOUNT, "r1/p"): {"document": {"Version": "2012-10-17", "Statement": [
            {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": [role("r2"), role("r3")]}]}},
        ResourceId(Kind.IAM_USER, ACCOUNT, "cid"): {"path": "/", "tags": {}},
        **mapped("view"), **mapped("view", "r3"), **bound("a", "view", "admin"),
    }  # fmt: skip
    after: State = {
        ResourceId(Kind.IAM_ROLE, ACCOUNT, "r1"): {"path": "/", "tags": {}, "trust": trust([[user("bob")]])}
    }
    for step in order(difference(before, after), before):
        assert not step.needs, step.resource


def test_a_binding_of_a_user_concerns_mappings_that_may_become_it() -> None:
    """``dev:{{SessionName}}`` is dev:ann in ann's session."""
    cluster = CLUSTERS[0]
    old = {"roleRef": {"kind": "ClusterRole", "name": "admin"}, "subjects": [{"kind": "User", "name": "dev:ann"}]}
    binding = ResourceId(Kind.CLUSTER_ROLE_BINDING, cluster, "b")
    mapping_of = ResourceId(Kind.AWS_AUTH_ROLE, cluster, role("r1"))
    value = {"arn": role("r1"), "username": "dev:{{SessionName}}", "groups": []}
    assert binding in needed(order(difference({binding: old}, {mapping_of: value}), {binding: old}), mapping_of)
    everybody = {**old, "subjects": [{"kind": "Group", "name": "system:authenticated"}]}
    assert binding in needed(order(difference({binding: everybody}, {mapping_of: value}), {}), mapping_of)
