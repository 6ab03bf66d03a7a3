"""SimulatePrincipalPolicy and SimulateCustomPolicy: the evaluator's own answer, without doing anything.

Source: IAM API reference, SimulatePrincipalPolicy.
"""

from __future__ import annotations

from dataclasses import replace
from sqlite3 import Row
from typing import Any

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.documents import PolicyDocument, PolicyError, PolicyKind, parse_policy, read_policy
from rolecall.iam.evaluate import PolicySet, evaluate
from rolecall.iam.grammar.policies import refusal
from rolecall.iam.missing_keys import missing_keys
from rolecall.iam.principals import Principal
from rolecall.iam.request import AuthorizationRequest, account_of, request_context
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory

MAX_EVALUATIONS = 1_000


@action("iam", "SimulatePrincipalPolicy", resource=lambda call, params: params["PolicySourceArn"])
def simulate_principal_policy(call: Call, params: Params) -> Result:
    source, caller = params["PolicySourceArn"], params.get("CallerArn")
    group = _group(call, source)
    if group is not None:
        principal = _nobody_in(call, source, group)
        found = PolicySet(tuple(directory.own_policies(call.store, group["id"], f"group {group['name']}")))
    else:
        principal = _principal(call, source)
        found = directory.policies_of(call.store, principal)
    policies = replace(found, identity=(*found.identity, *_given(params, "PolicyInputList", PolicyKind.IDENTITY)))
    return _evaluate(call, params, _principal(call, caller) if caller else principal, policies)


@action("iam", "SimulateCustomPolicy")
def simulate_custom_policy(call: Call, params: Params) -> Result:
    caller = params.get("CallerArn")
    principal = _principal(call, caller) if caller else call.caller
    policies = PolicySet(_given(params, "PolicyInputList", PolicyKind.IDENTITY))
    return _evaluate(call, params, principal, policies)


def _evaluate(call: Call, params: Params, principal: Principal, policies: PolicySet) -> Result:
    boundaries = _given(params, "PermissionsBoundaryPolicyInputList", PolicyKind.BOUNDARY)
    if boundaries:
        policies = replace(policies, boundary=boundaries[0])
    if text := params.get("ResourcePolicy"):
        policies = replace(policies, resource=_parsed(text, PolicyKind.RESOURCE, "ResourcePolicy"))
    actions, resources = params["ActionNames"], params.get("ResourceArns") or ["*"]
    if len(actions) * len(resources) > MAX_EVALUATIONS:
        raise AwsError("InvalidInput", f"At most {MAX_EVALUATIONS} actions and resources can be simulated.", 400)
    keys = {"aws:resourceaccount": (call.account,), **_context_entries(params)}
    context = request_context(principal, now=call.now, service_keys=keys)
    return {
        "EvaluationResults": [
            _result(principal, action_name, resource, context, policies)
            for action_name in actions
            for resource in resources
        ],
        "IsTruncated": False,
    }


def _result(
    principal: Principal, name: str, resource: str, context: dict[str, tuple[str, ...]], policies: PolicySet
) -> dict[str, Any]:
    if ":" not in name:
        raise AwsError("InvalidInput", f"Invalid Action: {name}", 400)
    request = AuthorizationRequest(principal, name, resource, account_of(resource, principal.account), context)
    decision = evaluate(request, policies)
    sides = (policies.identity, (policies.boundary,), (policies.resource,))
    asked = missing_keys((policy for side in sides for policy in side if policy is not None), request)
    matched = [reason for reason in decision.reasons if reason.code.startswith("statement-")]
    found: dict[str, Any] = {
        "EvalActionName": name,
        "EvalResourceName": resource,
        "EvalDecision": decision.effect.value,
        "MatchedStatements": [
            {"SourcePolicyId": reason.text[:120], "SourcePolicyType": "IAM Policy"} for reason in matched
        ],
        "MissingContextValues": list(asked),
    }
    if policies.boundary is not None:
        missing = any(reason.source == PolicyKind.BOUNDARY.value for reason in decision.reasons)
        found["PermissionsBoundaryDecisionDetail"] = {"AllowedByPermissionsBoundary": not missing}
    return found


def _principal(call: Call, arn: str) -> Principal:
    try:
        parsed = PrincipalArn.parse(arn)
    except InvalidArnError:
        raise AwsError(
            "InvalidInput", f"Invalid Entity Arn: {arn} does not clearly define entity type and name."
        ) from None
    if parsed.account != call.account or parsed.kind not in (PrincipalKind.USER, PrincipalKind.ROLE):
        raise AwsError("NoSuchEntity", f"{arn} does not exist", 404)
    owner = directory.principal_id(call.store, call.partition, parsed)
    if owner is None:
        raise AwsError("NoSuchEntity", f"{arn} does not exist", 404)
    kind = PrincipalKind.USER if parsed.kind is PrincipalKind.USER else PrincipalKind.ASSUMED_ROLE
    return Principal(
        kind, parsed.account, arn, arn, owner, owner, name=parsed.name, tags=directory.tags_of(call.store, owner)
    )


def _group(call: Call, arn: str) -> Row | None:
    """The group that an ARN names, ``None`` if it is not a group's."""
    prefix = f"arn:{call.partition}:iam::{call.account}:group/"
    if not arn.startswith(prefix):
        return None
    found = directory.group_named(call.store, call.account, arn.rpartition("/")[2])
    if found is None or directory.group_arn(call.partition, found) != arn:
        raise AwsError("NoSuchEntity", f"{arn} does not exist", 404)
    return found


def _nobody_in(call: Call, arn: str, group: Row) -> Principal:
    """A caller who has a group's policies and nothing else: no name, no tags."""
    return Principal(PrincipalKind.USER, call.account, arn, arn, group["id"], group["id"])


def _given(params: Params, name: str, kind: PolicyKind) -> tuple[PolicyDocument, ...]:
    return tuple(_parsed(text, kind, f"{name}.{index + 1}") for index, text in enumerate(params.get(name) or ()))


def _parsed(text: str, kind: PolicyKind, name: str) -> PolicyDocument:
    message = None if kind is PolicyKind.RESOURCE else refusal(text, kind)
    if message is None:
        try:
            # The policy of a resource names principals, so it is not one that IAM saves.
            return (parse_policy if kind is PolicyKind.RESOURCE else read_policy)(text, kind, name=name)
        except PolicyError as error:
            message = str(error)
    raise AwsError("InvalidInput", f"Invalid policy {name}: {message}", 400)


def _context_entries(params: Params) -> dict[str, tuple[str, ...]]:
    return {
        entry["ContextKeyName"].lower(): tuple(entry.get("ContextKeyValues") or ())
        for entry in params.get("ContextEntries") or ()
        if entry.get("ContextKeyName")
    }
