"""Tags of clusters, access entries and identity provider configs. Source: EKS API reference, TagResource.

Unlike those of IAM, their keys mind case.
"""

from __future__ import annotations

from collections.abc import Mapping

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.eks.context import request_tags, resource_tags
from rolecall.lab.aws_endpoint.iam import directory

MAX_TAGS = 50


def _resource(call: Call, params: Params) -> str:
    return str(params["resourceArn"])


def _context(call: Call, params: Params) -> Context:
    owner = _find_owner(call, params["resourceArn"])
    return {**request_tags(params), **(resource_tags(call, owner) if owner is not None else {})}


def put_tags(call: Call, owner: str, tags: Mapping[str, str] | None) -> None:
    """Set the tags of a cluster (by its id) or of anything else (by its ARN)."""
    for key, value in (tags or {}).items():
        call.store.execute("INSERT OR REPLACE INTO tags VALUES (?, ?, ?)", (owner, key, value))
    if len(directory.tags_of(call.store, owner)) > MAX_TAGS:
        raise AwsError("BadRequestException", f"The maximum number of tags is {MAX_TAGS}.", 400)


@action("eks", "TagResource", resource=_resource, context=_context)
def tag_resource(call: Call, params: Params) -> Result:
    put_tags(call, _owner(call, params["resourceArn"]), params["tags"])
    return {}


@action("eks", "UntagResource", resource=_resource, context=_context)
def untag_resource(call: Call, params: Params) -> Result:
    owner = _owner(call, params["resourceArn"])
    for key in params["tagKeys"]:
        call.store.execute("DELETE FROM tags WHERE owner = ? AND key = ?", (owner, key))
    return {}


@action("eks", "ListTagsForResource", resource=_resource, context=_context)
def list_tags_for_resource(call: Call, params: Params) -> Result:
    return {"tags": directory.tags_of(call.store, _owner(call, params["resourceArn"]))}


def _owner(call: Call, arn: str) -> str:
    found = _find_owner(call, arn)
    if found is None:
        raise AwsError("NotFoundException", f"The specified resource could not be found: {arn[:200]}", 404)
    return found


def _find_owner(call: Call, arn: str) -> str | None:
    """What a resource's tags are kept under: a cluster's id, else the ARN itself."""
    prefix = f"arn:{call.partition}:eks:{call.region}:{call.account}:"
    kind, _, rest = arn.removeprefix(prefix).partition("/")
    if arn.startswith(prefix):
        if kind == "cluster" and (cluster := records.find(call, rest)) is not None:
            return str(cluster["id"])
        if call.store.one("SELECT 1 FROM access_entries WHERE arn = ?", (arn,)) is not None:
            return arn
    return None
