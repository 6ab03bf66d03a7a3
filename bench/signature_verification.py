"""Presigned GetCallerIdentity calls verified a second.

The floor is what no verification can do without: the hash of the canonical request and the HMAC over it. The peer is
botocore signing the same call.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from itertools import cycle

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from measure import Report, paired
from rolecall.sigv4 import Credentials, HttpRequest, parse_signature, presign, verify_signature

# A verification takes as long as so many of its hashes; and so many go into one signing by botocore.
BAR, PEER_BAR = 32.0, 1.4
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"


def main() -> None:
    now = datetime.now(UTC)
    unsigned = HttpRequest(
        "GET",
        b"/",
        b"Action=GetCallerIdentity&Version=2011-06-15",
        ((b"host", b"sts.eu-west-2.amazonaws.com"), (b"x-k8s-aws-id", b"prod")),
    )
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", SECRET)
    calls = [
        presign(unsigned, credentials, region="eu-west-2", service="sts", now=now - timedelta(seconds=i), expires=900)
        for i in range(200)
    ]

    turn = cycle(calls).__next__

    def verify() -> None:
        call = turn()
        verify_signature(call, parse_signature(call), SECRET, region="eu-west-2", service="sts", now=now)

    text, key = b"x" * 500, b"k" * 32

    def hashes() -> None:
        hmac.digest(key, hashlib.sha256(text).digest(), "sha256")

    def botocore_signs() -> None:
        request = AWSRequest("GET", "https://sts.eu-west-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15")
        SigV4QueryAuth(BotocoreCredentials("AKIAIOSFODNN7EXAMPLE", SECRET), "sts", "eu-west-2", 60).add_auth(request)

    report = Report()
    verified, over_hashes = paired(verify, hashes, batch=400)
    report.figure("presigned calls verified", verified)
    report.ratio_at_most("  time of one over that of its hashes", 1 / over_hashes, BAR)
    report.ratio_at_least(
        "  in the time in which botocore signs one", paired(verify, botocore_signs, batch=200)[1], PEER_BAR
    )
    report.end()


if __name__ == "__main__":
    main()
