"""Worlds made by hand and at random, for tests of what follows from a world."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from hypothesis import strategies as st

from rolecall.access.world import ClusterState, World
from rolecall.iam.account import Account, IamRole, IamUser, canonical_document
from rolecall.mapping.access_entries import AccessEntry, AssociatedPolicy, EntryType, ScopeType
from rolecall.mapping.identity_mappings import IdentityMapping
from rolecall.mapping.resolve import AuthenticationMode
from rolecall.rbac.rules import Binding, PolicyRule, Subject

NOW = datetime(2026, 1, 1, tzinfo=UTC)
MAIN, OTHER = "231144931069", "444455556666"
REGION = "eu-west-2"
EVERYTHING = (PolicyRule(("*",), ("*",), ("*",)), PolicyRule(("*",), non_resource_urls=("*",)))
ANY_POLICY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]}
SSO_PATH = "/aws-reserved/sso.amazonaws.com/eu-west-2/"


def trust(*arns: str, **condition: Any) -> dict[str, Any]:
    """A trust policy that lets in some principals."""
    statement: dict[str, Any] = {
        "Effect": "Allow",
        "Principal": {"AWS": arns[0] if len(arns) == 1 else list(arns)},
        "Action": "sts:AssumeRole",
    }
    return {"Version": "2012-10-17", "Statement": [statement | ({"Condition": condition} if condition else {})]}


def user_arn(name: str, account: str = MAIN, path: str = "/") -> str:
    return f"arn:aws:iam::{account}:user{path}{name}"


def role_arn(name: str, account: str = MAIN, path: str = "/") -> str:
    return f"arn:aws:iam::{account}:role{path}{name}"


def cluster_arn(name: str = "kubedemy", account: str = MAIN) -> str:
    return f"arn:aws:eks:{REGION}:{account}:cluster/{name}"


def user(name: str, account: str = MAIN, path: str = "/", **more: Any) -> IamUser:
    return IamUser(name, user_arn(name, account, path), f"AIDA{abs(hash((account, name))):016}"[:20], path, **more)


def role(
    name: str, trusts: Mapping[str, Any] | None = None, account: str = MAIN, path: str = "/", **more: Any
) -> IamRole:
    document = canonical_document(trusts or trust(user_arn("ann", account)))
    ident = f"AROA{abs(hash((account, name))):016}"[:20]
    inline = {key: json.dumps(value) for key, value in more.pop("inline", {}).items()}
    return IamRole(name, role_arn(name, account, path), document, ident, path, inline=inline, **more)


def account(users: Sequence[IamUser] = (), roles: Sequence[IamRole] = (), ident: str = MAIN) -> Account:
    return Account(ident, "aws", {u.name: u for u in users}, {r.name: r for r in roles})


def aws_auth(
    roles: Sequence[tuple[str, str, Sequence[str]]] = (), users: Sequence[tuple[str, str, Sequence[str]]] = ()
) -> dict[str, str]:
    """The ConfigMap's data with entries of ARN, username and groups."""

    def text(key: str, entries: Sequence[tuple[str, str, Sequence[str]]]) -> str:
        return "".join(
            f"- {key}: {arn}\n  username: {json.dumps(name)}\n  groups: {json.dumps(list(groups))}\n"
            for arn, name, groups in entries
        )

    data = {"mapRoles": text("rolearn", roles), "mapUsers": text("userarn", users)}
    return {key: value for key, value in data.items() if value}


def entry(
    arn: str,
    username: str,
    groups: Sequence[str] = (),
    kind: str = "STANDARD",
    policies: Mapping[str, Sequence[str]] | None = None,
) -> AccessEntry:
    """An access entry; ``policies``: namespaces by the policy's name, none for the whole cluster."""
    associated = tuple(
        AssociatedPolicy(
            f"arn:aws:eks::aws:cluster-access-policy/{name}",
            ScopeType.NAMESPACE if namespaces else ScopeType.CLUSTER,
            tuple(namespaces),
        )
        for name, namespaces in (policies or {}).items()
    )
    return AccessEntry(arn, f"id-of-{arn}", EntryType(kind), username, tuple(groups), associated)


def binding(
    name: str, group: str, role_name: str = "cluster-admin", namespace: str = "", kind: str = "Group"
) -> Binding:
    return Binding(name, namespace, "ClusterRole", role_name, (Subject(kind, group),))


def cluster(name: str = "kubedemy", mode: str = "CONFIG_MAP", ident: str = MAIN, **more: Any) -> ClusterState:
    roles = {("", "cluster-admin"): EVERYTHING, ("", "view"): (PolicyRule(("get", "list"), ("",), ("pods",)),)}
    masters = Binding("cluster-admin", "", "ClusterRole", "cluster-admin", (Subject("Group", "system:masters"),))
    more["bindings"] = (masters, *more.get("bindings", ()))
    more.setdefault("roles", roles)
    return ClusterState(cluster_arn(name, ident), name, ident, REGION, AuthenticationMode(mode), **more)


def world(accounts: Sequence[Account] = (), clusters: Sequence[ClusterState] = (), caller: str = "") -> World:
    return World(NOW, {a.id: a for a in accounts or [account()]}, {c.arn: c for c in clusters}, caller)


# A file that speaks about the worlds below.
ORGANISATION = f"""\
accounts: {{main: {{id: "{MAIN}"}}, second: {{id: "111122223333"}}}}
people:
  ann: {{user: ann, account: main, path: /team/, tags: {{a: b}}}}
  bob: {{user: Bob, account: second, state: absent}}
  cho: {{user: cho.x, account: second}}
  far: {{arn: "{user_arn("gone", OTHER)}"}}
groups: {{team: [ann, cho]}}
roles:
  Admins: {{account: main, assumableBy: [team, far], conditions: {{mfa: true}}, tags: {{x: z}}}}
  devs: {{account: second, assumableBy: [{{person: cho, until: 2026-05-01}}], policies: {{}}}}
  node: {{arn: "{role_arn("Node-1")}"}}
  gone: {{name: Node-1, account: second, state: absent}}
clusters:
  a: {{account: main, region: eu-west-2, name: kubedemy, unlisted: remove}}
  b: {{account: second, region: eu-west-2, name: kubedemy}}
  c: {{account: second, region: eu-west-2, name: prod-1, mapping: crd}}
  d: {{account: main, region: eu-west-2, name: prod-1, mapping: access-entries}}
grants:
  - {{role: Admins, clusters: "*", username: "admin:{{{{SessionName}}}}", groups: [ops], bindings: [{{clusterRole: cluster-admin}}]}}
  - {{role: devs, clusters: [a, b], groups: [devs], bindings: [{{clusterRole: edit, namespace: x}}, {{clusterRole: view}}]}}
  - {{role: node, clusters: [a, d], nodeRole: true}}
  - {{person: ann, clusters: c, username: emergency, until: 2026-02-01, bindings: [{{clusterRole: view}}]}}
"""  # fmt: skip

# Worlds at random: few names, so that they meet.
_names = st.sampled_from(["ann", "Bob", "cho.x", "dan@example.com"])
_roles = st.sampled_from(["Admins", "devs", "Node-1", "AWSReservedSSO_Platform_0123456789abcdef"])
_paths = st.sampled_from(["/", "/team/"])
_usernames = st.sampled_from(
    ["admin:{{SessionName}}", "u", "arn-like:x", "system:node:{{EC2PrivateDNSName}}", "é", "a b"]
)
_groups = st.lists(
    st.sampled_from(["system:masters", "devs", "view:all", "platform/x", "system:nodes"]), max_size=3, unique=True
)
_tags = st.dictionaries(st.sampled_from(["owner", "a:b"]), st.sampled_from(["", "x", "012", "yes"]), max_size=2)


_BINDINGS = [
    binding("mine", "devs", "view"),
    binding("b", "devs", namespace="x"),
    binding("again", "devs", "view"),
    binding("rolecall:view:all", "view:all", "view"),
    binding("of-a-user", "u", "view", kind="User"),
    binding("nobody's", "nobody", "view"),
]


@st.composite
def _accounts(draw: st.DrawFn, ident: str) -> Account:
    users = [user(name, ident, draw(_paths), tags=draw(_tags)) for name in draw(st.sets(_names))]
    people = [*(u.arn for u in users), user_arn("eve", OTHER), f"arn:aws:iam::{OTHER}:root", role_arn("ci", OTHER)]
    roles = []
    for name in sorted(draw(st.sets(_roles))):
        path = SSO_PATH if name.startswith("AWSReserved") else draw(_paths)
        roles.append(
            role(
                name, draw(_trusts(people)), ident, path,
                description=draw(st.sampled_from(["", "ours: 'yes'"])),
                max_session_duration=draw(st.sampled_from([3600, 43200])),
                tags=draw(_tags),
                inline=draw(st.dictionaries(st.sampled_from(["p", "rolecall-describe-clusters"]), st.just(ANY_POLICY), max_size=1)),
            )
        )  # fmt: skip
    return account(users, roles, ident)


@st.composite
def _trusts(draw: st.DrawFn, people: list[str]) -> dict[str, Any]:
    found = draw(st.lists(st.sampled_from(people), min_size=1, max_size=4, unique=True))
    condition = draw(
        st.sampled_from(
            [
                {},
                {"Bool": {"aws:MultiFactorAuthPresent": "true"}},
                {"Bool": {"aws:MultiFactorAuthPresent": "false"}},
                {"StringEquals": {"sts:ExternalId": "abc", "sts:RoleSessionName": "${aws:username}"}},
                {"StringLike": {"aws:PrincipalTag/team": "x*"}},
                {"DateLessThan": {"aws:CurrentTime": "2026-06-01T00:00:00Z"}},
                {"DateLessThan": {"aws:CurrentTime": "2025-06-01T00:00:00Z"}},
                {"IpAddress": {"aws:SourceIp": ["203.0.113.0/24", "198.51.100.1/32"]}},
            ]
        )
    )
    document = trust(*found, **condition)
    extra = draw(st.sampled_from([None, "sid", "service", "deny", "nobody"]))
    if extra == "sid":
        document["Statement"][0]["Sid"] = "Ours"
    elif extra == "service":
        document["Statement"].append(
            {"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}
        )
    elif extra == "deny":
        document["Statement"].append({"Effect": "Deny", "Principal": {"AWS": people[0]}, "Action": "sts:AssumeRole"})
    elif extra == "nobody":
        document["Statement"] = [{"Effect": "Deny", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}]
    return document


@st.composite
def _clusters(draw: st.DrawFn, name: str, ident: str, principals: list[str]) -> ClusterState:
    mode = draw(st.sampled_from(list(AuthenticationMode)))
    gone = [
        role_arn("gone"),
        role_arn("far", OTHER, "/p/"),
        user_arn("gone", OTHER),
        f"arn:aws:sts::{MAIN}:assumed-role/x/y",
        "nonsense",
    ]
    arns = st.sampled_from([*principals, *(arn.replace("/team/", "/") for arn in principals), *gone])
    entries = st.lists(st.tuples(arns, _usernames, _groups), max_size=5)
    data = draw(st.none() | st.builds(aws_auth, entries, entries)) if mode.reads_config_map else None
    own = sorted({arn for arn in principals if ":sts:" not in arn})
    access_entries = []
    if mode.reads_entries:
        for arn in draw(st.sets(st.sampled_from(own))) if own else ():
            kind = draw(st.sampled_from(["STANDARD", "STANDARD", "EC2_LINUX", "FARGATE_LINUX"]))
            access_entries.append(draw(_entries(arn, kind)))
    objects = draw(
        st.lists(
            st.tuples(st.sampled_from(["m1", "m2", "m3"]), arns, _usernames, _groups),
            max_size=3,
            unique_by=lambda one: one[0],
        )
    )
    return cluster(
        name, mode.value, ident,
        aws_auth=data,
        entries=tuple(access_entries),
        identity_mappings=tuple(IdentityMapping(n, arn.lower(), u, tuple(g)) for n, arn, u, g in objects),
        bindings=tuple(draw(st.lists(st.sampled_from(_BINDINGS), unique=True))),
        managed_bindings=frozenset((b.namespace, b.name) for b in _BINDINGS if draw(st.booleans())),
    )  # fmt: skip


@st.composite
def _entries(draw: st.DrawFn, arn: str, kind: str) -> AccessEntry:
    from rolecall.arn import PrincipalArn
    from rolecall.mapping.access_entries import default_groups, default_username

    if kind != "STANDARD" and ":role/" in arn:
        found = EntryType(kind)
        return entry(arn, default_username(PrincipalArn.parse(arn), found), default_groups(found), kind)
    policies = draw(
        st.dictionaries(
            st.sampled_from(["AmazonEKSViewPolicy", "AmazonEKSClusterAdminPolicy"]),
            st.sampled_from([(), ("dev-*", "x")]),
            max_size=2,
        )
    )
    return entry(arn, draw(_usernames), draw(_groups), policies=policies)


@st.composite
def worlds(draw: st.DrawFn) -> World:
    """Worlds of two accounts and a few clusters, with the disorder that real ones have."""
    accounts = [draw(_accounts(ident)) for ident in (MAIN, "111122223333")]
    principals = [one.arn for found in accounts for one in (*found.users.values(), *found.roles.values())]
    clusters = [
        draw(_clusters(name, found.id, principals))
        for found in accounts
        for name in sorted(draw(st.sets(st.sampled_from(["kubedemy", "prod-1"]))))
    ]
    return world(accounts, clusters)
