"""What a real API server asks the lab: whose token is this, and do the access policies allow that?

On the loopback interface, over TLS, and only for who shows the token in the API server's webhook kubeconfig. Source:
Kubernetes documentation, "Webhook Token Authentication" and "Webhook Mode".
"""

from __future__ import annotations

import hmac
import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp.web_request import BaseRequest
from aiohttp.web_response import Response

from rolecall.authenticator.authorize import authorize
from rolecall.authenticator.principal_proof import PrincipalProofs
from rolecall.authenticator.review import MalformedReviewError, StsThrottledError, StsUnavailableError
from rolecall.lab.cluster_access import ClusterAccess
from rolecall.lab.http_server import HttpServer, read_body
from rolecall.lab.kubernetes.certificates import serving_context
from rolecall.lab.kubernetes.server import error_page, json_response, status_response
from rolecall.lab.kubernetes.status import StatusError, bad_request, no_such_path, unauthorized

MAX_BODY = 1024 * 1024


class WebhookServer:
    """Answers the API server of one cluster.

    :param token: the secret that the API server shows.
    """

    def __init__(self, access: ClusterAccess, token: str) -> None:
        self._access = access
        self._token = token.encode()
        # The secret is the API server's and ours, as the private key of an authenticator's certificate is not.
        self._proofs = PrincipalProofs(self._token, "")
        self._server = HttpServer(self._handle, error_page)

    async def start(self, serving: Path) -> str:
        """Listen on a free port; the URL."""
        port = await self._server.listen("127.0.0.1", 0, serving_context(serving))
        return f"https://127.0.0.1:{port}"

    async def stop(self) -> None:
        await self._server.close()

    async def _handle(self, request: BaseRequest) -> Response:
        try:
            return await self._answer(request)
        except StatusError as error:
            return status_response(error)
        except MalformedReviewError as error:
            return status_response(bad_request(error.what))
        except StsThrottledError as error:
            return status_response(StatusError(429, "TooManyRequests", error.what))
        except StsUnavailableError as error:
            return status_response(StatusError(503, "ServiceUnavailable", error.what))

    async def _answer(self, request: BaseRequest) -> Response:
        shown = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(shown, b"Bearer " + self._token):
            raise unauthorized()
        if request.method != "POST" or request.path not in ("/authenticate", "/authorize"):
            raise no_such_path()
        question = _object(await read_body(request, MAX_BODY) if request.body_exists else b"")
        if request.path == "/authenticate":
            return json_response(self._proven(await self._access.review(question)))
        return json_response(self._authorize(question))

    def _proven(self, answer: Mapping[str, Any]) -> dict[str, Any]:
        status = answer["status"]
        if not status["authenticated"]:
            return dict(answer)
        return {**answer, "status": {**status, "user": self._proofs.prove(status["user"], time.time())}}

    def _is_proven(self, spec: Mapping[str, Any]) -> bool:
        return self._proofs.holds(spec, time.time())

    def _authorize(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """No opinion unless a policy allows: RBAC has been asked before."""
        outcome = authorize(question, self._access.access_entries(), self._is_proven)
        if outcome.request is None:
            raise bad_request(outcome.reason)
        return dict(outcome.answer)


def _object(body: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        raise bad_request("the body is not JSON") from None
    if not isinstance(found, Mapping):
        raise bad_request("the body is not an object")
    return found
