"""The AWS partitions: separate clouds, each with its regions and its host names.

Sources: botocore's ``partitions.json`` and ``endpoints.json``; AWS General Reference, "AWS service endpoints". Few
imports, and ``re`` only for those who ask for a pattern: a credential plugin asks this on each start.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    import re


class Partition:
    """One separate AWS cloud.

    :ivar name: as in ARNs: ``aws``, ``aws-cn``.
    :ivar dns_suffix: of its service hosts.
    :ivar dual_stack_suffix: of its hosts that are reached over IPv6 too; empty if it has none.
    :ivar global_region: the region that its global endpoints sign for.
    :ivar areas: what its region names begin with, before the last two words: ``us`` of ``us-east-1``.
    """

    __slots__ = ("_compiled", "areas", "dns_suffix", "dual_stack_suffix", "global_region", "name")

    def __init__(
        self, name: str, dns_suffix: str, dual_stack_suffix: str, global_region: str, areas: tuple[str, ...]
    ) -> None:
        self.name = name
        self.dns_suffix = dns_suffix
        self.dual_stack_suffix = dual_stack_suffix
        self.global_region = global_region
        self.areas = areas
        self._compiled: re.Pattern[str] | None = None

    @property
    def region_pattern(self) -> re.Pattern[str]:
        """The pattern of its region names, also of those that are opened later."""
        if self._compiled is None:
            import re

            self._compiled = re.compile(rf"({'|'.join(self.areas)})-\w+-\d+", re.ASCII)
        return self._compiled

    def has_region(self, region: str) -> bool:
        """Whether a text is the name of one of its regions; the same as :attr:`region_pattern`, without ``re``."""
        before, _, number = region.rpartition("-")
        area, _, place = before.rpartition("-")
        return (
            area in self.areas
            and region.isascii()
            and number.isdigit()
            and bool(place)
            and place.replace("_", "a").isalnum()
        )

    def __repr__(self) -> str:
        return f"Partition({self.name!r})"


_AWS_AREAS = ("us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx")
PARTITIONS: dict[str, Partition] = {
    partition.name: partition
    for partition in (
        Partition("aws", "amazonaws.com", "api.aws", "us-east-1", _AWS_AREAS),
        Partition("aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-northwest-1", ("cn",)),
        Partition("aws-us-gov", "amazonaws.com", "api.aws", "us-gov-west-1", ("us-gov",)),
        Partition("aws-iso", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1", ("us-iso",)),
        Partition("aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1", ("us-isob",)),
        Partition("aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-west-1", ("eu-isoe",)),
        Partition("aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-south-1", ("us-isof",)),
        Partition("aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1", ("eusc-de",)),
    )
}


def partition_of_region(region: str) -> Partition | None:
    """The partition that a region belongs to; ``None`` if the text is not the name of a region."""
    for partition in PARTITIONS.values():
        if partition.has_region(region):
            return partition
    return None
