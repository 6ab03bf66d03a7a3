"""Profiles as the AWS CLI user guide writes them, and random ones against botocore's own resolver."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

import pytest
from botocore.credentials import create_credential_resolver
from botocore.exceptions import BotoCoreError
from botocore.session import Session
from hypothesis import given, settings
from hypothesis import strategies as st

from rolecall.errors import RolecallError
from rolecall.exec_plugin.credential_plan import Hop, Plan, plan_credentials, profile_name
from rolecall.exec_plugin.session_name import check_given, derived, sanitise
from rolecall.exec_plugin.settings import resolve_settings
from rolecall.local_files.aws_config import AwsConfigError, read_aws_config

KEYS = "[default]\naws_access_key_id = AKIADEFAULT00000000\naws_secret_access_key = s\n"
ENV = {"AWS_ACCESS_KEY_ID": "AKIAENVIRONMENT00000", "AWS_SECRET_ACCESS_KEY": "s"}
NOWHERE = {"AWS_EC2_METADATA_DISABLED": "true"}


def plan(tmp_path: Path, config: str, credentials: str = KEYS, profile: str | None = None, **environ: str) -> Plan:
    (tmp_path / "config").write_text(config)
    (tmp_path / "credentials").write_text(credentials)
    files = read_aws_config(str(tmp_path / "config"), str(tmp_path / "credentials"))
    return plan_credentials({**NOWHERE, **environ}, files, profile)


def told(found: Plan) -> tuple[str, list[str]]:
    source = found.source.key.access_key_id if found.source.key else found.source.kind
    return source, [hop.role_arn.rpartition("/")[2] for hop in found.hops]


ROLE = "[profile a]\nrole_arn = arn:aws:iam::1:role/A\n"
SHAPES = [
    # AWS CLI user guide, "Using an IAM role in the AWS CLI", "Sourcing credentials with an external process", and so on
    ("default key", "", {}, None, ("AKIADEFAULT00000000", [])),
    ("environment", "", ENV, None, ("AKIAENVIRONMENT00000", [])),
    ("environment beats profile", ROLE + "source_profile = default\n", {**ENV, "AWS_PROFILE": "a"}, None, ("AKIAENVIRONMENT00000", [])),
    ("flag beats environment", ROLE + "source_profile = default\n", ENV, "a", ("AKIADEFAULT00000000", ["A"])),
    ("role", ROLE + "source_profile = default\n", {"AWS_PROFILE": "a"}, None, ("AKIADEFAULT00000000", ["A"])),
    ("old variable", ROLE + "source_profile = default\n", {"AWS_DEFAULT_PROFILE": "a"}, None, ("AKIADEFAULT00000000", ["A"])),
    ("chain", ROLE + "source_profile = b\n[profile b]\nrole_arn = arn:aws:iam::1:role/B\nsource_profile = default\n", {}, "a", ("AKIADEFAULT00000000", ["B", "A"])),
    ("credential_source", ROLE + "credential_source = Environment\n", ENV, "a", ("AKIAENVIRONMENT00000", ["A"])),
    ("instance", ROLE + "credential_source = Ec2InstanceMetadata\n", {}, "a", ("instance", ["A"])),
    ("container", ROLE + "credential_source = EcsContainer\n", {}, "a", ("container", ["A"])),
    ("own key of the role's profile", ROLE + "source_profile = a\naws_access_key_id = AKIASELF\naws_secret_access_key = s\n", {}, "a", ("AKIASELF", ["A"])),
    ("a source's key beats its role", ROLE + "source_profile = b\n[profile b]\nrole_arn = arn:aws:iam::1:role/B\nsource_profile = default\naws_access_key_id = AKIAB\naws_secret_access_key = s\n", {}, "a", ("AKIAB", ["A"])),
    ("SSO", "[profile a]\nsso_session = x\nsso_account_id = 1\nsso_role_name = r\n[sso-session x]\nsso_region = us-east-1\n", {}, "a", ("sso", [])),
    ("role by SSO", ROLE + "source_profile = s\n[profile s]\nsso_account_id = 1\nsso_role_name = r\n", {}, "a", ("sso", ["A"])),
    ("process", "[profile a]\ncredential_process = /bin/x\n", {}, "a", ("process", [])),
    ("web identity", "[profile a]\nrole_arn = arn:aws:iam::1:role/A\nweb_identity_token_file = /t\n", {}, "a", ("web-identity", [])),
    ("web identity of the environment", "", {"AWS_WEB_IDENTITY_TOKEN_FILE": "/t", "AWS_ROLE_ARN": "r"}, None, ("web-identity", [])),
    ("login", "[profile a]\nlogin_session = arn\n", {}, "a", ("login", [])),
    ("machine", "[profile a]\nregion = eu-west-2\n", {"AWS_EC2_METADATA_DISABLED": ""}, "a", ("instance", [])),
    ("container of the environment", "[profile a]\nregion = x\n", {"AWS_CONTAINER_CREDENTIALS_RELATIVE_URI": "/v2"}, "a", ("container", [])),
]  # fmt: skip


@pytest.mark.parametrize(
    ("config", "environ", "profile", "expected"), [s[1:] for s in SHAPES], ids=[s[0] for s in SHAPES]
)
def test_shapes(tmp_path: Path, config: str, environ: dict[str, str], profile: str | None, expected: Any) -> None:
    assert told(plan(tmp_path, config, profile=profile, **environ)) == expected


REFUSED = [
    ("no such profile", "", {"AWS_PROFILE": "none"}, "there is no profile 'none'"),
    ("both", ROLE + "source_profile = default\ncredential_source = Environment\n", {}, "one of source_profile and credential_source"),
    ("neither", ROLE, {}, "one of source_profile and credential_source"),
    ("no such source", ROLE + "source_profile = z\n", {}, "'z' of profile 'a' does not exist"),
    ("source without credentials", ROLE + "source_profile = z\n[profile z]\nregion = x\n", {}, "has no credentials"),
    ("circle", ROLE + "source_profile = b\n[profile b]\nrole_arn = r\nsource_profile = a\n", {}, "circle: a -> b -> a"),
    ("itself", ROLE + "source_profile = a\n", {}, "circle: a -> a"),
    ("unknown source", ROLE + "credential_source = Moon\n", {}, "credential_source 'Moon'"),
    ("half a key", "[profile a]\naws_access_key_id = AKIA\n", {}, "has no aws_secret_access_key"),
    ("half an environment", "", {"AWS_ACCESS_KEY_ID": "AKIA"}, "AWS_SECRET_ACCESS_KEY is not set"),
    ("duration", ROLE + "source_profile = default\nduration_seconds = 1h\n", {}, "not a number of seconds"),
    ("name", ROLE + "source_profile = default\nrole_session_name = a b\n", {}, "not one that STS accepts"),
    ("block", "[profile a]\nrole_arn =\n  x = y\nsource_profile = default\n", {}, "is a block"),
    ("nothing", "[profile a]\nregion = x\n", {}, "has no credentials"),
    ("expiration", "", {**ENV, "AWS_CREDENTIAL_EXPIRATION": "soon"}, "not a time"),
]  # fmt: skip


@pytest.mark.parametrize(("config", "environ", "words"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED])
def test_refused(tmp_path: Path, config: str, environ: dict[str, str], words: str) -> None:
    profile = None if "AWS_PROFILE" in environ or "AWS_ACCESS_KEY_ID" in environ else "a"
    with pytest.raises(RolecallError, match=words) as error:
        plan(tmp_path, config, profile=profile, **environ)
    assert error.value.where


def test_all_settings_of_a_role(tmp_path: Path) -> None:
    config = ROLE + (
        "source_profile = default\nrole_session_name = alice\nexternal_id = x1\nmfa_serial = arn:aws:iam::1:mfa/alice\n"
        "duration_seconds = 7200\nsource_identity = alice@corp\n"
    )
    (hop,) = plan(tmp_path, config, profile="a").hops
    assert (hop.session_name, hop.external_id, hop.mfa_serial, hop.duration, hop.source_identity) == (
        "alice", "x1", "arn:aws:iam::1:mfa/alice", 7200, "alice@corp",
    )  # fmt: skip
    assert hop.where == f"{tmp_path}/config:2"


def test_a_machines_credentials_are_bound_to_the_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A home on a file server: the role of one machine must not be found in the cache by another one."""
    bindings = []
    for name in ("one", "two"):
        monkeypatch.setattr(os, "uname", lambda name=name: SimpleNamespace(nodename=name))
        bindings.append(plan(tmp_path, "", "", AWS_CONTAINER_CREDENTIALS_RELATIVE_URI="/x").binding(0))
    assert bindings[0] != bindings[1]


def test_session_names(tmp_path: Path) -> None:
    chain = (
        ROLE + "source_profile = b\n[profile b]\nrole_arn = r\nsource_profile = default\nrole_session_name = alice\n"
    )
    assert [hop.session_name for hop in plan(tmp_path, chain, profile="a").hops] == ["alice", "alice"]
    alone = ROLE + "source_profile = default\n"
    assert plan(tmp_path, alone, profile="a").hops[0].session_name == derived({})
    assert plan(tmp_path, alone, profile="a", AWS_ROLE_SESSION_NAME="bob").hops[0].session_name == "bob"


@pytest.mark.parametrize(
    ("login", "profile", "name"),
    [
        ("ann", "work", "ann@"), ("ubuntu", "ann", "ann+ubuntu@"), ("ec2-user", "a b", "a-b+ec2-user@"), ("ubuntu", "", "ubuntu@"), ("ubuntu", "default", "ubuntu@"),
    ],
)  # fmt: skip
def test_an_account_that_many_share_is_told_apart_by_the_profile(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, login: str, profile: str, name: str
) -> None:
    monkeypatch.setattr(os, "getuid", lambda: 0)
    assert derived({"SUDO_USER": login}, profile).startswith(name)
    if profile in ("work", "ann"):
        config = f"[profile r]\nrole_arn = arn:aws:iam::1:role/A\nsource_profile = {profile}\n"
        key = f"[{profile}]\naws_access_key_id = AKIA\naws_secret_access_key = s\n"
        (hop,) = plan(tmp_path, config, key, "r", SUDO_USER=login).hops
        assert (hop.session_name or "").startswith(name)


def test_a_role_is_not_assumed_by_itself(tmp_path: Path) -> None:
    # aws-actions/configure-aws-credentials #1219: a profile of a role, and the role again in the kubeconfig
    found = plan(tmp_path, ROLE + "source_profile = default\n", profile="a")
    name = found.hops[0].session_name
    assert found.then(Hop("arn:aws:iam::1:role/A", "", session_name=name)) is found
    assert len(found.then(Hop("arn:aws:iam::1:role/A", "", session_name="other")).hops) == 2
    assert len(found.then(Hop("arn:aws:iam::1:role/A", "", session_name=name, external_id="x")).hops) == 2
    assert len(found.then(Hop("arn:aws:iam::1:role/B", "", session_name=name)).hops) == 2


@given(st.text(max_size=100))
def test_a_sanitised_name_is_one_that_sts_accepts(text: str) -> None:
    assert check_given(sanitise(text), "") == sanitise(text)


profile_keys = st.fixed_dictionaries(
    {},
    optional={
        "role_arn": st.sampled_from(["arn:aws:iam::1:role/A", "arn:aws:iam::1:role/B"]),
        "source_profile": st.sampled_from(["default", "a", "b", "c", "none"]),
        "credential_source": st.sampled_from(["Environment", "Moon"]),
        "aws_access_key_id": st.sampled_from(["AKIAA", "AKIAB"]),
        "aws_secret_access_key": st.just("s"),
        "external_id": st.just("x"),
        "role_session_name": st.just("me"),
        "duration_seconds": st.just("900"),
    },
)


@settings(max_examples=200)
@given(
    config=st.fixed_dictionaries(dict.fromkeys(("default", "a", "b", "c"), profile_keys)),
    credentials=st.dictionaries(st.sampled_from(["default", "a", "b"]), profile_keys, max_size=2),
    environment=st.booleans(),
)
def test_every_chain_is_botocores(
    tmp_path: Path, config: dict[str, dict[str, str]], credentials: dict[str, dict[str, str]], environment: bool
) -> None:
    texts = [
        "".join(f"[{head}{name}]\n" + "".join(f"{k} = {v}\n" for k, v in keys.items()) for name, keys in part.items())
        for head, part in (("profile ", config), ("", credentials))
    ]
    environ = ENV if environment else {}
    try:
        found = plan(tmp_path, texts[0], texts[1], profile="a", **environ)
        ours: Any = (
            found.source.key.access_key_id if found.source.key else found.source.kind,
            [(hop.role_arn, hop.external_id, hop.duration) for hop in found.hops],
        )
    except AwsConfigError:
        ours = None
    assert ours == by_botocore(tmp_path, environ)


def by_botocore(folder: Path, environ: dict[str, str]) -> Any:
    """The key that the first call is signed with, and the roles in order; ``None`` where botocore finds nothing."""
    roles: list[tuple[str, str | None, int | None]] = []
    signers: list[str] = []

    def client(*_: object, **options: Any) -> Any:
        def assume_role(**call: Any) -> Any:
            signers.append(options["aws_access_key_id"])
            roles.append((call["RoleArn"], call.get("ExternalId"), call.get("DurationSeconds")))
            moment = "2999-01-01T00:00:00Z"
            return {
                "Credentials": {
                    "AccessKeyId": "ASIA",
                    "SecretAccessKey": "s",
                    "SessionToken": "t",
                    "Expiration": moment,
                }
            }

        return mock.Mock(assume_role=assume_role, __enter__=mock.Mock())

    variables = {
        "AWS_CONFIG_FILE": str(folder / "config"), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "credentials"),
        **NOWHERE, **environ,
    }  # fmt: skip
    with mock.patch.dict("os.environ", variables, clear=True):
        session = Session(profile="a")
        with mock.patch.object(session, "create_client", client):
            try:
                found = create_credential_resolver(session).load_credentials()
                frozen = found.get_frozen_credentials() if found else None
            except BotoCoreError:
                return None
    return None if frozen is None else (signers[0] if signers else frozen.access_key, roles)


names = st.sampled_from(["default", "a", "b", "", "profile", "x y", "\u00e9"])
values = st.one_of(
    st.sampled_from(["default", "a", "b", "true", "eu-west-2", "Environment", "arn:aws:iam::1:role/x", "http://127.0.0.1:1", "\n  sts = 1"]),
    st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20),
)  # fmt: skip
keys = st.sampled_from([
    "role_arn", "source_profile", "credential_source", "aws_access_key_id", "aws_secret_access_key", "aws_session_token",
    "region", "endpoint_url", "services", "use_fips_endpoint", "duration_seconds", "role_session_name", "mfa_serial",
    "sso_account_id", "credential_process", "web_identity_token_file", "output", "ca_bundle", "sts",
])  # fmt: skip
files = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["profile ", "services ", ""]), names).map(lambda pair: f"[{pair[0]}{pair[1]}]"),
        st.tuples(keys, values).map(lambda pair: f"{pair[0]} = {pair[1]}"),
        values,
    ),
    max_size=15,
).map("\n".join)
variables = st.dictionaries(
    st.sampled_from([
        "AWS_PROFILE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_REGION", "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_STS", "AWS_USE_FIPS_ENDPOINT", "AWS_CREDENTIAL_EXPIRATION", "AWS_STS_REGIONAL_ENDPOINTS",
        "AWS_ROLE_SESSION_NAME", "AWS_WEB_IDENTITY_TOKEN_FILE",
    ]),
    values, max_size=5,
)  # fmt: skip


@settings(max_examples=400)
@given(config=files, credentials=files, environ=variables, profile=st.none() | names)
def test_hostile_files_and_variables_are_refused_with_a_reason_or_make_a_plan(
    tmp_path: Path, config: str, credentials: str, environ: dict[str, str], profile: str | None
) -> None:
    try:
        found = plan(tmp_path, config, credentials, profile, **environ)
        files = read_aws_config(str(tmp_path / "config"), str(tmp_path / "credentials"))
        how = resolve_settings(environ, files, profile_name(environ, profile))
    except RolecallError:
        return
    json.dumps(found.binding(len(found.hops)))
    assert len(found.hops) <= 6, "no profile is visited twice"
    for hop in found.hops:
        assert hop.session_name is None or check_given(hop.session_name, "") == hop.session_name
    url = urlsplit(how.endpoint)
    assert url.scheme == "https" or url.hostname in ("localhost", "127.0.0.1")
    assert not url.path
    assert not url.query
