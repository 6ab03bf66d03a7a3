"""Import: a file that says what there is, so that a plan right after is empty."""

from __future__ import annotations

from dataclasses import replace

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from rolecall.access.principals import GONE
from rolecall.access.world import World
from rolecall.importing.world import import_world
from rolecall.manifest.load import parse
from rolecall.manifest.write_yaml import block, comment, readable, scalar
from rolecall.manifest.yaml_data import read_yaml
from rolecall.plan.actual import Scope, mappings
from rolecall.plan.desired_iam import describe_document
from rolecall.plan.links import principal_key
from rolecall.plan.plan import compare
from rolecall.plan.resources import BINDING_KINDS
from worlds import (
    ANY_POLICY,
    MAIN,
    NOW,
    OTHER,
    SSO_PATH,
    account,
    aws_auth,
    binding,
    cluster,
    entry,
    role,
    role_arn,
    trust,
    user,
    user_arn,
    world,
    worlds,
)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_a_plan_right_after_is_empty(found: World) -> None:
    imported = import_world(found)
    planned = compare(parse(imported.text), found, NOW)
    # But for bindings of rolecall's own that no grant needs, which are told.
    left = [c for c in planned.changes if not (c.resource.kind in BINDING_KINDS and c.after is None)]
    assert left == []
    for change in planned.changes:
        assert any(f"binding {change.resource.name} of cluster" in one for one in imported.leftover)
    assert bool(planned.changes) == bool(imported.leftover)
    if imported.leftover:
        assert "# Removed by the next plan, because no grant needs it:" in imported.text


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(worlds())
def test_every_mapping_is_said_or_told(found: World) -> None:
    imported = import_world(found)
    said = compare(parse(imported.text), found, NOW).want.values
    told = "\n".join(imported.notes).lower()
    for state in found.clusters.values():
        for resource, value in mappings(state, Scope(), everybody=True).items():
            arn = str(value.get("arn") or resource.name).lower()
            keys = {principal_key(str(v.get("arn") or r.name)) for r, v in said.items() if r.place == state.arn}
            assert principal_key(arn) in keys or arn in told, (resource, imported.text)


def test_what_is_written_for_an_ordinary_account() -> None:
    sso = "AWSReservedSSO_Platform_0123456789abcdef"
    saml = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Principal": {"Federated": f"arn:aws:iam::{MAIN}:saml-provider/x"}, "Action": "sts:AssumeRoleWithSAML"}]}  # fmt: skip
    names = [f"arn:aws:eks:eu-west-2:{MAIN}:cluster/kubedemy"]
    found = world(
        [
            account(
                [user("ann"), user("bob", path="/team/"), user("unrelated")],
                [
                    role("Admins", trust(user_arn("ann"), Bool={"aws:MultiFactorAuthPresent": "true"}), inline={"rolecall-describe-clusters": describe_document(names)}),
                    role("Devs", trust(user_arn("bob", path="/team/"), user_arn("far", OTHER)), inline={"other": ANY_POLICY}),
                    role("node"),
                    role(sso, saml, path=SSO_PATH),
                    role("unmapped"),
                ],
            )
        ],
        [
            cluster(
                aws_auth=aws_auth(
                    [
                        (role_arn("node"), "system:node:{{EC2PrivateDNSName}}", ["system:bootstrappers", "system:nodes"]),
                        (role_arn("Admins"), "admin:{{SessionName}}", ["system:masters"]),
                        (role_arn("Devs"), "{{SessionName}}", ["devs", "more"]),
                        (role_arn(sso), "sso:{{SessionName}}", ["system:masters"]),
                        (role_arn("Dead", path="/p/"), "x", []),
                    ],
                    [(user_arn("ann"), "ann", [])],
                ),
                bindings=(binding("by-rolecall", "devs", "view"),),
                managed_bindings=frozenset({("", "by-rolecall")}),
            ),
            cluster("prod-1", mode="API", entries=(entry(role_arn("Devs"), "d:{{SessionName}}", ["devs"], policies={"AmazonEKSViewPolicy": ["a"]}), entry(role_arn("fargate"), "system:node:{{SessionName}}", ["system:nodes", "system:node-proxier"], "FARGATE_LINUX"))),
        ],
    )  # fmt: skip
    imported = import_world(found, {"main": {"id": MAIN, "profile": "default"}})
    assert yaml.safe_load(imported.text) == {
        "accounts": {"main": {"id": MAIN, "profile": "default"}},
        "people": {
            sso: {"permissionSet": "Platform", "account": "main"},
            "ann": {"user": "ann", "account": "main"},
            "bob": {"user": "bob", "account": "main", "path": "/team/"},
            "far": {"arn": user_arn("far", OTHER)},
        },
        "roles": {
            "Admins": {"account": "main", "assumableBy": ["ann"], "conditions": {"mfa": True}},
            "Devs": {"account": "main", "assumableBy": ["bob", "far"], "describeClusters": False},
            "fargate": {"arn": role_arn("fargate")},
            "node": {"arn": role_arn("node")},
        },
        "clusters": {
            "kubedemy": {"account": "main", "region": "eu-west-2", "mapping": "aws-auth"},
            "prod-1": {"account": "main", "region": "eu-west-2", "mapping": "access-entries"},
        },
        "grants": [
            {"person": "ann", "clusters": "kubedemy", "username": "ann"},
            {"role": "node", "clusters": "kubedemy", "nodeRole": True},
            {"role": "Admins", "clusters": "kubedemy", "username": "admin:{{SessionName}}", "groups": ["system:masters"]},
            {"role": "Devs", "clusters": "kubedemy", "username": "{{SessionName}}", "groups": ["devs"], "bindings": [{"clusterRole": "view"}]},
            {"role": "Devs", "clusters": "kubedemy", "username": "{{SessionName}}", "groups": ["more"]},
            {"person": sso, "clusters": "kubedemy", "username": "sso:{{SessionName}}", "groups": ["system:masters"]},
            {"role": "Devs", "clusters": "prod-1", "username": "d:{{SessionName}}", "groups": ["devs"], "accessPolicies": [{"policy": "AmazonEKSViewPolicy", "namespaces": ["a"]}]},
            {"role": "fargate", "clusters": "prod-1", "nodeRole": True, "type": "FARGATE_LINUX"},
        ],
    }  # fmt: skip
    assert imported.text.startswith("# yaml-language-server: $schema=access.schema.json\n")
    assert f"#   aws-auth of cluster kubedemy has {role_arn('Dead', path='/p/')}, which matches nobody" in imported.text
    assert compare(parse(imported.text), found, NOW).changes == ()


def test_the_same_grant_on_many_clusters_is_one() -> None:
    data = aws_auth([(role_arn("Admins"), "a", ["g"])])
    states = [cluster(f"c-{n}", aws_auth=data) for n in range(5)]
    imported = import_world(world([account(roles=[role("Admins")])], states))
    assert [grant["clusters"] for grant in imported.data["grants"]] == [[f"c-{n}" for n in range(5)]]


def test_names_that_several_things_have() -> None:
    other = "111122223333"
    data = aws_auth([(role_arn("Admins"), "a", []), (role_arn("Admins", other), "b", [])])
    states = [cluster(aws_auth=data), cluster(ident=other)]
    imported = import_world(
        world([account(roles=[role("Admins")]), account(roles=[role("Admins", account=other)], ident=other)], states)
    )
    assert imported.data["roles"]["Admins@account-111122223333"]["name"] == "Admins"
    assert [*imported.data["clusters"]] == [f"kubedemy@eu-west-2-{MAIN}", f"kubedemy@eu-west-2-{other}"]


@pytest.mark.parametrize(
    ("username", "groups", "told"),
    [("", ["g"], "it has no username"), ("u", ["g", "g"], "it has a group twice"), ("u", [""], "a group without a name"), ("a\u202eb", [], "characters that do not show")],
)  # fmt: skip
def test_what_a_file_cannot_say_is_told_and_its_principal_not_named(
    username: str, groups: list[str], told: str
) -> None:
    found = world(
        [account(roles=[role("Admins")])], [cluster(aws_auth=aws_auth([(role_arn("Admins"), username, groups)]))]
    )
    imported = import_world(found)
    assert told in "\n".join(imported.notes)
    assert imported.data["roles"] == {}
    assert compare(parse(imported.text), found, NOW).changes == ()


def test_an_entry_of_a_principal_that_is_gone() -> None:
    stale = replace(entry(role_arn("Admins", path="/old/"), "u", ["g"]), principal_id=GONE)
    found = world([account(roles=[role("Admins")])], [cluster(mode="API", entries=(stale,))])
    imported = import_world(found)
    assert "its principal is gone, and another has its name" in "\n".join(imported.notes)
    assert compare(parse(imported.text), found, NOW).changes == ()


def test_a_cluster_that_was_not_read_is_told() -> None:
    imported = import_world(world(clusters=[cluster(unread=("no way in",))]))
    assert imported.notes == ("cluster kubedemy could not be read: no way in",)


_json = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(_json)
@example(
    {
        "a": "yes",
        "b": "012",
        "c": "2012-10-17",
        "d": "1:30",
        "e": "~",
        "f": "",
        "g": "- x",
        "h": "#",
        "i": "a: b",
        "<<": "x",
    }
)
def test_yaml_is_written_so_that_every_reader_reads_the_same(value: object) -> None:
    text = block({"value": value})
    if readable(value):
        assert read_yaml(text, "f").data == {"value": value}
        assert yaml.safe_load(text) == {"value": value}


@given(st.text())
def test_a_comment_stays_one(text: str) -> None:
    assert yaml.safe_load(comment(text) + "a: 1\n") == {"a": 1}


@pytest.mark.parametrize(
    "word", ["yes", "No", "on", "true", "null", "y", "1", "1.5", "0x1", "2012-10-17", "", "a b", "{{x}}", "-", "a:"]
)
def test_words_that_could_be_something_else_are_quoted(word: str) -> None:
    assert scalar(word).startswith('"')
