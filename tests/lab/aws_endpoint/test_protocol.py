"""The wire, held against botocore: its serializer and our parser, our answer and its parser, for every operation.

botocore's serializers and parsers are the reference that the AWS CLI and every Python program use.
"""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode, urlsplit

import botocore.parsers
import botocore.serialize
import pytest
from botocore.exceptions import ClientError, WaiterError

from rolecall.lab.aws_endpoint.actions import ACTIONS, AwsError
from rolecall.lab.aws_endpoint.wire import query, rest_json
from rolecall.lab.aws_endpoint.wire.errors import error_response
from rolecall.lab.aws_endpoint.wire.paging import page
from rolecall.lab.aws_endpoint.wire.services import SERVICES, service
from rolecall.lab.aws_endpoint.wire.validation import validate

MOMENT = datetime(2026, 1, 31, 23, 59, 59, tzinfo=UTC)
OPERATIONS = [(name, operation) for name in SERVICES for operation in sorted(service(name).operations)]
AWKWARD = "ä<&>\"' /+%\u2028z"


def sample(shape: Any, path: tuple[str, ...] = (), label: bool = False) -> Any:
    """A value of a shape with every member, and characters that need escaping wherever they are possible."""
    kind = shape.type_name
    if kind == "structure":
        if path.count(shape.name) > 1:
            return {}
        members = {name: sample(member, (*path, shape.name)) for name, member in shape.members.items()}
        if shape.is_tagged_union:
            members = dict(list(members.items())[:1])
        return members
    if kind == "list":
        first = sample(shape.member, (*path, shape.name))
        second = f"{first}2" if isinstance(first, str) and not shape.member.metadata.get("enum") else first
        return [first, second]
    if kind == "map":
        return {"a-key": sample(shape.value, (*path, shape.name)), "b/key": sample(shape.value, (*path, shape.name))}
    if kind == "string":
        return shape.metadata["enum"][0] if shape.metadata.get("enum") else AWKWARD
    plain = {"boolean": True, "blob": b"\x00\xff", "timestamp": MOMENT, "double": 1.5, "float": 1.5}
    return plain.get(kind, 7)


def request_of(called: Any, operation: str, params: dict[str, Any]) -> dict[str, Any]:
    serializer = botocore.serialize.create_serializer(called.protocol, include_validation=False)
    return dict(serializer.serialize_to_request(params, called.operation(operation)))


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_what_botocore_sends_is_what_we_read(name: str, operation: str) -> None:
    called = service(name)
    shape = called.operation(operation).input_shape
    params = sample(shape) if shape is not None else {}
    request = request_of(called, operation, params)
    if called.protocol == "query":
        fields = query.read_fields(urlencode(request["body"]).encode())
        found = query.parse_parameters(called.operation(operation), fields)
    else:
        url = urlsplit(request["url_path"])
        routed = called.route(request["method"], url.path.encode())
        assert routed is not None
        assert routed[0].name == operation
        pairs = urlencode(request["query_string"], doseq=True)
        found = rest_json.parse_parameters(routed[0], routed[1], pairs.encode(), request["body"] or b"")
    assert found == params


@pytest.mark.parametrize(("name", "operation"), OPERATIONS)
def test_what_we_answer_is_what_botocore_reads(name: str, operation: str) -> None:
    called = service(name)
    shape = called.operation(operation).output_shape
    result = sample(shape) if shape is not None else {}
    if called.protocol == "query":
        answer = query.success(called.operation(operation), result, called.namespace, "request-1", False)
    else:
        answer = rest_json.success(called.operation(operation), result, "request-1")
    parser = botocore.parsers.create_parser(called.protocol)
    response = {"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}
    found = parser.parse(response, shape)
    found.pop("ResponseMetadata", None)
    assert found == result


@pytest.mark.parametrize(("name", "operation"), sorted(ACTIONS))
def test_every_action_is_an_operation_of_its_service(name: str, operation: str) -> None:
    assert operation in service(name).operations


@pytest.mark.parametrize("name", SERVICES)
def test_errors_are_read_by_botocore(name: str) -> None:
    called = service(name)
    error = AwsError("AccessDenied", f"User: {AWKWARD} is not authorized")
    answer = error_response(error, called.protocol, called.namespace, None, "request-1")
    parser = botocore.parsers.create_parser(called.protocol)
    found = parser.parse({"status_code": answer.status, "headers": dict(answer.headers), "body": answer.body}, None)
    expected = "AccessDeniedException" if name == "eks" else "AccessDenied"
    assert (answer.status, found["Error"]["Code"]) == (403, expected)
    assert found["Error"]["Message"] == error.message


def test_caller_identity_as_json(lab: Any) -> None:
    """aws-iam-authenticator asks for JSON (pkg/token/token.go, Verify)."""
    sts = lab.client("sts")
    sts.meta.events.register(
        "before-sign", lambda request, **_: request.headers.add_header("Accept", "application/json")
    )
    seen = []
    sent = lab.endpoint.handle

    def remember(request: Any, source_ip: str = "127.0.0.1") -> Any:
        seen.append(sent(request, source_ip))
        return seen[-1]

    lab.endpoint.handle = remember
    with pytest.raises(Exception, match="XML"):
        sts.get_caller_identity()
    found = json.loads(seen[0].body)["GetCallerIdentityResponse"]["GetCallerIdentityResult"]
    assert found["Arn"] == "arn:aws:iam::231144931069:user/lab-admin"
    assert found["Account"] == "231144931069"


@pytest.mark.parametrize("name", ["sts", "iam"])
def test_errors_of_sts_are_json_where_json_is_asked_for(lab: Any, name: str) -> None:
    """aws-iam-authenticator reads code and text out of "error from AWS (expected 200, got 403). Body: {...}"."""
    client = lab.client(name, ("AKIAAAAAAAAAAAAAAAAA", "x" * 40))
    client.meta.events.register(
        "before-sign", lambda request, **_: request.headers.add_header("Accept", "application/json")
    )
    seen = []
    sent = lab.endpoint.handle
    lab.endpoint.handle = lambda request, source_ip="127.0.0.1": seen.append(sent(request, source_ip)) or seen[-1]
    with pytest.raises(Exception, match=r"XML|InvalidClientTokenId"):
        client.get_caller_identity() if name == "sts" else client.list_users()
    assert seen[0].status == 403
    if name == "iam":
        assert b"<Code>InvalidClientTokenId</Code>" in seen[0].body
        return
    found = json.loads(seen[0].body)
    assert (found["Error"]["Code"], found["Error"]["Type"]) == ("InvalidClientTokenId", "Sender")
    assert found["RequestId"]


def test_half_a_surrogate_pair_is_refused(lab: Any) -> None:
    """RFC 8259, 8.2: JSON can spell what is no Unicode text."""
    shape = service("eks").operation("TagResource")
    for body in (b'{"tags": {"a": "\\ud800"}}', b'{"tags": {"\\udfff": ""}}', b'{"tags": {"a": "\xed\xa0\x80"}}'):
        with pytest.raises(AwsError, match="SerializationException"):
            rest_json.parse_parameters(shape, {"resourceArn": b"x"}, b"", body)


PAGES = (
    ("iam", "list_users", "Users", lambda client, i: client.create_user(UserName=f"user-{i:03}"), {}),
    ("iam", "list_groups", "Groups", lambda client, i: client.create_group(GroupName=f"group-{i:03}"), {}),
    ("iam", "list_user_policies", "PolicyNames",
     lambda client, i: client.put_user_policy(UserName="lab-admin", PolicyName=f"p-{i:03}", PolicyDocument=ALLOW),
     {"UserName": "lab-admin"}),
)  # fmt: skip
ALLOW = json.dumps({"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}})


@pytest.mark.parametrize(("name", "operation", "key", "create", "params"), PAGES)
@pytest.mark.parametrize("size", [1, 3, 7, 100])
def test_paginators_see_every_item_once(
    lab: Any, name: str, operation: str, key: str, create: Any, params: dict[str, str], size: int
) -> None:
    client = lab.client(name)
    for index in range(7):
        create(client, index)
    everything = getattr(client, operation)(**params)[key]
    paginator = client.get_paginator(operation)
    pages = list(paginator.paginate(**params, PaginationConfig={"PageSize": size}))
    assert [item for one in pages for item in one[key]] == everything
    assert len(pages) == -(-len(everything) // size)


def test_pages_of_several_lists(lab: Any) -> None:
    client = lab.client("iam")
    whole = client.get_account_authorization_details()
    pages = list(client.get_paginator("get_account_authorization_details").paginate(PaginationConfig={"PageSize": 1}))
    for key in ("UserDetailList", "RoleDetailList", "GroupDetailList", "Policies"):
        assert [item for one in pages for item in one.get(key, [])] == whole.get(key, [])


@pytest.mark.parametrize("size", [1, 2, 5])
def test_what_is_deleted_between_two_pages_hides_nothing(lab: Any, size: int) -> None:
    """Offboarding deletes page by page; IAM API reference, Marker: where to go on."""
    client = lab.client("iam")
    for index in range(7):
        client.create_user(UserName=f"user-{index}")
    for one in client.get_paginator("list_users").paginate(PaginationConfig={"PageSize": size}):
        for user in one["Users"]:
            if user["UserName"] != "lab-admin":
                client.delete_user(UserName=user["UserName"])
    assert [user["UserName"] for user in client.list_users()["Users"]] == ["lab-admin"]


def test_eks_pages(lab: Any) -> None:
    client = lab.client("eks")
    for index in range(5):
        client.create_cluster(
            name=f"c{index}", roleArn="arn:aws:iam::231144931069:role/eks", resourcesVpcConfig={"subnetIds": ["s"]}
        )
    paginator = client.get_paginator("list_clusters")
    pages = list(paginator.paginate(PaginationConfig={"PageSize": 2}))
    assert [name for one in pages for name in one["clusters"]] == [f"c{index}" for index in range(5)]


def test_a_page_token_of_another_operation_is_refused() -> None:
    paging = service("iam").paging("ListUsers")
    assert paging is not None
    first = page(paging, "ListUsers", {"MaxItems": 1}, {"Users": [1, 2]})
    with pytest.raises(AwsError, match="token"):
        page(paging, "ListRoles", {"Marker": first["Marker"]}, {"Roles": []})
    with pytest.raises(AwsError, match="token"):
        page(paging, "ListUsers", {"Marker": "nonsense"}, {"Users": []})


def test_waiters(lab: Any) -> None:
    """botocore's ``cluster_active`` and ``cluster_deleted``."""
    eks = lab.client("eks")
    eks.create_cluster(name="c", roleArn="arn:aws:iam::231144931069:role/eks", resourcesVpcConfig={"subnetIds": ["s"]})
    quick = {"Delay": 0, "MaxAttempts": 2}
    with pytest.raises(WaiterError, match="Max attempts"):
        eks.get_waiter("cluster_active").wait(name="c", WaiterConfig=quick)
    lab.backend.work()
    eks.get_waiter("cluster_active").wait(name="c", WaiterConfig=quick)
    eks.delete_cluster(name="c")
    assert eks.describe_cluster(name="c")["cluster"]["status"] == "DELETING"
    lab.backend.work()
    eks.get_waiter("cluster_deleted").wait(name="c", WaiterConfig=quick)
    iam = lab.client("iam")
    iam.get_waiter("user_exists").wait(UserName="lab-admin", WaiterConfig=quick)
    with pytest.raises(ClientError, match="ResourceNotFound"):
        eks.describe_cluster(name="c")


@pytest.mark.parametrize(
    ("operation", "params", "sentence"),
    [
        ("GetUser", {"UserName": ""}, "length greater than or equal to 1"),
        ("GetUser", {"UserName": "a b"}, "regular expression pattern"),
        ("CreateRole", {}, "2 validation errors detected: Value null at 'roleName'"),
        ("CreateRole", {"RoleName": "x", "AssumeRolePolicyDocument": "{}", "MaxSessionDuration": 1}, "equal to 3600"),
        ("UpdateAccessKey", {"AccessKeyId": "A" * 20, "Status": "Asleep"}, "enum value set"),
        ("TagUser", {"UserName": "x", "Tags": [{"Key": "", "Value": ""}]}, "tags.1.member.key"),
        ("TagUser", {"UserName": "x", "Tags": [{"Key": "a\u0000b", "Value": ""}]}, "regular expression pattern"),
    ],
)  # fmt: skip
def test_constraints_of_the_models(operation: str, params: dict[str, Any], sentence: str) -> None:
    """AWS's own wording (AWS general reference, common errors, ValidationError)."""
    with pytest.raises(AwsError, match=sentence) as refused:
        validate(service("iam").operation(operation).input_shape, params)
    assert refused.value.code == "ValidationError"


@pytest.mark.parametrize("value", ["owner", "naïve", "日本", "a b", "x_.:/=+-@"])
def test_letters_of_every_language_are_tags(value: str) -> None:
    """The pattern of tags is Java's: letters, separators and numbers of Unicode."""
    shape = service("iam").operation("TagUser").input_shape
    validate(shape, {"UserName": "x", "Tags": [{"Key": value, "Value": value}]})
