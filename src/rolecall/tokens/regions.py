"""The regions that have an STS, by partition: the only ones that a token's URL may name.

A list and not a pattern, because a name that merely looks like a region would be asked for, waited for and counted for
good, even if it is made up. A region newer than this release is added to a verifier's own list. Source: botocore's
``partitions.json``, which a test compares with this table.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

REGIONS: dict[str, frozenset[str]] = {
    "aws": frozenset(
        (
            "af-south-1", "ap-east-1", "ap-east-2", "ap-northeast-1", "ap-northeast-2", "ap-northeast-3", "ap-south-1",
            "ap-south-2", "ap-southeast-1", "ap-southeast-2", "ap-southeast-3", "ap-southeast-4", "ap-southeast-5",
            "ap-southeast-6", "ap-southeast-7", "ca-central-1", "ca-west-1", "eu-central-1", "eu-central-2",
            "eu-north-1", "eu-south-1", "eu-south-2", "eu-west-1", "eu-west-2", "eu-west-3", "il-central-1",
            "me-central-1", "me-south-1", "me-west-1", "mx-central-1", "sa-east-1", "sa-west-1", "us-east-1",
            "us-east-2", "us-west-1", "us-west-2",
        )
    ),
    "aws-cn": frozenset(("cn-north-1", "cn-northwest-1")),
    "aws-us-gov": frozenset(("us-gov-east-1", "us-gov-west-1")),
    "aws-iso": frozenset(("us-iso-east-1", "us-iso-west-1")),
    "aws-iso-b": frozenset(("us-isob-east-1", "us-isob-west-1")),
    "aws-iso-e": frozenset(("eu-isoe-west-1",)),
    "aws-iso-f": frozenset(("us-isof-east-1", "us-isof-south-1")),
    "aws-eusc": frozenset(("eusc-de-east-1",)),
}  # fmt: skip
MAX_MORE = 64
_REGION = re.compile(r"[a-z]{2,5}(?:-[a-z]{1,20}){1,3}-[0-9]{1,2}", re.ASCII)


def wrong_regions(names: Iterable[str], partition: str) -> tuple[str, ...]:
    """Those of ``names`` that cannot be added to the regions of a partition.

    A name has to look like a region's. It must not be a known region of another partition: that partition's STS knows
    other accounts.
    """
    foreign = frozenset().union(*(found for name, found in REGIONS.items() if name != partition))
    return tuple(name for name in names if not _REGION.fullmatch(name) or name in foreign)
