"""Where a region's STS is: the host that a token is signed for.

Source: botocore's ``sts/2011-06-15/endpoint-rule-set-1.json``; AWS SDKs and Tools reference guide, "AWS STS Regional
endpoints", "FIPS endpoints", "Dual-stack and FIPS endpoints". :mod:`rolecall.tokens.hosts` is the verifier's side.
"""

from __future__ import annotations

from rolecall.partitions import PARTITIONS, partition_of_region

GLOBAL_ENDPOINT = "https://sts.amazonaws.com"
# Regions that the legacy mode of AWS_STS_REGIONAL_ENDPOINTS sends to the global endpoint (the rule set's own list).
LEGACY_GLOBAL_REGIONS = frozenset(
    (
        "ap-northeast-1", "ap-south-1", "ap-southeast-1", "ap-southeast-2", "aws-global", "ca-central-1",
        "eu-central-1", "eu-north-1", "eu-west-1", "eu-west-2", "eu-west-3", "sa-east-1", "us-east-1", "us-east-2",
        "us-west-1", "us-west-2",
    )
)  # fmt: skip


def sts_endpoint(region: str, *, fips: bool = False, dual_stack: bool = False, legacy: bool = False) -> tuple[str, str]:
    """The URL of STS, without a trailing slash, and the region to sign for.

    :param region: empty or ``aws-global`` for the global endpoint of partition ``aws``. That has no FIPS and no
        dual-stack host of its own; ``aws-global`` then means those of the region that it signs for.
    :param legacy: the global endpoint for the regions that were there before the regional ones.
    :raises ValueError: if the text is not a region's name, or the partition has no such endpoint.
    """
    if region == "aws-global" and (fips or dual_stack):
        region = PARTITIONS["aws"].global_region
    if region in ("", "aws-global") or (legacy and not fips and not dual_stack and region in LEGACY_GLOBAL_REGIONS):
        if fips or dual_stack:
            raise ValueError("the global endpoint of STS is neither FIPS nor dual-stack: name a region")
        return GLOBAL_ENDPOINT, PARTITIONS["aws"].global_region
    partition = partition_of_region(region)
    if partition is None:
        raise ValueError(f"{region[:60]!r} is not an AWS region")
    if dual_stack:
        if not partition.dual_stack_suffix:
            raise ValueError(f"partition {partition.name} has no dual-stack endpoints")
        return f"https://sts{'-fips' if fips else ''}.{region}.{partition.dual_stack_suffix}", region
    # In GovCloud every STS endpoint is a FIPS endpoint and has the plain name.
    prefix = "sts-fips" if fips and partition.name != "aws-us-gov" else "sts"
    return f"https://{prefix}.{region}.{partition.dns_suffix}", region


def regional_endpoint(region: str) -> str:
    """The URL of a region's STS, without a trailing slash: ``https://sts.eu-west-2.amazonaws.com``."""
    if not region:
        raise ValueError("'' is not an AWS region")
    return sts_endpoint(region)[0]
