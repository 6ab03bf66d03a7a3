"""What policies can ask about a request to EKS: the ARN of what it is about, and its condition keys.

Source: service authorization reference, "Actions, resources, and condition keys for Amazon Elastic Kubernetes Service".
"""

from __future__ import annotations

from collections.abc import Mapping

from rolecall.lab.aws_endpoint.actions import Call, Context, Params
from rolecall.lab.aws_endpoint.eks import records
from rolecall.lab.aws_endpoint.iam import directory


def cluster_arn(call: Call, params: Params) -> str:
    """The ARN of the cluster that a request names, whether it is there or not."""
    return f"arn:{call.partition}:eks:{call.region}:{call.account}:cluster/{_cluster_name(params)}"


def request_tags(params: Params) -> Context:
    """``aws:RequestTag/*`` and ``aws:TagKeys``: the tags, or the keys of tags, in a request."""
    tags: Mapping[str, str] = params.get("tags") or {}
    keys = tuple(tags) or tuple(params.get("tagKeys") or ())
    found = {f"aws:requesttag/{key.lower()}": (value,) for key, value in tags.items()}
    return found | ({"aws:tagkeys": keys} if keys else {})


def resource_tags(call: Call, owner: str) -> Context:
    """``aws:ResourceTag/*`` of a cluster (by its id) or of anything else (by its ARN)."""
    return {f"aws:resourcetag/{key.lower()}": (value,) for key, value in directory.tags_of(call.store, owner).items()}


def cluster_tags(call: Call, params: Params) -> Context:
    """The tags in a request and those of the cluster that it names."""
    found = records.find(call, _cluster_name(params))
    return {**request_tags(params), **(resource_tags(call, found["id"]) if found is not None else {})}


def _cluster_name(params: Params) -> str:
    return str(params.get("name") or params.get("clusterName") or "")
