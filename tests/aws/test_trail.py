"""CloudTrail's event history, through botocore's own client.

Shapes: CloudTrail API reference, LookupEvents; user guide, "CloudTrail record contents".
"""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.session import Session
from botocore.stub import Stubber

from rolecall.aws.errors import AwsError
from rolecall.aws.trail import MAX_PAGES, Trail

NOW = datetime(2026, 1, 1, tzinfo=UTC)
BOB = "arn:aws:iam::111122223333:user/bob"


def client() -> Any:
    return Session().create_client(
        "cloudtrail", region_name="us-east-1", aws_access_key_id="AKIAX", aws_secret_access_key="x"
    )  # fmt: skip


def event(hours_ago: int, role: str, who: str = BOB, name: str = "UpdateAssumeRolePolicy", **more: Any) -> dict[str, Any]:  # fmt: skip
    record = {"userIdentity": {"arn": who}, "requestParameters": {"roleName": role}, **more}
    return {"EventName": name, "EventTime": NOW - timedelta(hours=hours_ago), "CloudTrailEvent": json.dumps(record)}


def asked(name: str, token: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}], "MaxResults": 50}  # fmt: skip
    return found | ({"NextToken": token} if token else {})


def about(role: str) -> Any:
    return lambda parameters: parameters.get("roleName") == role


def test_the_latest_call_that_succeeded_is_found_over_pages_and_asked_for_once() -> None:
    cloudtrail = client()
    name = "UpdateAssumeRolePolicy"
    with Stubber(cloudtrail) as stub:
        first = [event(1, "R", errorCode="AccessDenied"), event(2, "Other")]
        stub.add_response("lookup_events", {"Events": first, "NextToken": "t"}, asked(name))
        odd = [{"EventName": name, "EventTime": NOW, "CloudTrailEvent": text} for text in ("[", "[1]", "null", '{"requestParameters": 1}')]  # fmt: skip
        stub.add_response("lookup_events", {"Events": [event(5, "R"), event(3, "R", BOB + "2"), *odd]}, asked(name, "t"))  # fmt: skip
        trail = Trail(cloudtrail, "here")
        found = trail.last([name], about("R"))
        assert found is not None
        assert (found.who, found.time, found.name) == (BOB + "2", NOW - timedelta(hours=3), name)
        again = trail.last([name], about("Other"))
        assert again is not None
        assert again.time == NOW - timedelta(hours=2)
        assert trail.last([name], about("none")) is None
        stub.assert_no_pending_responses()


def test_a_trail_without_an_end_is_not_read_to_its_end() -> None:
    cloudtrail = client()
    with Stubber(cloudtrail) as stub:
        for page in range(MAX_PAGES):
            stub.add_response("lookup_events", {"Events": [event(page, "x")], "NextToken": "more"})
        assert Trail(cloudtrail, "here").last(["X"], about("R")) is None
        stub.assert_no_pending_responses()


def test_a_refusal_is_told() -> None:
    cloudtrail = client()
    with Stubber(cloudtrail) as stub:
        stub.add_client_error("lookup_events", "AccessDeniedException", "not authorized")
        with pytest.raises(AwsError, match="AccessDeniedException"):
            Trail(cloudtrail, "here").last(["X"], about("R"))
