"""The AWS partitions: separate clouds, each with its regions and its host names.

Sources: botocore's ``partitions.json`` and ``endpoints.json``; AWS General Reference, "AWS service endpoints". Few
imports and patterns compiled when needed: a credential plugin asks this on each start.
"""

from __future__ import annotations

import re


class Partition:
    """One separate AWS cloud.

    :ivar name: as in ARNs: ``aws``, ``aws-cn``.
    :ivar dns_suffix: of its service hosts.
    :ivar dual_stack_suffix: of its hosts that are reached over IPv6 too; empty where it has none.
    :ivar global_region: the region that its global endpoints sign for.
    """

    __slots__ = ("_compiled", "_pattern", "dns_suffix", "dual_stack_suffix", "global_region", "name")

    def __init__(self, name: str, dns_suffix: str, dual_stack_suffix: str, global_region: str, pattern: str) -> None:
        self.name = name
        self.dns_suffix = dns_suffix
        self.dual_stack_suffix = dual_stack_suffix
        self.global_region = global_region
        self._pattern = pattern
        self._compiled: re.Pattern[str] | None = None

    @property
    def region_pattern(self) -> re.Pattern[str]:
        """What its region names look like, also those that are opened later."""
        if self._compiled is None:
            self._compiled = re.compile(self._pattern, re.ASCII)
        return self._compiled

    def __repr__(self) -> str:
        return f"Partition({self.name!r})"


PARTITIONS: dict[str, Partition] = {
    partition.name: partition
    for partition in (
        Partition("aws", "amazonaws.com", "api.aws", "us-east-1", r"(us|eu|ap|sa|ca|me|af|il|mx)-\w+-\d+"),
        Partition("aws-cn", "amazonaws.com.cn", "api.amazonwebservices.com.cn", "cn-northwest-1", r"cn-\w+-\d+"),
        Partition("aws-us-gov", "amazonaws.com", "api.aws", "us-gov-west-1", r"us-gov-\w+-\d+"),
        Partition("aws-iso", "c2s.ic.gov", "api.aws.ic.gov", "us-iso-east-1", r"us-iso-\w+-\d+"),
        Partition("aws-iso-b", "sc2s.sgov.gov", "api.aws.scloud", "us-isob-east-1", r"us-isob-\w+-\d+"),
        Partition("aws-iso-e", "cloud.adc-e.uk", "api.cloud-aws.adc-e.uk", "eu-isoe-west-1", r"eu-isoe-\w+-\d+"),
        Partition("aws-iso-f", "csp.hci.ic.gov", "api.aws.hci.ic.gov", "us-isof-south-1", r"us-isof-\w+-\d+"),
        Partition("aws-eusc", "amazonaws.eu", "api.amazonwebservices.eu", "eusc-de-east-1", r"eusc-(de)-\w+-\d+"),
    )
}


def partition_of_region(region: str) -> Partition | None:
    """The partition that a region belongs to; ``None`` where the text is no region's name."""
    for partition in PARTITIONS.values():
        if partition.region_pattern.fullmatch(region):
            return partition
    return None
