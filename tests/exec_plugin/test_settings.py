"""Which STS is asked. Source: AWS SDKs and Tools reference guide, "Service-specific endpoints"."""

from __future__ import annotations

import pytest

from rolecall.errors import RolecallError
from rolecall.exec_plugin.settings import resolve_settings
from rolecall.local_files.aws_config import AwsConfig, Profile, parse_sections

CONFIG = """\
[profile region]
region = ap-southeast-2
[profile fips]
region = us-east-1
use_fips_endpoint = true
[profile dual]
region = eu-west-1
use_dualstack_endpoint = true
[profile global]
endpoint_url = http://127.0.0.1:1
[profile service]
services = lab
endpoint_url = http://127.0.0.1:1
[profile lost]
services = nowhere
[profile ignoring]
region = eu-west-1
endpoint_url = http://127.0.0.1:1
ignore_configured_endpoint_urls = true
[profile legacy]
region = eu-west-2
sts_regional_endpoints = legacy
[profile wrong]
use_fips_endpoint = maybe
"""


def config() -> AwsConfig:
    found = AwsConfig("config", "credentials")
    for name, section in parse_sections(CONFIG, "config").items():
        found.profiles[name.removeprefix("profile ")] = profile = Profile(name)
        profile.add(section)
    found.services = parse_sections("[lab]\nsts =\n  endpoint_url = http://127.0.0.1:2\n", "config")
    return found


CASES = [
    # profile, environment, flags -> endpoint, region to sign for
    ("", {}, {}, "https://sts.amazonaws.com", "us-east-1"),
    ("", {"AWS_DEFAULT_REGION": "eu-west-2"}, {}, "https://sts.eu-west-2.amazonaws.com", "eu-west-2"),
    ("", {"AWS_REGION": "eu-west-1", "AWS_DEFAULT_REGION": "eu-west-2"}, {}, "https://sts.eu-west-1.amazonaws.com", "eu-west-1"),
    ("region", {}, {}, "https://sts.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
    ("region", {"AWS_REGION": "eu-west-1"}, {}, "https://sts.eu-west-1.amazonaws.com", "eu-west-1"),
    ("region", {"AWS_REGION": "eu-west-1"}, {"region": "cn-north-1"}, "https://sts.cn-north-1.amazonaws.com.cn", "cn-north-1"),
    ("fips", {}, {}, "https://sts-fips.us-east-1.amazonaws.com", "us-east-1"),
    ("", {"AWS_REGION": "us-gov-west-1", "AWS_USE_FIPS_ENDPOINT": "true"}, {}, "https://sts.us-gov-west-1.amazonaws.com", "us-gov-west-1"),
    ("dual", {}, {}, "https://sts.eu-west-1.api.aws", "eu-west-1"),
    ("", {"AWS_REGION": "aws-global"}, {}, "https://sts.amazonaws.com", "us-east-1"),
    ("", {"AWS_REGION": "aws-global", "AWS_USE_FIPS_ENDPOINT": "true"}, {}, "https://sts-fips.us-east-1.amazonaws.com", "us-east-1"),
    ("dual", {"AWS_REGION": "aws-global"}, {}, "https://sts.us-east-1.api.aws", "us-east-1"),
    ("region", {"AWS_REGION": " "}, {}, "https://sts.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
    ("legacy", {}, {}, "https://sts.amazonaws.com", "us-east-1"),
    ("", {"AWS_REGION": "eu-west-2", "AWS_STS_REGIONAL_ENDPOINTS": "legacy"}, {}, "https://sts.amazonaws.com", "us-east-1"),
    ("global", {}, {}, "http://127.0.0.1:1", "us-east-1"),
    ("service", {}, {}, "http://127.0.0.1:2", "us-east-1"),
    ("service", {"AWS_ENDPOINT_URL": "http://localhost:3"}, {}, "http://localhost:3", "us-east-1"),
    ("service", {"AWS_ENDPOINT_URL": "http://localhost:3", "AWS_ENDPOINT_URL_STS": "https://sts.corp.example/"}, {}, "https://sts.corp.example", "us-east-1"),
    ("", {"AWS_ENDPOINT_URL_STS": "http://localhost:3"}, {"endpoint": "http://[::1]:4"}, "http://[::1]:4", "us-east-1"),
    ("ignoring", {}, {}, "https://sts.eu-west-1.amazonaws.com", "eu-west-1"),
    ("region", {"AWS_ENDPOINT_URL": "http://localhost:3", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"}, {}, "https://sts.ap-southeast-2.amazonaws.com", "ap-southeast-2"),
]  # fmt: skip


@pytest.mark.parametrize(("profile", "environ", "flags", "endpoint", "region"), CASES)
def test_endpoint(profile: str, environ: dict[str, str], flags: dict[str, str], endpoint: str, region: str) -> None:
    found = resolve_settings(environ, config(), profile, **flags)
    assert (found.endpoint, found.region) == (endpoint, region)


@pytest.mark.parametrize(
    ("profile", "environ", "words"),
    [
        ("", {"AWS_REGION": "eu-west-2.evil.example"}, "not an AWS region"),
        ("", {"AWS_ENDPOINT_URL": "http://sts.corp.example"}, "unencrypted"),
        ("", {"AWS_ENDPOINT_URL": "http://127.0.0.1.evil.example"}, "unencrypted"),
        ("", {"AWS_ENDPOINT_URL": "https://user:pw@host"}, "not the URL of a host"),
        ("", {"AWS_ENDPOINT_URL": "https://host/path"}, "not the URL of a host"),
        ("", {"AWS_ENDPOINT_URL": "https://host:99999"}, "not the URL of a host"),
        ("", {"AWS_ENDPOINT_URL": "ftp://host"}, "not the URL of a host"),
        ("", {"AWS_ENDPOINT_URL": "https://ho\r\nst"}, "not the URL of a host"),
        ("fips", {"AWS_ENDPOINT_URL": "https://host"}, "neither FIPS"),
        ("", {"AWS_USE_FIPS_ENDPOINT": "true"}, "name a region"),
        ("lost", {}, r"no section \[services nowhere\]"),
        ("wrong", {}, "true or false"),
        ("", {"AWS_STS_REGIONAL_ENDPOINTS": "global"}, "regional or legacy"),
    ],
)
def test_what_makes_no_sense_is_refused(profile: str, environ: dict[str, str], words: str) -> None:
    with pytest.raises(RolecallError, match=words):
        resolve_settings(environ, config(), profile)


def test_plain_http_to_another_host_only_where_it_is_asked_for() -> None:
    environ = {"AWS_ENDPOINT_URL": "http://lab:4566", "ROLECALL_ALLOW_PLAIN_HTTP": "1"}
    assert resolve_settings(environ, config(), "").endpoint == "http://lab:4566"
