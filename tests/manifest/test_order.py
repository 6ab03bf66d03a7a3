"""Whatever is planned, nobody has access in between that neither the state before nor the state after gives."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.manifest.order import inverted, merged, order
from rolecall.manifest.resources import Change, Kind, ResourceId
from rolecall.manifest.values import same_value
from rolecall.manifest.waits import parts_of

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
def states(draw: st.DrawFn) -> State:
    found: State = {}
    for name in ROLES:
        if draw(st.integers(0, 4)):
            document = trust(draw(st.lists(PRINCIPALS, min_size=1, max_size=2)))
            found[ResourceId(Kind.IAM_ROLE, ACCOUNT, name)] = {"path": "/", "tags": {}, "trust": document}
            if draw(st.booleans()):
                policy = {"Version": "2012-10-17", "Statement": draw(STATEMENTS)}
                found[ResourceId(Kind.IAM_ROLE_POLICY, ACCOUNT, f"{name}/p")] = {"document": policy}
        for cluster in CLUSTERS:
            if draw(st.integers(0, 2)):
                groups = draw(st.lists(st.sampled_from(GROUPS), max_size=2, unique=True))
                value = {"arn": role(name), "username": draw(st.sampled_from(["u", "v"])), "groups": groups}
                found[ResourceId(Kind.AWS_AUTH_ROLE, cluster, role(name))] = value
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
                mapped = state.get(ResourceId(Kind.AWS_AUTH_ROLE, cluster, role(name)))
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
@given(states(), states(), st.randoms(use_true_random=False), st.booleans())
def test_nobody_gains_in_between(before: State, after: State, rng: random.Random, known: bool) -> None:
    steps = order(difference(before, after), before if known else None)
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
@given(states(), states())
def test_an_undo_is_the_same_turned_round(before: State, after: State) -> None:
    steps = order(difference(before, after), before)
    assert sorted(merged(steps), key=lambda c: c.resource) == sorted(
        (Change(c.key, c.resource, c.before, c.after, c.needs, c.follows, gates=c.gates) for c in merged(steps)),
        key=lambda c: c.resource,
    )
    back = order(inverted(steps))
    last = after
    for state in run(after, back, set(), random.Random(1)):
        assert access(state) <= access(before) | access(after)
        last = state
    assert same(last, before)


@pytest.mark.parametrize("known", [True, False])
def test_what_waits_for_thousands_does_not_name_them(known: bool) -> None:
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
    steps = order(difference(before, after), before if known else None)
    assert len(steps) == 1_600
    assert sum(len(s.needs) + len(s.follows) + len(s.gates) for s in steps) < 10 * len(steps)
    widened = next(s for s in steps if s.resource.kind is Kind.IAM_ROLE and "bob" in str(s.after))
    parts = parts_of(steps)
    assert len({key for name in widened.needs for key in parts[name]}) == 1_200
