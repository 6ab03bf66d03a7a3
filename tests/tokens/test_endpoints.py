"""Where STS is, against botocore's own rule set; and that the verifier takes every host that a client signs for."""

from __future__ import annotations

from functools import cache
from urllib.parse import quote, urlsplit

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from rolecall.partitions import PARTITIONS, partition_of_region
from rolecall.sigv4.canonical import encode
from rolecall.tokens.endpoints import sts_endpoint
from rolecall.tokens.hosts import StsHosts

REGIONS = (
    "us-east-1", "eu-west-2", "ap-southeast-7", "il-central-1", "mx-central-1", "cn-north-1", "us-gov-west-1",
    "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "us-isof-south-1", "eusc-de-east-1",
)  # fmt: skip


@cache
def rule_set() -> EndpointProvider:
    loader = Session().get_component("data_loader")
    return EndpointProvider(loader.load_service_model("sts", "endpoint-rule-set-1"), loader.load_data("partitions"))


def botocores(region: str, fips: bool, dual_stack: bool, legacy: bool = False) -> tuple[str, str]:
    """URL and signing region by botocore's rule set (``sts/2011-06-15/endpoint-rule-set-1.json``)."""
    found = rule_set().resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual_stack, UseGlobalEndpoint=legacy)
    schemes = found.properties.get("authSchemes") or [{}]
    return str(found.url), str(schemes[0].get("signingRegion", region))


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(("fips", "dual_stack"), [(False, False), (True, False), (False, True), (True, True)])
def test_endpoint_is_botocores(region: str, fips: bool, dual_stack: bool) -> None:
    assert sts_endpoint(region, fips=fips, dual_stack=dual_stack) == botocores(region, fips, dual_stack)


@pytest.mark.parametrize("region", ["us-east-1", "eu-west-2", "af-south-1", "cn-north-1"])
def test_legacy_mode_is_botocores(region: str) -> None:
    assert sts_endpoint(region, legacy=True) == botocores(region, False, False, legacy=True)


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize(("fips", "dual_stack"), [(False, False), (True, False), (False, True), (True, True)])
def test_verifier_accepts_what_clients_sign_for(region: str, fips: bool, dual_stack: bool) -> None:
    partition = partition_of_region(region)
    assert partition is not None
    parts = urlsplit(sts_endpoint(region, fips=fips, dual_stack=dual_stack)[0])
    assert StsHosts(partition.name).allows(parts.netloc, parts.scheme)


@pytest.mark.parametrize("region", ["nowhere", "eu-west", "eu-west-2.evil.example/", "eu-west-2\n", "ру-west-1"])
def test_what_is_no_region_is_refused(region: str) -> None:
    with pytest.raises(ValueError):
        sts_endpoint(region)


@given(st.text(max_size=30))
def test_no_text_becomes_a_foreign_host(region: str) -> None:
    try:
        url, _ = sts_endpoint(region)
    except ValueError:
        return
    suffixes = {suffix for p in PARTITIONS.values() for suffix in (p.dns_suffix, p.dual_stack_suffix)}
    assert any(urlsplit(url).netloc.endswith(f".{suffix}") for suffix in suffixes)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_encoding_is_that_of_rfc_3986(text: str) -> None:
    assert encode(text) == quote(text, safe="-_.~")
