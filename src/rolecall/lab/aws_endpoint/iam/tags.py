"""Tags of users, roles, policies and OpenID Connect providers. Source: IAM API reference, TagUser and neighbours."""

from __future__ import annotations

from collections.abc import Callable

from rolecall.lab.aws_endpoint.actions import AwsError, Call, Context, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory, oidc, policies
from rolecall.lab.aws_endpoint.iam.owners import (
    ROLE,
    USER,
    put_tags,
    remove_tags,
    request_tags,
    resource_tags,
    tag_list,
    tag_pairs,
)

Find = Callable[[Call, Params], str]  # the owner of the tags; NoSuchEntity if there is none
Resource = Callable[[Call, Params], str]


def _policy(call: Call, params: Params) -> str:
    arn: str = policies.get(call, params["PolicyArn"])["arn"]
    return arn


def _provider(call: Call, params: Params) -> str:
    arn: str = oidc.get(call, params["OpenIDConnectProviderArn"])["arn"]
    return arn


def _register(name: str, find: Find, resource: Resource, *, ignore_case: bool) -> None:
    def context(call: Call, params: Params) -> Context:
        keys = params.get("TagKeys") or ()
        try:
            own = resource_tags(directory.tags_of(call.store, find(call, params)))
        except AwsError:
            # Only a caller who may do this learns whether it exists.
            own = {}
        return {**own, **request_tags(call, params), **({"aws:tagkeys": tuple(keys)} if keys else {})}

    @action("iam", f"Tag{name}", resource=resource, context=context)
    def tag(call: Call, params: Params) -> Result:
        put_tags(call, find(call, params), tag_pairs(params, ignore_case=ignore_case), ignore_case=ignore_case)
        return {}

    @action("iam", f"Untag{name}", resource=resource, context=context)
    def untag(call: Call, params: Params) -> Result:
        remove_tags(call, find(call, params), params["TagKeys"], ignore_case=ignore_case)
        return {}

    @action("iam", f"List{name}Tags", resource=resource, context=context)
    def list_(call: Call, params: Params) -> Result:
        return {"Tags": tag_list(directory.tags_of(call.store, find(call, params)))}


_register("User", lambda call, params: str(USER.get(call, params["UserName"])["id"]), USER.resource, ignore_case=True)
_register("Role", lambda call, params: str(ROLE.get(call, params["RoleName"])["id"]), ROLE.resource, ignore_case=True)
_register("Policy", _policy, lambda call, params: str(params["PolicyArn"]), ignore_case=False)
_register(
    "OpenIDConnectProvider",
    _provider,
    lambda call, params: str(params["OpenIDConnectProviderArn"]),
    ignore_case=False,
)
