"""The worlds of ``tests/worlds``, put to the reference evaluator, the compiled one and the graph."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rolecall.access.effective import EffectiveAccess
from rolecall.iam.account import Account, IamRole, IamUser
from rolecall.iam.assume_role import AssumeRoleDecision, AssumeRoleRequest, decide_assume_role, may_assume_role
from rolecall.iam.compiled import compile_policies
from rolecall.iam.escalation import escalations
from rolecall.iam.evaluate import IamDecision, evaluate
from rolecall.iam.graph import build_graph
from rolecall.iam.needs import session_of
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest, account_of, request_context
from world_files import Step, WorldFile, load_world, world_files
from worlds import NOW

FILES = pytest.mark.parametrize("path", world_files(), ids=lambda path: path.stem)


def outcome(decision: IamDecision | AssumeRoleDecision) -> Any:
    """The answer as the files write it: YAML takes ``yes`` and ``no`` for truth values."""
    if decision.doubts:
        return "yes?" if decision.allowed else "may"
    return decision.allowed


def who(world: WorldFile, accounts: dict[str, Account], name: str) -> tuple[Account, IamUser | IamRole, Principal]:
    number, rest = world.place(name)
    kind, _, short = rest.partition("/")
    home = accounts[number]
    if kind == "user":
        return home, home.users[short], home.principal(home.users[short])
    return home, home.roles[short], home.principal(home.roles[short], session_of("session", NOW))


def call_of(world: WorldFile, step: Step) -> AssumeRoleRequest:
    return AssumeRoleRequest(
        f"arn:aws:iam::{step.account}:role/{step.role}", step.session, NOW, external_id=step.external_id,
        tags=tuple(step.tags.items()), transitive_tag_keys=step.transitive, source_identity=step.source_identity,
    )  # fmt: skip


@FILES
def test_what_is_allowed(path: Path) -> None:
    world = load_world(path)
    accounts = world.accounts
    for asked in world.questions("allowed"):
        home, one, principal = who(world, accounts, asked["who"])
        resource = asked.get("resource", "*")
        context = request_context(principal, now=NOW)
        request = AuthorizationRequest(principal, asked["action"], resource, account_of(resource, home.id), context)
        policies = home.policies(one)
        decision, compiled = evaluate(request, policies), compile_policies(policies)
        assert outcome(decision) == asked["answer"], asked
        assert (compiled.decide(request), compiled.doubts(request)) == (decision.effect, decision.doubts), asked


@FILES
def test_who_can_assume_what(path: Path) -> None:
    world = load_world(path)
    accounts = world.accounts
    graph = build_graph(accounts, NOW)
    for asked in world.questions("assume"):
        first, *steps = asked["path"]
        home, one, principal = who(world, accounts, first)
        for number, step in enumerate(map(world.step, steps)):
            role = accounts[step.account].roles[step.role]
            trusted = accounts[step.account].trusted(role)
            decision = decide_assume_role(call_of(world, step), principal, trusted, home.policies(one))
            fast = compile_policies(replace(home.policies(one), resource=trusted.trust))
            assert may_assume_role(call_of(world, step), principal, trusted, fast) is decision.allowed, asked
            edge = next((edge for edge in graph.edges_to(role.arn) if edge.source == one.arn), None)
            # Whatever some call can do or may do is an edge.
            assert edge is not None or outcome(decision) is False, asked
            if number == len(steps) - 1:
                assert outcome(decision) == asked["answer"], asked
            else:
                assert decision.session is not None, asked
                home, one = accounts[step.account], role
                principal = home.principal(role, decision.session)


@FILES
def test_the_graph_has_these_edges(path: Path) -> None:
    world = load_world(path)
    graph = build_graph(world.accounts, NOW)
    for source, roles in (world.questions("edges") or {}).items():
        found = {edge.role: edge for edge in graph.edges_from(world.arn(source))}
        assert set(found) == {world.arn(role.removesuffix("?")) for role in roles}, source
        for role in roles:
            edge = found[world.arn(role.removesuffix("?"))]
            assert edge.certain is not role.endswith("?"), (source, role)
            assert bool(edge.doubts) is not edge.certain
            assert edge.doubts or graph.explain(edge).allowed


@FILES
def test_who_gets_into_which_cluster(path: Path) -> None:
    world = load_world(path)
    access = EffectiveAccess(world.world())
    for person, clusters in (world.questions("enters") or {}).items():
        found: dict[str, set[str]] = {}
        for way in access.ways_of(world.arn(person)):
            name = way.cluster.rpartition("/")[2]
            found.setdefault(name, set()).add(way.user.username + ("" if way.reach.certain else "?"))
        assert found == {name: set(users) for name, users in clusters.items()}, person


@FILES
def test_who_can_raise_themselves(path: Path) -> None:
    world = load_world(path)
    accounts, clusters = world.accounts, world.world().clusters
    for name, actions in (world.questions("raises") or {}).items():
        home, one, principal = who(world, accounts, name)
        assert [found.action for found in escalations(home.policies(one), principal, clusters)] == actions, name


def test_every_question_is_asked() -> None:
    """No file is without a question, and each kind of question is asked by some file."""
    asked = [load_world(path).data["questions"] for path in world_files()]
    assert all(asked)
    assert {kind for questions in asked for kind in questions} == {"allowed", "assume", "edges", "enters", "raises"}
