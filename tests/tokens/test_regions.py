"""The list of regions against botocore's data, and which hosts a verifier takes for STS."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.endpoint_provider import EndpointProvider
from botocore.session import Session

from rolecall.partitions import PARTITIONS, partition_of_region
from rolecall.tokens.endpoints import sts_endpoint
from rolecall.tokens.hosts import StsHosts
from rolecall.tokens.regions import REGIONS, wrong_regions

LOADER = Session().get_component("data_loader")
ALL = sorted((region, name) for name, regions in REGIONS.items() for region in regions)


def test_the_regions_are_botocores() -> None:
    # botocore, data/partitions.json. A failure after an upgrade of botocore means that AWS has opened a region.
    found: dict[str, Any] = {
        one["id"]: {region for region in one["regions"] if not region.endswith("-global")}
        for one in LOADER.load_data("partitions")["partitions"]
    }
    assert {name: set(regions) for name, regions in REGIONS.items()} == found


@pytest.mark.parametrize(("fips", "dual_stack"), [(False, False), (True, False), (False, True), (True, True)])
def test_every_endpoint_is_botocores_and_its_partitions_verifier_alone_takes_it(fips: bool, dual_stack: bool) -> None:
    # botocore, data/sts/2011-06-15/endpoint-rule-set-1.json.
    rules = EndpointProvider(LOADER.load_service_model("sts", "endpoint-rule-set-1"), LOADER.load_data("partitions"))
    for region, name in ALL:
        assert getattr(partition_of_region(region), "name", "") == name
        url = str(rules.resolve_endpoint(Region=region, UseFIPS=fips, UseDualStack=dual_stack).url)
        assert sts_endpoint(region, fips=fips, dual_stack=dual_stack) == (url, region)
        parts = urlsplit(url)
        takers = [one for one in PARTITIONS if StsHosts(one).allows(parts.netloc, "https")]
        assert takers == [name], url
        assert not any(StsHosts(one).allows(parts.netloc, "http") for one in PARTITIONS)


@pytest.mark.parametrize(
    "region",
    [
        # The right form and no region: aws-iam-authenticator refuses them ("unexpected hostname").
        "us-aaaa-1", "us-east-9", "eu-west-99", "ap-south-3", "me-west-2", "us-gov-east-1", "cn-north-1", "eusc-de-east-1",
        "aws-global", "us-east-1-fips", "", "us-east-1.evil", "US-EAST-1", "us-east-1 ", "us-iso-east-1",
    ],
)  # fmt: skip
def test_a_host_of_no_region_is_not_sts(region: str) -> None:
    for service in ("sts", "sts-fips"):
        for suffix in ("amazonaws.com", "api.aws", "amazonaws.com.cn"):
            assert not StsHosts().allows(f"{service}.{region}.{suffix}", "https")


def test_a_newer_region_can_be_added_and_nothing_else() -> None:
    hosts = StsHosts("aws", more_regions=frozenset({"eu-west-9"}))
    for host in ("sts.eu-west-9.amazonaws.com", "sts-fips.eu-west-9.amazonaws.com", "sts.eu-west-9.api.aws"):
        assert hosts.allows(host, "https")
        assert not hosts.allows(host, "http")
        assert not StsHosts().allows(host, "https")
    assert not hosts.allows("sts.eu-west-8.amazonaws.com", "https")
    assert not hosts.allows("s3.eu-west-9.amazonaws.com", "https")
    names = (
        "eu-west-9",
        "moon-base-north-1",
        "evil.example",
        "us-gov-west-1",
        "cn-north-1",
        "",
        "eu-west-9\n",
        "Eu-west-9",
    )
    assert wrong_regions(names, "aws") == names[2:]
    assert wrong_regions(("us-gov-west-1",), "aws-us-gov") == ()
