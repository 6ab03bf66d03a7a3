"""The endpoint of IAM, STS and EKS: one request in, one answer out.

The order is that of AWS as far as it can be seen: bounds, signature, parameters, permission, action. Every action that
writes runs in one transaction, which is committed before the answer leaves.
"""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

from botocore.model import OperationModel

from rolecall.arn import PARTITIONS, PrincipalKind
from rolecall.iam.principals import Principal
from rolecall.lab.aws_endpoint.actions import ACTIONS, Action, AwsError, Call, ClusterBackend
from rolecall.lab.aws_endpoint.authentication import Authenticator, signature_error
from rolecall.lab.aws_endpoint.authorization import PolicyCache
from rolecall.lab.aws_endpoint.ids import Ids
from rolecall.lab.aws_endpoint.left_out import refuse_left_out
from rolecall.lab.aws_endpoint.store import Store
from rolecall.lab.aws_endpoint.usage import KeyUsage
from rolecall.lab.aws_endpoint.wire import query, rest_json
from rolecall.lab.aws_endpoint.wire.errors import HttpResponse, error_response
from rolecall.lab.aws_endpoint.wire.paging import page
from rolecall.lab.aws_endpoint.wire.services import SERVICES, Service, service
from rolecall.lab.aws_endpoint.wire.validation import validate
from rolecall.sigv4 import HttpRequest, Signature, SignatureError, parse_signature

log = logging.getLogger(__name__)

MAX_BODY = 262_144
# AWS STS API reference: a presigned GetCallerIdentity is good for 15 minutes whatever its X-Amz-Expires says.
_STS_PRESIGNED_SECONDS = 900
# AWS STS API reference, GetSessionToken: what its credentials may not call.
_SESSION_TOKEN_STS = {"AssumeRole", "GetCallerIdentity"}
_UNSIGNED = Principal(PrincipalKind.FEDERATED_USER, "", "anonymous", "anonymous", "", "anonymous")

_MODULES = (
    *(f"iam.{name}" for name in (
        "users", "access_keys", "groups", "roles", "inline_policies", "policies", "attachments", "boundaries", "tags",
        "mfa", "oidc", "account", "simulate", "other_credentials",
    )),
    "sts.actions",
    *(f"eks.{name}" for name in (
        "clusters", "access_entries", "access_policies", "identity_providers", "tags", "updates",
    )),
)  # fmt: skip


class AwsEndpoint:
    """Answers requests from the state in ``store``; no transport of its own.

    :param clock: gives the time, aware.
    """

    def __init__(
        self,
        store: Store,
        *,
        partition: str,
        clusters: ClusterBackend,
        clock: Callable[[], datetime],
        ids: Ids | None = None,
    ) -> None:
        for module in _MODULES:
            importlib.import_module(f"rolecall.lab.aws_endpoint.{module}")
        self.store = store
        self.partition = partition
        self._clusters = clusters
        self._clock = clock
        self._ids = ids or Ids()
        self._authenticator = Authenticator(store, partition)
        self._policies = PolicyCache(store)
        self.usage = KeyUsage(store)

    def handle(self, request: HttpRequest, source_ip: str = "127.0.0.1") -> HttpResponse:
        """The answer to a request: the service's own, or an error in its protocol. Never raises."""
        request_id = self._ids.uuid()
        protocol, namespace, status = _protocol_of(request), "https://sts.amazonaws.com/doc/2011-06-15/", None
        try:
            found, called = self._service_of(request)
            protocol, namespace = _error_protocol(request, called), called.namespace
            try:
                return self._answer(request, found, called, source_ip, request_id)
            except AwsError as error:
                status = called.error_status(error.code)
                raise
        except AwsError as error:
            return error_response(error, protocol, namespace, status, request_id)
        except Exception:
            log.exception("internal error; request %s", request_id)
            internal = AwsError("InternalFailure", "An internal error of the lab; its log has it.", 500)
            return error_response(internal, protocol, namespace, 500, request_id)

    def _service_of(self, request: HttpRequest) -> tuple[Signature | None, Service]:
        """The signature, if any, and the service that it is for."""
        if len(request.body) > MAX_BODY:
            raise AwsError("RequestEntityTooLarge", f"A request has at most {MAX_BODY} bytes.", 413)
        try:
            found = parse_signature(request)
        except SignatureError as error:
            if error.problem.value != "missing" or not _is_web_identity(request):
                raise signature_error(error) from None
            return None, service("sts")
        if found.service not in SERVICES:
            raise AwsError(
                "InvalidAction", f"The lab has no service {found.service[:40]!r}: it has {', '.join(SERVICES)}.", 400
            )
        if not PARTITIONS[self.partition].region_pattern.fullmatch(found.region):
            raise AwsError(
                "SignatureDoesNotMatch", f"Credential should be scoped to a valid region, not '{found.region[:40]}'."
            )
        if found.service == "sts" and found.expires is not None:
            found = replace(found, expires=_STS_PRESIGNED_SECONDS)
        return found, service(found.service)

    def _answer(
        self, request: HttpRequest, found: Signature | None, called: Service, source_ip: str, request_id: str
    ) -> HttpResponse:
        now = self._clock()
        caller = self._authenticator.caller(request, found, now=now) if found else _UNSIGNED
        operation, params = _operation(request, called)
        action = ACTIONS.get((called.name, operation.name))
        if action is None:
            raise AwsError("InvalidAction", f"The lab does not know {called.name}:{operation.name}.", 400)
        if action.authenticated and found is None:
            raise AwsError("MissingAuthenticationToken", "Request is missing Authentication Token")
        region = found.region if found else "us-east-1"
        if found is not None:
            _check_session_token(caller, called.name, operation.name)
            self.usage.record(found.access_key_id, called.name, region, now)
        validate(operation.input_shape, params)
        refuse_left_out(called.name, operation.name, params)
        agent = (request.header(b"user-agent") or b"").decode("latin-1")[:200]
        call = Call(
            self.store, caller, caller.account, self.partition, region, now, self._ids, self._clusters,
            self._policies.policies, source_ip, agent, request_id,
        )  # fmt: skip
        result = self._run(action, call, params)
        if paging := called.paging(operation.name):
            result = page(paging, operation.name, params, result)
        if called.protocol == "rest-json":
            return rest_json.success(operation, result, request_id)
        return query.success(operation, result, called.namespace, request_id, _wants_json(request, called))

    def _run(self, action: Action, call: Call, params: dict[str, Any]) -> dict[str, Any]:
        if not action.writes:
            self._authorize(action, call, params)
            return dict(action.run(call, params) or {})
        with self.store.transaction():
            self._authorize(action, call, params)
            return dict(action.run(call, params) or {})

    def _authorize(self, action: Action, call: Call, params: dict[str, Any]) -> None:
        for permission in action.permissions(call, params):
            self._policies.authorize(call, permission)


def _operation(request: HttpRequest, called: Service) -> tuple[OperationModel, dict[str, Any]]:
    """The operation that is called, and its parameters."""
    if called.protocol == "rest-json":
        found = called.route(request.method, request.path)
        if found is None:
            raise AwsError("InvalidAction", f"There is no operation {request.method} at this path.", 404)
        operation, labels = found
        return operation, rest_json.parse_parameters(operation, labels, request.query, request.body)
    if request.path not in (b"/", b""):
        raise AwsError("InvalidAction", "The query API is at the path /.", 404)
    if request.method not in ("POST", "GET"):
        raise AwsError("InvalidAction", f"The query API does not know the method {request.method[:16]}.", 405)
    fields = _fields(request)
    name = fields.get("Action", "")
    if not name:
        raise AwsError("MissingAction", "The request is missing an action or a required parameter.", 400)
    version = fields.get("Version", called.api_version)
    if name not in called.operations or version != called.api_version:
        raise AwsError(
            "InvalidAction",
            f"Could not find operation {name[:80]} for version {version[:20] or 'NO_VERSION_SPECIFIED'}",
        )
    operation = called.operation(name)
    return operation, query.parse_parameters(operation, fields)


def _fields(request: HttpRequest) -> dict[str, str]:
    # The signature's own parameters are not the operation's.
    in_query = query.read_fields(
        b"&".join(pair for pair in request.query.split(b"&") if not pair.startswith(b"X-Amz-"))
    )
    if request.method == "GET":
        return in_query
    media_type = (request.header(b"content-type") or b"").split(b";")[0].strip().lower()
    if request.body and media_type != b"application/x-www-form-urlencoded":
        raise AwsError(
            "MalformedInput", "The content type of a query request is application/x-www-form-urlencoded.", 400
        )
    fields = query.read_fields(request.body)
    # Both are signed. A presigned POST has its action in the query (botocore's SigV4QueryAuth moves the form there).
    if not fields.keys().isdisjoint(in_query):
        raise AwsError("MalformedQueryString", "A parameter is given in the query and in the body.", 400)
    return {**in_query, **fields}


def _is_web_identity(request: HttpRequest) -> bool:
    return b"Action=AssumeRoleWithWebIdentity" in request.body or b"Action=AssumeRoleWithWebIdentity" in request.query


def _protocol_of(request: HttpRequest) -> str:
    """The protocol to word an error in before the service is known."""
    media_type = request.header(b"content-type") or b""
    if request.path not in (b"/", b"") or b"json" in media_type:
        return "rest-json"
    return "query-json" if _accepts_json(request) else "query"


def _error_protocol(request: HttpRequest, called: Service) -> str:
    return "query-json" if _wants_json(request, called) else called.protocol


def _wants_json(request: HttpRequest, called: Service) -> bool:
    """STS answers in JSON if it is asked to; IAM never does."""
    return called.name == "sts" and _accepts_json(request)


def _accepts_json(request: HttpRequest) -> bool:
    accept = request.header(b"accept") or b""
    return accept.split(b",")[0].split(b";")[0].strip().lower() == b"application/json"


def _check_session_token(caller: Principal, service_name: str, operation: str) -> None:
    """What credentials of GetSessionToken may call (AWS STS API reference, GetSessionToken)."""
    session = caller.session
    if session is None or caller.kind is not PrincipalKind.USER:
        return
    if service_name == "iam" and session.mfa_authenticated_at is None:
        raise AwsError("InvalidClientTokenId", "The security token included in the request is invalid")
    if service_name == "sts" and operation not in _SESSION_TOKEN_STS:
        raise AwsError("AccessDenied", f"Cannot call {operation} with session credentials")
