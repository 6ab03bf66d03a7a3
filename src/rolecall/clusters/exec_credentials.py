"""Bearer tokens: fixed ones, of a file, minted from AWS credentials, or of a kubeconfig's exec plugin.

Source of the plugin's protocol: Kubernetes documentation, "Authentication", "client-go credential plugins"; API
reference, ``client.authentication.k8s.io/v1`` ExecCredential.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Protocol

from rolecall.clusters.errors import ClusterError
from rolecall.sigv4.request import Credentials
from rolecall.tokens.mint import Token, mint

# Long enough for a person to type an MFA code.
PLUGIN_SECONDS = 120
MAX_PLUGIN_OUTPUT = 1 << 20
API_VERSIONS = ("client.authentication.k8s.io/v1", "client.authentication.k8s.io/v1beta1")
# A token is renewed this long before it ends, so that none ends on its way.
MARGIN = timedelta(seconds=60)


class TokenSource(Protocol):
    """Gives the bearer token of a request. Shared by threads."""

    def token(self, *, refused: str = "") -> str:
        """A token; where the cluster has just refused one (``refused``), another one if there can be."""
        ...


@dataclass(frozen=True, slots=True)
class FixedToken:
    """A token that is written in the kubeconfig."""

    value: str

    def token(self, *, refused: str = "") -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class TokenFile:
    """A token that others renew in a file, as a kubelet does."""

    path: Path

    def token(self, *, refused: str = "") -> str:
        try:
            return self.path.read_text().strip()
        except OSError as error:
            raise ClusterError(f"cannot read the token: {error.strerror}", where=str(self.path)) from error


class RenewedTokens:
    """Tokens that end, asked for again before they do; once for all threads that wait.

    :param new: makes a token.
    :param clock: the time now, with a time zone.
    """

    def __init__(self, new: Callable[[], Token], clock: Callable[[], datetime]) -> None:
        self._new, self._clock = new, clock
        self._lock = threading.Lock()
        self._held: Token | None = None

    def token(self, *, refused: str = "") -> str:
        with self._lock:
            held = self._held
            if held is None or held.value == refused or held.expires_at - MARGIN <= self._clock():
                held = self._held = self._new()
            return held.value


def minted_tokens(
    credentials: Callable[[], Credentials],
    cluster: str,
    *,
    region: str,
    sts_endpoint: str = "",
    clock: Callable[[], datetime],
) -> RenewedTokens:
    """Tokens of an EKS cluster, signed here. ``sts_endpoint``: where ``AWS_ENDPOINT_URL`` leads; empty: AWS's own."""
    return RenewedTokens(
        lambda: mint(credentials(), cluster, region=region, now=clock(), endpoint=sts_endpoint or None), clock
    )


@dataclass(frozen=True, slots=True)
class ExecPlugin:
    """The ``exec`` entry of a kubeconfig's user.

    :param command: with a path separator it is relative to ``folder``, else found on ``PATH``.
    :param cluster_info: for ``KUBERNETES_EXEC_INFO`` where the entry says ``provideClusterInfo``.
    """

    api_version: str
    command: str
    arguments: tuple[str, ...]
    variables: Mapping[str, str]
    folder: Path
    interactive_mode: str = "IfAvailable"
    cluster_info: Mapping[str, Any] | None = None
    install_hint: str = ""

    def run(self) -> Token:
        """Run the plugin and read its answer; its messages to the person go through to standard error.

        :raises ClusterError: it is not there, fails, takes too long, or answers something else.
        """
        where = f"credential plugin {self.command}"
        interactive = self.interactive_mode != "Never" and sys.stdin is not None and sys.stdin.isatty()
        if self.interactive_mode == "Always" and not interactive:
            raise ClusterError("it needs a terminal, and there is none", where=where)
        spec: dict[str, Any] = {"interactive": interactive}
        if self.cluster_info is not None:
            spec["cluster"] = self.cluster_info
        info = json.dumps({"apiVersion": self.api_version, "kind": "ExecCredential", "spec": spec})
        command = str(self.folder / self.command) if os.sep in self.command else self.command
        try:
            done = subprocess.run(  # noqa: S603 -- the person's own kubeconfig names it, as kubectl would run it
                [command, *self.arguments],
                env={**os.environ, **self.variables, "KUBERNETES_EXEC_INFO": info},
                stdin=None if interactive else subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                timeout=PLUGIN_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise ClusterError(f"no answer in {PLUGIN_SECONDS} seconds", where=where) from None
        except OSError as error:
            raise ClusterError(f"cannot run it: {error.strerror}", where=where, advice=self.install_hint) from error
        if done.returncode != 0:
            raise ClusterError(f"ended with {done.returncode}", where=where, advice="its own message is above")
        return self._answer(done.stdout, where)

    def _answer(self, output: bytes, where: str) -> Token:
        try:
            if len(output) > MAX_PLUGIN_OUTPUT:
                raise ValueError
            found = json.loads(output)
            status = found["status"]
            token, expires = status["token"], status.get("expirationTimestamp")
            if found.get("apiVersion") != self.api_version or not isinstance(token, str) or not token.isascii():
                raise ValueError
            # Without an end the token holds until the cluster refuses it.
            ends = datetime.fromisoformat(expires) if expires else datetime.max.replace(tzinfo=UTC)
            ends = ends if ends.tzinfo else ends.replace(tzinfo=UTC)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            # The output may hold a token, so it is not shown.
            raise ClusterError(
                f"its answer is not an ExecCredential of {self.api_version} with a token", where=where
            ) from None
        return Token(token, ends)
