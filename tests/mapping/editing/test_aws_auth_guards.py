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
    assert texts[Guard.LOCKOUT_CALLER].startswith("you would lock yourself out: aws-auth mapRoles line 4 lets in " + ME)
    assert f"those of {A}:role/node" in texts[Guard.LOCKOUT_NODES]
    assert ME in texts[Guard.LOCKOUT_LAST_ADMIN]
