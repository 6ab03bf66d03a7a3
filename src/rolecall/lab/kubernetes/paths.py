"""The paths that are not resources: versions, health, discovery, OpenAPI, and the issuer's keys."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from aiohttp.web_response import Response

from rolecall.lab.kubernetes import discovery
from rolecall.lab.kubernetes.kinds import Kinds
from rolecall.lab.kubernetes.negotiation import Form, negotiate
from rolecall.lab.kubernetes.openapi import OpenApi
from rolecall.lab.kubernetes.requests import ApiRequest
from rolecall.lab.kubernetes.service_account_tokens import ServiceAccountTokens
from rolecall.lab.kubernetes.status import method_not_allowed, no_such_path

_HEALTH = ("/healthz", "/livez", "/readyz")


class Paths:
    """Answers requests that are about no resource. ``version``: the cluster's, such as ``1.36``."""

    def __init__(self, kinds: Kinds, version: Callable[[], str], tokens: ServiceAccountTokens) -> None:
        self._kinds = kinds
        self._version = version
        self._tokens = tokens
        self._openapi = OpenApi(kinds)

    def answer(self, asked: ApiRequest, accept: str) -> Response:
        """The answer; ``NotFound`` if there is nothing at the path."""
        if asked.verb != "get":
            raise method_not_allowed()
        path = asked.path.rstrip("/") or "/"
        if path in _HEALTH or path.startswith(tuple(f"{health}/" for health in _HEALTH)):
            return Response(text="ok")
        if path.startswith("/openapi/v3/"):
            document = self._openapi.document(path.removeprefix("/openapi/v3/"))
            if document is None:
                raise no_such_path()
            return Response(body=document, headers={"Content-Type": "application/json"})
        if path in ("/api", "/apis") and negotiate(accept) is Form.DISCOVERY:
            return _json(discovery.aggregated(self._kinds, path == "/api"), discovery.V2)
        found = self._document(path)
        if found is None and path.startswith("/api/"):
            raise no_such_path()
        if found is None:
            # Outside the resources the real server answers as Go's own does.
            return Response(text="404 page not found\n", status=404)
        return _json(found)

    def _document(self, path: str) -> Mapping[str, Any] | None:
        match path.strip("/").split("/"):
            case ["version"]:
                return self._version_info()
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                return discovery.group_list(self._kinds)
            case ["api", "v1"]:
                return discovery.resource_list(self._kinds, "", "v1")
            case ["apis", group] if any(group == name for name, _ in self._kinds.group_versions()):
                return discovery.group(self._kinds, group)
            case ["apis", group, version] if (group, version) in self._kinds.group_versions():
                return discovery.resource_list(self._kinds, group, version)
            case ["openapi", "v3"]:
                return self._openapi.index()
            case ["openid", "v1", "jwks"]:
                return self._tokens.jwks()
            case [".well-known", "openid-configuration"]:
                return self._openid_configuration()
            case [""]:
                return {"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v3", "/readyz", "/version"]}
        return None

    def _version_info(self) -> Mapping[str, Any]:
        major, minor = self._version().split(".")
        return {
            "major": major,
            "minor": minor,
            "gitVersion": f"v{major}.{minor}.0-eks-rolecall",
            "gitCommit": "",
            "gitTreeState": "clean",
            "buildDate": "1970-01-01T00:00:00Z",
            "goVersion": "",
            "compiler": "",
            "platform": "linux/amd64",
        }

    def _openid_configuration(self) -> Mapping[str, Any]:
        return {
            "issuer": self._tokens.issuer,
            "jwks_uri": f"{self._tokens.issuer}/openid/v1/jwks",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": ["ES256"],
        }


def _json(found: Mapping[str, Any], content_type: str = "application/json") -> Response:
    return Response(body=json.dumps(found).encode(), headers={"Content-Type": content_type})
