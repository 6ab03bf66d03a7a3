"""What a change of aws-auth is refused for. Sources: containers-roadmap 185, 1209; Kubernetes "Node authorization"."""

from __future__ import annotations

import pytest

from rolecall.mapping.editing.guards import Administrators, Guard, refusals

A = "arn:aws:iam::111111111111"
NODES = f"- rolearn: {A}:role/node\n  username: system:node:{{{{EC2PrivateDNSName}}}}\n  groups: [system:bootstrappers, system:nodes]\n"
ADMIN = f"- rolearn: {A}:role/Admin\n  username: admin\n  groups: [system:masters]\n"
OTHER = f"- rolearn: {A}:role/Other\n  username: other\n  groups: [system:masters]\n"
PLATFORM = f"- rolearn: {A}:role/Platform\n  username: p\n  groups: [platform]\n"
BROKEN = "- rolearn: [\n"
ME = f"{A}:role/Admin"


@pytest.mark.parametrize(
    ("old", "new", "options", "expected"),
    [
        (NODES + ADMIN, NODES + ADMIN + PLATFORM, {}, []),
        (NODES + ADMIN + OTHER, NODES + OTHER, {}, [Guard.LOCKOUT_CALLER]),
        (NODES + ADMIN + OTHER, NODES + OTHER, {"caller": f"{A}:role/other"}, []),
        (NODES + ADMIN + OTHER, NODES + OTHER, {"by_entry": {ME.lower()}}, []),
        (NODES + ADMIN + OTHER, NODES + OTHER + ADMIN.replace("system:masters", "dev"), {}, [Guard.LOCKOUT_CALLER]),
        # a later duplicate shadows, and takes the rights away
        (
            NODES + ADMIN + OTHER,
            NODES + ADMIN + OTHER + ADMIN.replace("system:masters", "dev"),
            {},
            [Guard.LOCKOUT_CALLER, Guard.NEVER_MATCHES],
        ),
        (NODES + ADMIN, NODES, {"caller": ""}, [Guard.LOCKOUT_LAST_ADMIN]),
        (NODES + ADMIN, NODES, {"caller": "", "administrators": Administrators(elsewhere=True)}, []),
        (
            NODES + PLATFORM,
            NODES,
            {"administrators": Administrators(groups=frozenset({"platform"}))},
            [Guard.LOCKOUT_LAST_ADMIN],
        ),
        (NODES + ADMIN, ADMIN, {}, [Guard.LOCKOUT_NODES]),
        (NODES + ADMIN, NODES.replace("system:nodes", "nodes") + ADMIN, {}, [Guard.LOCKOUT_NODES, Guard.NEVER_MATCHES]),
        (NODES + ADMIN, ADMIN, {"by_entry": {f"{A}:role/node"}}, []),
        (
            NODES + ADMIN,
            BROKEN,
            {},
            [Guard.LOCKOUT_CALLER, Guard.LOCKOUT_NODES, Guard.LOCKOUT_LAST_ADMIN, Guard.NEVER_MATCHES],
        ),
        (NODES + ADMIN, NODES + ADMIN + OTHER, {}, [Guard.SYSTEM_MASTERS]),
        (NODES + ADMIN, NODES + ADMIN + PLATFORM.replace("role/", "role/team/"), {}, [Guard.NEVER_MATCHES]),
        # what was wrong before is no reason to refuse another change
        (NODES + ADMIN + "- x\n", NODES + ADMIN + "- x\n" + PLATFORM, {}, []),
        ("", ADMIN, {}, [Guard.SYSTEM_MASTERS]),
    ],
)
def test_refusals(old: str, new: str, options: dict[str, object], expected: list[Guard]) -> None:
    found = refusals({"mapRoles": old}, {"mapRoles": new}, **{"caller": ME, **options})  # type: ignore[arg-type]
    assert [refusal.guard for refusal in found] == expected, found


def test_the_sentences_name_who_and_where() -> None:
    texts = {refusal.guard: refusal.text for refusal in refusals({"mapRoles": NODES + ADMIN}, {}, caller=ME)}
    assert texts[Guard.LOCKOUT_CALLER].startswith(
        f"this would lock you out: you get in as {ME} by aws-auth mapRoles line 4"
    )
    assert f"those of {A}:role/node" in texts[Guard.LOCKOUT_NODES]
    assert ME in texts[Guard.LOCKOUT_LAST_ADMIN]


MASTERS = "groups: [system:masters]"
# Entries of an administrator by which nobody gets in, each for another reason; lint calls each an error.
DEAD = {
    "path": f"- rolearn: {A}:role/aws-reserved/sso.amazonaws.com/Dead\n  username: dead\n  {MASTERS}\n",
    "session": f"- rolearn: arn:aws:sts::111111111111:assumed-role/Dead/me\n  username: dead\n  {MASTERS}\n",
    "no username": f"- rolearn: {A}:role/Dead\n  {MASTERS}\n",
    "username is a truth value": f"- rolearn: {A}:role/Dead\n  username: yes\n  {MASTERS}\n",
    "misspelt username": f"- rolearn: {A}:role/Dead\n  usrname: dead\n  {MASTERS}\n",
    "no ARN": f"- username: dead\n  {MASTERS}\n",
    "no principal": f"- rolearn: arn:aws:iam:eu-west-2:111111111111:role/Dead\n  username: dead\n  {MASTERS}\n",
    "eleven digits": f"- rolearn: arn:aws:iam::11111111111:role/Dead\n  username: dead\n  {MASTERS}\n",
    "no name": f"- rolearn: {A}:role/De ad\n  username: dead\n  {MASTERS}\n",
    "pattern": f"- rolearn: {A}:role/*\n  username: dead\n  {MASTERS}\n",
    "both": f"- rolearn: {A}:role/Dead\n  sso: {{}}\n  username: dead\n  {MASTERS}\n",
    "groups are text": f"- rolearn: {A}:role/Dead\n  username: dead\n  groups: system:masters\n",
    "group": f"- rolearn: {A}:role/Dead\n  username: dead\n  group: [system:masters]\n",
    "shadowed": f"- rolearn: {A}:role/Dead\n  username: dead\n  {MASTERS}\n- rolearn: {A}:role/dead\n  username: x\n",
    # EKS ignores these; other authenticators do not.
    "capital key": f"- roleARN: {A}:role/Dead\n  username: dead\n  {MASTERS}\n",
    "permission set": f"- sso: {{permissionSetName: A, accountID: '111111111111'}}\n  username: dead\n  {MASTERS}\n",
}


@pytest.mark.parametrize("dead", DEAD.values(), ids=DEAD)
def test_the_last_administrator_is_counted_by_who_gets_in(dead: str) -> None:
    """aws-cdk issue 6982; 3 of 134 public manifests have an administrator who is none."""
    for old, new in ((dead + ADMIN, dead), (ADMIN + dead, dead), (dead + ADMIN, dead + ADMIN.replace("masters", "x"))):
        found = [refusal.guard for refusal in refusals({"mapRoles": old}, {"mapRoles": new})]
        assert Guard.LOCKOUT_LAST_ADMIN in found, found
    # Setting it aside changes nothing for anybody.
    found = [refusal.guard for refusal in refusals({"mapRoles": dead + ADMIN}, {"mapRoles": ADMIN})]
    assert found == []
    if "sso: {}" in dead:
        return  # nobody reads sso in mapUsers
    users = {"mapUsers": dead.replace("rolearn", "userarn").replace("roleARN", "userARN"), "mapRoles": ADMIN}
    found = [refusal.guard for refusal in refusals(users, {**users, "mapRoles": ""})]
    assert Guard.LOCKOUT_LAST_ADMIN in found


@pytest.mark.parametrize("kind", ["path", "no username", "both", "no principal"])
def test_an_entry_that_lets_nobody_in_can_be_removed_when_it_is_the_only_one(kind: str) -> None:
    assert refusals({"mapRoles": DEAD[kind]}, {"mapRoles": ""}) == ()


@pytest.mark.parametrize("kind", ["capital key", "permission set"])
def test_an_entry_that_some_authenticators_read_is_not_the_last_to_go(kind: str) -> None:
    assert [r.guard for r in refusals({"mapRoles": DEAD[kind]}, {"mapRoles": ""})] == [Guard.LOCKOUT_LAST_ADMIN]


def test_nodes_are_those_of_an_entry_that_matches() -> None:
    """EKS writes the entry with a path, people add the one without: aws/containers-roadmap issue 926."""
    pooled = NODES.replace("role/node", "role/eu/pool/node")
    assert refusals({"mapRoles": pooled + NODES}, {"mapRoles": NODES}) == ()
    found = refusals({"mapRoles": pooled + NODES}, {"mapRoles": pooled})
    assert [refusal.guard for refusal in found] == [Guard.LOCKOUT_NODES]
    users = NODES.replace("rolearn", "userarn")
    assert [r.guard for r in refusals({"mapUsers": users}, {"mapUsers": ""})] == [Guard.LOCKOUT_NODES]
    misnamed = NODES.replace("{{EC2PrivateDNSName}}", "{{ec2privatednsname}}")
    assert Guard.LOCKOUT_NODES in [r.guard for r in refusals({"mapRoles": NODES}, {"mapRoles": misnamed})]


def test_the_caller_gets_in_by_an_entry_that_matches() -> None:
    good, dead = ADMIN + OTHER, ADMIN.replace("role/", "role/team/") + OTHER
    found = refusals({"mapRoles": good}, {"mapRoles": dead}, caller=ME)
    assert Guard.LOCKOUT_CALLER in [refusal.guard for refusal in found]
    nameless = ADMIN.replace("  username: admin\n", "") + OTHER
    found = refusals({"mapRoles": good}, {"mapRoles": nameless}, caller=ME)
    assert Guard.LOCKOUT_CALLER in [refusal.guard for refusal in found]
    assert refusals({"mapRoles": nameless}, {"mapRoles": OTHER}, caller=ME) == ()


def test_administrators_between_whom_it_is_undecided_and_those_who_are_gone_do_not_count() -> None:
    ann = f"- userarn: {A}:user/ann\n  username: ann\n  groups: [system:masters]\n"
    other = f"- userarn: {A}:user/ANN\n  username: ann\n  groups: [dev]\n"
    found = refusals({"mapRoles": ADMIN, "mapUsers": ann + other}, {"mapUsers": ann + other})
    assert [refusal.guard for refusal in found] == [Guard.LOCKOUT_LAST_ADMIN]
    gone = {f"{A}:role/other"}
    found = refusals({"mapRoles": ADMIN + OTHER}, {"mapRoles": OTHER}, gone=gone)
    assert [refusal.guard for refusal in found] == [Guard.LOCKOUT_LAST_ADMIN]
    assert refusals({"mapRoles": ADMIN + OTHER}, {"mapRoles": ADMIN}, gone=gone) == ()
