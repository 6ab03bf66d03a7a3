"""Presigned GetCallerIdentity calls verified a second, beside the signing of the same call by botocore."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from botocore.auth import SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotocoreCredentials

from measure import Report, rate
from rolecall.sigv4 import Credentials, HttpRequest, parse_signature, presign, verify_signature

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

    def verify_all() -> None:
        for call in calls:
            verify_signature(call, parse_signature(call), SECRET, region="eu-west-2", service="sts", now=now)

    def botocore_signs() -> None:
        request = AWSRequest("GET", "https://sts.eu-west-2.amazonaws.com/?Action=GetCallerIdentity&Version=2011-06-15")
        SigV4QueryAuth(BotocoreCredentials("AKIAIOSFODNN7EXAMPLE", SECRET), "sts", "eu-west-2", 60).add_auth(request)

    report = Report()
    verified = rate(verify_all, batch=5, seconds=2) * len(calls)
    report.at_least("presigned calls verified", verified, 20_000)
    report.ratio("  over botocore signing one", verified, rate(botocore_signs, batch=100))
    report.end()


if __name__ == "__main__":
    main()
