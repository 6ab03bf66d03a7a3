"""From identity to user: precedence, modes, templates. Source: facts/eks.md 3.1 to 3.5 and the pages named there."""

from __future__ import annotations

import pytest

from rolecall.mapping.access_entries import AccessEntry, EntryType
from rolecall.mapping.identity_mappings import IdentityMapping, status_of
from rolecall.mapping.reading.aws_auth import parse_aws_auth
from rolecall.mapping.resolve import AuthenticationMode, Mappings, ModeChangeError, check_mode_change, resolve
from rolecall.mapping.templates import TemplateError, render
from rolecall.model import Identity

ROLE = "arn:aws:iam::111111111111:role/Dev"
IDENTITY = Identity(
    "arn:aws:sts::111111111111:assumed-role/Dev/ann@example.com",
    ROLE,
    "111111111111",
    "AROADEV",
    "ann@example.com",
    "ASIAKEY",
)
AWS_AUTH = parse_aws_auth({"mapRoles": f"- rolearn: {ROLE}\n  username: by-config-map\n  groups: [cm]\n"})
ENTRY = AccessEntry(ROLE, "AROADEV", EntryType.STANDARD, "by-entry:{{SessionName}}", ("e",))
MODES = AuthenticationMode


def user(mappings: Mappings, identity: Identity = IDENTITY) -> tuple[str, tuple[str, ...]] | None:
    found = resolve(identity, mappings).user
    return (found.username, found.groups) if found else None


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (MODES.CONFIG_MAP, ("by-config-map", ("cm",))),
        (MODES.API_AND_CONFIG_MAP, ("by-entry:ann-example.com", ("e",))),
        (MODES.API, ("by-entry:ann-example.com", ("e",))),
    ],
)
def test_an_entry_wins_and_nothing_is_merged(mode: AuthenticationMode, expected: object) -> None:
    assert user(Mappings(mode, {"AROADEV": ENTRY}, AWS_AUTH)) == expected


def test_an_entry_is_bound_to_the_id_and_aws_auth_to_the_name() -> None:
    """EKS user guide: a role made anew has another id; its entry is dead, its aws-auth line matches again."""
    entries = {"AROAOLD": ENTRY}
    assert user(Mappings(MODES.API, entries, AWS_AUTH)) is None
    assert user(Mappings(MODES.API_AND_CONFIG_MAP, entries, AWS_AUTH)) == ("by-config-map", ("cm",))


def test_without_a_mapping_nobody() -> None:
    decision = resolve(
        IDENTITY,
        Mappings(
            MODES.API_AND_CONFIG_MAP,
            {},
            parse_aws_auth({"mapRoles": f"- rolearn: {ROLE.replace('role/', 'role/x/')}\n"}),
        ),
    )
    assert decision.user is None
    assert "no access entry and no aws-auth entry" in decision.reasons[0].text
    assert "aws-auth mapRoles line 1" in decision.reasons[0].text


def test_the_creator_is_a_hidden_administrator_with_the_config_map_alone() -> None:
    assert user(Mappings(MODES.CONFIG_MAP, creator=ROLE)) == ("kubernetes-admin", ("system:masters",))
    assert user(Mappings(MODES.API, {}, creator=ROLE)) is None


def test_identity_mappings_match_their_status() -> None:
    status = status_of("arn:aws:iam::111111111111:role/Dev")
    found = IdentityMapping.from_object(
        {"metadata": {"name": "m"}, "spec": {"username": "crd", "groups": ["g"]}, "status": status}
    )
    assert found is not None
    assert user(Mappings(MODES.API, {}, identity_mappings=(found,))) == ("crd", ("g",))
    assert IdentityMapping.from_object({"metadata": {"name": "m"}, "spec": {"arn": ROLE}}) is None


def test_extras_and_uid() -> None:
    found = resolve(IDENTITY, Mappings(MODES.CONFIG_MAP, aws_auth=AWS_AUTH)).user
    assert found is not None
    assert found.uid == "aws-iam-authenticator:111111111111:AROADEV"
    assert found.extra["sessionName"] == ("ann@example.com",)
    assert found.extra["sigs.k8s.io/aws-iam-authenticator/principalId"] == ("AROADEV",)
    assert set(found.extra) == {
        "accessKeyId",
        "arn",
        "canonicalArn",
        "principalId",
        "sessionName",
        "sigs.k8s.io/aws-iam-authenticator/principalId",
    }


@pytest.mark.parametrize(
    ("template", "expected"),
    [
        ("admin:{{AccessKeyID}}:{{SessionName}}", "admin:ASIAKEY:ann-example.com"),
        ("{{SessionNameRaw}}@{{AccountID}}", "ann@example.com@111111111111"),
        ("{{sessionname}}", "{{sessionname}}"),
        ("{{ SessionName }}", "{{ SessionName }}"),
        ("plain", "plain"),
    ],
)
def test_templates(template: str, expected: str) -> None:
    assert render(template, IDENTITY) == expected


def test_a_node_name_needs_an_instance_id() -> None:
    with pytest.raises(TemplateError, match="instance id"):
        render("system:node:{{EC2PrivateDNSName}}", IDENTITY)


@pytest.mark.parametrize("old", list(MODES))
@pytest.mark.parametrize("new", list(MODES))
def test_the_mode_goes_one_step_forward_and_never_back(old: AuthenticationMode, new: AuthenticationMode) -> None:
    allowed = {(MODES.CONFIG_MAP, MODES.API_AND_CONFIG_MAP), (MODES.API_AND_CONFIG_MAP, MODES.API)}
    if (old, new) in allowed:
        check_mode_change(old, new)
    else:
        with pytest.raises(ModeChangeError, match="Unsupported authentication mode update"):
            check_mode_change(old, new)
