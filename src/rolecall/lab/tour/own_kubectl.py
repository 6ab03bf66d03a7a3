"""The part of kubectl that the tour needs, for machines without it: the same arguments, over HTTPS by hand."""

from __future__ import annotations

import base64
import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rolecall.lab.tour.commands import Done
from rolecall.lab.tour.own_aws import OwnAws
from rolecall.sigv4 import Credentials
from rolecall.tls import client_context
from rolecall.tokens.mint import mint

_CONFIG_MAPS = "/api/v1/namespaces/{}/configmaps"


class OwnKubectl:
    """Runs ``kubectl ...`` against the cluster of the last ``update-kubeconfig``."""

    def __init__(self, aws: OwnAws, environment: Mapping[str, str]) -> None:
        self._aws = aws
        self._environment = environment
        self._users: dict[str, str] = {}

    def run(self, arguments: Sequence[str], overrides: Mapping[str, str]) -> Done:
        """Carry out one command; a refusal of the cluster ends it with 1."""
        try:
            return Done(0, self._carry_out(list(arguments), overrides), "")
        except urllib.error.HTTPError as error:
            message = json.load(error).get("message", "")
            if error.code == 401:
                message = "You must be logged in to the server (Unauthorized)"
            return Done(1, "", f"error: {message}\n")

    def _carry_out(self, words: list[str], overrides: Mapping[str, str]) -> str:
        match words:
            case ["config", "set-credentials", name, *options]:
                self._users[name] = options[options.index("--exec-arg=--profile") + 1].removeprefix("--exec-arg=")
                return f'User "{name}" set.\n'
            case ["--user", name, *rest]:
                return self._carry_out(rest, {**overrides, "KUBECTL_USER_PROFILE": self._users[name]})
            case ["apply", "-f", file]:
                return self._apply(Path(file), overrides)
            case ["auth", "whoami"]:
                return _whoami(self._send("POST", *_review("authentication", "SelfSubjectReview", None), overrides))
            case ["auth", "can-i", verb, resource]:
                spec = {"resourceAttributes": {"verb": verb, "resource": resource}}
                found = self._send("POST", *_review("authorization", "SelfSubjectAccessReview", spec), overrides)
                return "yes\n" if found["status"]["allowed"] else "no\n"
            case ["get", "configmap", name, "-n", namespace, "-o", "json"]:
                found = self._send("GET", f"{_CONFIG_MAPS.format(namespace)}/{name}", None, overrides)
                return json.dumps(found, indent=4) + "\n"
        raise ValueError(f"the tour's own kubectl does not know {' '.join(words)}")

    def _apply(self, file: Path, overrides: Mapping[str, str]) -> str:
        import yaml

        found = yaml.safe_load(file.read_text())
        metadata = found["metadata"]
        path = f"{_CONFIG_MAPS.format(metadata['namespace'])}/{metadata['name']}?fieldManager=rolecall&force=true"
        self._send("PATCH", path, found, overrides, "application/apply-patch+yaml")
        return f"configmap/{metadata['name']} configured\n"

    def _send(
        self, method: str, path: str, body: Any, overrides: Mapping[str, str], content_type: str = "application/json"
    ) -> dict[str, Any]:
        cluster, profile = self._aws.context
        session = self._aws.session(overrides.get("KUBECTL_USER_PROFILE") or profile, overrides)
        key = session.get_credentials().get_frozen_credentials()
        token = mint(
            Credentials(key.access_key, key.secret_key, key.token),
            cluster["name"],
            region=self._environment["AWS_REGION"],
            now=datetime.now(UTC),
            endpoint=self._environment["AWS_ENDPOINT_URL"],
        )
        request = urllib.request.Request(  # noqa: S310 -- the cluster's own https endpoint
            cluster["endpoint"] + path,
            method=method,
            data=json.dumps(body).encode() if body is not None else None,
            headers={"Authorization": f"Bearer {token.value}", "Content-Type": content_type},
        )
        authority = base64.b64decode(cluster["certificateAuthority"]["data"]).decode()
        with urllib.request.urlopen(request, context=client_context(cadata=authority), timeout=20) as answer:  # noqa: S310
            found: dict[str, Any] = json.load(answer)
        return found


def _review(group: str, kind: str, spec: Any) -> tuple[str, dict[str, Any]]:
    version = f"{group}.k8s.io/v1"
    body = {"apiVersion": version, "kind": kind, **({"spec": spec} if spec else {})}
    return f"/apis/{version}/{kind.lower()}s", body


def _whoami(review: Mapping[str, Any]) -> str:
    user = review["status"]["userInfo"]
    rows = [("ATTRIBUTE", "VALUE"), ("Username", user["username"]), ("UID", user.get("uid", ""))]
    rows.append(("Groups", f"[{' '.join(user['groups'])}]"))
    rows += [(f"Extra: {key}", f"[{' '.join(values)}]") for key, values in sorted(user.get("extra", {}).items())]
    return "".join(f"{name:<55}{value}\n" for name, value in rows)
