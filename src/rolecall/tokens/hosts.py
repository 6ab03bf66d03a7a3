"""Which hosts are STS: the only ones a token's URL may name.

Sources: aws-iam-authenticator v0.7 ``pkg/token/token.go`` (``verifyHost`` and the partitions' STS endpoints); AWS
General Reference, "AWS STS endpoints and quotas".
"""

from __future__ import annotations

from dataclasses import dataclass

from rolecall.partitions import PARTITIONS
from rolecall.tokens.endpoints import regional_endpoint
from rolecall.tokens.regions import REGIONS

__all__ = ["StsHosts", "regional_endpoint"]


@dataclass(frozen=True, slots=True)
class StsHosts:
    """The STS hosts that a verifier accepts.

    :param partition: the verifier's partition; its regional, FIPS and dual-stack hosts are accepted.
    :param own: further hosts with their port, such as a lab's ``127.0.0.1:4566``, reached by plain HTTP. A production
        verifier has none: a caller who could name a host could claim any identity.
    :param more_regions: regions of the partition that are newer than :data:`rolecall.tokens.regions.REGIONS`.
    """

    partition: str = "aws"
    own: frozenset[str] = frozenset()
    more_regions: frozenset[str] = frozenset()

    def allows(self, host: str, scheme: str) -> bool:
        """Whether a token may be a call to ``host`` (as in the URL, with a port where one is given)."""
        if host in self.own:
            return scheme in ("http", "https")
        return scheme == "https" and self._is_aws(host)

    def _is_aws(self, host: str) -> bool:
        partition = PARTITIONS[self.partition]
        if self.partition == "aws" and host == "sts.amazonaws.com":
            return True
        for suffix in (partition.dns_suffix, partition.dual_stack_suffix):
            if not suffix or not host.endswith(f".{suffix}"):
                continue
            service, _, region = host.removesuffix(f".{suffix}").partition(".")
            if service in ("sts", "sts-fips"):
                return region in REGIONS[self.partition] or region in self.more_regions
        return False
