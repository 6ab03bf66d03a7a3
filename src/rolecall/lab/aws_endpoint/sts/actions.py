"""The operations of STS. Source: AWS STS API reference, 2011-06-15."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from rolecall.arn import PrincipalArn, PrincipalKind
from rolecall.errors import InvalidArnError
from rolecall.iam.assume_role import AssumeRoleDecision, AssumeRoleRequest, decide_assume_role, decide_web_identity
from rolecall.iam.documents import PolicyKind
from rolecall.iam.grammar.policies import refusal
from rolecall.iam.principals import Session
from rolecall.lab.aws_endpoint.actions import AwsError, Call, Params, Result, action
from rolecall.lab.aws_endpoint.iam import directory
from rolecall.lab.aws_endpoint.iam.mfa import verify_mfa
from rolecall.lab.aws_endpoint.sts.sessions import issue
from rolecall.lab.aws_endpoint.sts.web_identity import read_token

MAX_PACKED = 2_048
SESSION_TOKEN_SECONDS = 43_200


@action("sts", "GetCallerIdentity", authorize=False)
def get_caller_identity(call: Call, params: Params) -> Result:
    return {"UserId": call.caller.user_id, "Account": call.account, "Arn": call.caller.arn}


@action("sts", "AssumeRole", authorize=False)
def assume_role(call: Call, params: Params) -> Result:
    arn = _role(params)
    principal = call.caller
    verified = verify_mfa(call, principal, params.get("SerialNumber"), params.get("TokenCode"))
    role = directory.trusted_role(call.store, call.partition, arn)
    request = _request(call, params, arn, mfa=verified)
    decision = decide_assume_role(request, principal, role, call.policies(principal).policies)
    session = _session(decision)
    assert role is not None
    answer = _assumed(call, role.role_id, arn, session, request, _token_size(params))
    if session.source_identity:
        answer["SourceIdentity"] = session.source_identity
    return answer


@action("sts", "AssumeRoleWithWebIdentity", authorize=False, authenticated=False)
def assume_role_with_web_identity(call: Call, params: Params) -> Result:
    arn = _role(params)
    token = read_token(call, arn.account, params["WebIdentityToken"])
    role = directory.trusted_role(call.store, call.partition, arn)
    request = _request(call, params, arn, mfa=False)
    decision = decide_web_identity(request, token, role)
    session = _session(decision)
    assert role is not None
    answer = _assumed(call, role.role_id, arn, session, request, _token_size(params))
    return {
        **answer,
        "SubjectFromWebIdentityToken": token.subject,
        "Provider": token.provider_arn,
        "Audience": token.audience,
    }


@action("sts", "GetSessionToken", authorize=False, writes=True)
def get_session_token(call: Call, params: Params) -> Result:
    principal = call.caller
    if principal.kind is not PrincipalKind.USER or principal.session is not None:
        raise AwsError("AccessDenied", "Cannot call GetSessionToken with session credentials")
    verified = verify_mfa(call, principal, params.get("SerialNumber"), params.get("TokenCode"))
    ends = call.now + timedelta(seconds=params.get("DurationSeconds") or SESSION_TOKEN_SECONDS)
    session = Session("", call.now, ends, mfa_authenticated_at=call.now if verified else None)
    kind, size = PrincipalKind.USER, _token_size(params)
    return {"Credentials": issue(call, kind, principal.principal_id, principal.account, session, size)}


@action("sts", "GetAccessKeyInfo")
def get_access_key_info(call: Call, params: Params) -> Result:
    key_id = params["AccessKeyId"]
    row = call.store.one(
        "SELECT u.account FROM access_keys k JOIN users u ON u.id = k.user_id WHERE k.id = ? "
        "UNION SELECT account FROM sessions WHERE key_id = ?",
        (key_id, key_id),
    )
    if row is None:
        raise AwsError("ValidationError", "Could not find an account for this access key id.", 400)
    return {"Account": row["account"]}


@action("sts", "DecodeAuthorizationMessage")
def decode_authorization_message(call: Call, params: Params) -> Result:
    # Only services that answer with encoded messages (EC2) give out anything that could be decoded.
    raise AwsError("InvalidAuthorizationMessageException", "Message is not valid.", 400)


def _role(params: Params) -> PrincipalArn:
    try:
        arn = PrincipalArn.parse(params["RoleArn"])
    except InvalidArnError:
        raise AwsError("ValidationError", f"{params['RoleArn']} is invalid", 400) from None
    if arn.kind is not PrincipalKind.ROLE:
        raise AwsError("ValidationError", f"{params['RoleArn']} is invalid", 400)
    return arn


def _request(call: Call, params: Params, role: PrincipalArn, *, mfa: bool) -> AssumeRoleRequest:
    policy = params.get("Policy")
    policy_arns = tuple(item["arn"] for item in params.get("PolicyArns") or () if item.get("arn"))
    _check_session_policies(call, policy, policy_arns, role.account)
    return AssumeRoleRequest(
        params["RoleArn"],
        params["RoleSessionName"],
        call.now,
        params.get("DurationSeconds"),
        params.get("ExternalId"),
        (policy,) if policy else (),
        policy_arns,
        tuple((tag["Key"], tag["Value"]) for tag in params.get("Tags") or ()),
        tuple(params.get("TransitiveTagKeys") or ()),
        params.get("SourceIdentity"),
        call.now if mfa else None,
        call.source_ip,
        call.user_agent,
        call.region,
    )


def _check_session_policies(call: Call, policy: str | None, arns: tuple[str, ...], account: str) -> None:
    """AWS STS API reference, AssumeRole: the managed ones "must exist in the same account as the role"."""
    if len(arns) > 10:
        raise AwsError("ValidationError", "At most 10 managed session policies can be passed.", 400)
    if len(policy or "") + sum(map(len, arns)) > MAX_PACKED:
        raise AwsError(
            "PackedPolicyTooLarge", "Packed size of session policies and tags exceeds the allowed size.", 400
        )
    if policy and (message := refusal(policy, PolicyKind.SESSION)):
        raise AwsError("MalformedPolicyDocument", message, 400)
    for arn in arns:
        if directory.managed_policy(call.store, arn, account) is None:
            raise AwsError("ValidationError", f"The policy {arn} does not exist.", 400)


def _token_size(params: Params) -> int:
    return params.get("MinimumSessionTokenSize") or 0


def _session(decision: AssumeRoleDecision) -> Session:
    if decision.session is None:
        raise AwsError(decision.error_code, decision.error_message)
    return decision.session


def _assumed(
    call: Call, role_id: str, arn: PrincipalArn, session: Session, request: AssumeRoleRequest, token_size: int
) -> dict[str, Any]:
    answer: dict[str, Any] = {
        "Credentials": issue(call, PrincipalKind.ASSUMED_ROLE, role_id, arn.account, session, token_size),
        "AssumedRoleUser": {
            "AssumedRoleId": f"{role_id}:{session.name}",
            "Arn": f"arn:{call.partition}:sts::{arn.account}:assumed-role/{arn.name}/{session.name}",
        },
    }
    packed = sum(map(len, (*request.policies, *request.policy_arns))) + sum(len(k) + len(v) for k, v in request.tags)
    if packed:
        answer["PackedPolicySize"] = min(100, -(-packed * 100 // MAX_PACKED))
    return answer
