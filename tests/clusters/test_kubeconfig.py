"""Contexts read as kubectl reads them, tokens renewed, answers bounded.

Sources: Kubernetes documentation, "Organizing Cluster Access Using kubeconfig Files" (merging); "client-go credential
plugins".
"""

from __future__ import annotations

import base64
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from rolecall.clusters import transport
from rolecall.clusters.errors import ClusterError
from rolecall.clusters.exec_credentials import ExecPlugin, FixedToken, RenewedTokens, TokenFile
from rolecall.clusters.kubeconfig import read_context
from rolecall.clusters.transport import Endpoint, KubernetesTransport
from rolecall.tokens.mint import Token

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def config(
    user: dict[str, Any] | None = None, cluster: dict[str, Any] | None = None, name: str = "one"
) -> dict[str, Any]:
    return {
        "current-context": name,
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        "clusters": [{"name": name, "cluster": {"server": "https://127.0.0.1:1", **(cluster or {})}}],
        "users": [{"name": name, "user": user or {}}],
    }


def write(path: Path, found: Any) -> Path:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(yaml.safe_dump(found))
    return path


def test_the_first_file_that_says_so_wins(tmp_path: Path) -> None:
    first = write(tmp_path / "a", {**config({"token": "1"}), "clusters": None})
    second = write(tmp_path / "b", config({"token": "2"}, {"server": "https://second:1"}))
    environ = {"KUBECONFIG": f"{first}{os.pathsep}{tmp_path / 'none'}{os.pathsep}{second}"}
    found = read_context(environ=environ)
    assert (found.endpoint.server, found.tokens) == ("https://second:1", FixedToken("1"))
    with pytest.raises(ClusterError, match="no context 'x'"):
        read_context("x", environ=environ)
    with pytest.raises(ClusterError, match="no current context"):
        read_context(environ={"HOME": str(tmp_path)})


def test_paths_are_of_the_file_that_names_them(tmp_path: Path) -> None:
    folder = tmp_path / "k"
    path = write(
        folder / "config",
        config(
            {"tokenFile": "t"}, {"certificate-authority": "ca.pem", "tls-server-name": "api", "proxy-url": "http://p:1"}
        ),
    )
    (folder / "ca.pem").write_text("-----BEGIN X")
    (folder / "t").write_text(" secret\n")
    found = read_context(paths=[path])
    assert (found.endpoint.ca_pem, found.endpoint.tls_server_name, found.endpoint.proxy_url) == (
        "-----BEGIN X",
        "api",
        "http://p:1",
    )
    assert isinstance(found.tokens, TokenFile)
    assert found.tokens.token() == "secret"


@pytest.mark.parametrize(
    ("user", "cluster", "words"),
    [
        ({"auth-provider": {"name": "oidc"}}, {}, "auth-provider"),
        ({"username": "a", "password": "b"}, {}, "basic"),
        ({"as-user-extra": {"a": ["b"]}}, {}, "as-user-extra"),
        ({"exec": {"apiVersion": "client.authentication.k8s.io/v1alpha1", "command": "x"}}, {}, "not supported"),
        ({"client-certificate": "missing.pem"}, {}, "cannot read client-certificate"),
        ({}, {"certificate-authority-data": "!"}, "not a PEM"),
        ({"client-key-data": "YQ=="}, {}, "not a PEM"),
        ({}, {"server": "ftp://x"}, "no server"),
    ],
)
def test_what_is_not_understood_is_refused(
    tmp_path: Path, user: dict[str, Any], cluster: dict[str, Any], words: str
) -> None:
    with pytest.raises(ClusterError, match=words):
        read_context(paths=[write(tmp_path / "c", config(user, cluster))])


@pytest.mark.parametrize("text", ["[", "- a", "a: 1\n\tb", "x" * 100])
def test_what_is_no_kubeconfig_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "c"
    path.write_text(text)
    with pytest.raises(ClusterError):
        read_context(paths=[path])


def test_impersonation_and_no_secret_in_sight(tmp_path: Path) -> None:
    key = base64.b64encode(b"-----BEGIN PRIVATE").decode()
    found = read_context(
        paths=[write(tmp_path / "c", config({"as": "u", "as-groups": ["g", "h"], "client-key-data": key}))]
    )
    assert found.endpoint.headers() == [
        ("Impersonate-User", "u"),
        ("Impersonate-Group", "g"),
        ("Impersonate-Group", "h"),
    ]
    assert "PRIVATE" not in repr(found)


def test_tokens_are_renewed_before_they_end_and_when_refused() -> None:
    made: list[str] = []
    now = [NOW]

    def new() -> Token:
        made.append(str(len(made)))
        return Token(made[-1], now[0] + timedelta(minutes=14))

    tokens = RenewedTokens(new, lambda: now[0])
    assert [tokens.token(), tokens.token()] == ["0", "0"]
    now[0] += timedelta(minutes=13, seconds=1)
    assert tokens.token() == "1"
    assert tokens.token(refused="0") == "1"  # another thread has renewed it already
    assert tokens.token(refused="1") == "2"


def test_a_plugin_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    script = tmp_path / "plugin"
    script.write_text("#!/bin/sh\nexec sleep 60\n")
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setattr("rolecall.clusters.exec_credentials.PLUGIN_SECONDS", 0.2)
    plugin = ExecPlugin("client.authentication.k8s.io/v1", "./plugin", (), {}, tmp_path)
    with pytest.raises(ClusterError, match="no answer in"):
        plugin.run()


def test_an_answer_without_end_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "MAX_ANSWER", 10)
    sender = KubernetesTransport(Endpoint("https://x"), FixedToken("t"))
    seen: list[httpx2.Request] = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        seen.append(request)
        return httpx2.Response(200, content=iter([b"12345", b"67890", b"x"]))

    monkeypatch.setattr(sender, "_http", httpx2.MockTransport(answer))
    response = sender.handle_request(httpx2.Request("GET", "https://x/api"))
    with pytest.raises(ClusterError, match="more than"):
        response.read()
    assert seen[0].headers["Authorization"] == "Bearer t"


VALUES: list[Any] = [
    None,
    "",
    "text",
    1,
    1.5,
    True,
    [],
    {},
    [None],
    [1],
    ["a"],
    [[]],
    [{}],
    {"a": 1},
    [{"name": "a"}],
    [{"name": 1}],
]
PLACES: list[tuple[str, ...]] = [
    ("current-context",), ("contexts",), ("clusters",), ("users",), ("contexts", "context"), ("clusters", "cluster"),
    ("users", "user"), ("contexts", "name"), *(("contexts", "context", key) for key in ("cluster", "user", "namespace")),
    *(("clusters", "cluster", key) for key in ("server", "certificate-authority", "certificate-authority-data", "tls-server-name", "proxy-url")),
    *(("users", "user", key) for key in ("exec", "token", "tokenFile", "as", "as-uid", "as-groups", "as-user-extra", "client-key", "client-key-data", "auth-provider", "username")),
    *(("users", "user", "exec", key) for key in ("args", "env", "command", "apiVersion", "interactiveMode", "installHint", "provideClusterInfo")),
]  # fmt: skip


@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_whatever_a_place_holds_is_read_or_refused_in_words(tmp_path: Path, place: tuple[str, ...]) -> None:
    """A list that is text is never read character by character: `as-groups: ab` is no member of a and b."""
    for value in VALUES:
        plugin = {"apiVersion": "client.authentication.k8s.io/v1", "command": "x", "args": ["y"]}
        found: Any = config({"exec": plugin})
        node: Any = found
        for key in place[:-1]:
            node = node[key]
            node = node[0] if isinstance(node, list) else node
        node[place[-1]] = value
        path = write(tmp_path / "c", found)
        try:
            read = read_context("one" if place == ("current-context",) and not value else "", [path])
        except ClusterError:
            continue
        assert read.endpoint.impersonate_groups in ((), ("",), ("a",)), (place, value)
        assert read.endpoint.server == "https://127.0.0.1:1"


def test_an_empty_file_has_no_entries(tmp_path: Path) -> None:
    """As kubectl reads /dev/null, which people name to say that there is no kubeconfig."""
    second = write(tmp_path / "b", config({"token": "2"}))
    (tmp_path / "empty").write_bytes(b"")
    for nothing in ("/dev/null", str(tmp_path / "empty")):
        environ = {"KUBECONFIG": f"{nothing}{os.pathsep}{second}"}
        assert read_context(environ=environ).tokens == FixedToken("2")
        with pytest.raises(ClusterError, match="no current context"):
            read_context(environ={"KUBECONFIG": nothing})


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path) -> None:
    (tmp_path / "c").write_bytes(b"\xef\xbb\xbf" + yaml.safe_dump(config({"token": "1"})).encode())
    assert read_context("one", [tmp_path / "c"]).tokens == FixedToken("1")


def test_without_a_home_folder_there_is_no_context(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)
    with pytest.raises(ClusterError, match="no current context"):
        read_context(environ={})
