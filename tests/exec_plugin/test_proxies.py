"""Every text that HTTPS_PROXY and NO_PROXY can be. Sources: urllib3 (port 80 without a port), Python's urllib.request."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exec_plugin_person import ROLE, Person
from rolecall.errors import RolecallError
from rolecall.exec_plugin.proxies import bypasses, proxy_for

HOST = "sts.eu-west-2.amazonaws.com"

# text -> host, port, Proxy-Authorization
USED = [
    ("http://127.0.0.1:3128", "127.0.0.1", 3128, ""),
    # eksctl #6189: a blank at the end of the variable
    ("http://127.0.0.1:3128 ", "127.0.0.1", 3128, ""),
    ("\thttp://proxy.corp:3128\n", "proxy.corp", 3128, ""),
    ("http://proxy.corp", "proxy.corp", 80, ""),
    ("http://proxy.corp:", "proxy.corp", 80, ""),
    ("http://proxy.corp/", "proxy.corp", 80, ""),
    ("proxy.corp:8080", "proxy.corp", 8080, ""),
    ("proxy.corp", "proxy.corp", 80, ""),
    ("HTTP://proxy.corp:1", "proxy.corp", 1, ""),
    ("http://proxy.corp:3128/path?x=y#z", "proxy.corp", 3128, ""),
    ("http://[::1]:3128", "::1", 3128, ""),
    ("http://[fd00::1]", "fd00::1", 80, ""),
    ("http://me:p%40ss@proxy.corp:3128", "proxy.corp", 3128, "Basic bWU6cEBzcw=="),
    ("http://me@proxy.corp", "proxy.corp", 80, "Basic bWU6"),
    ("me:p@ss@proxy.corp:1", "proxy.corp", 1, "Basic bWU6cEBzcw=="),
]


@pytest.mark.parametrize(("text", "host", "port", "authorization"), USED)
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy"])
def test_a_proxy_that_can_be_used(name: str, text: str, host: str, port: int, authorization: str) -> None:
    found = proxy_for(HOST, {name: text})
    assert found is not None
    assert (found.host, found.port, found.authorization) == (host, port, authorization)
    assert name in found.where
    assert "p@ss" not in found.where


@pytest.mark.parametrize(
    "text",
    [
        "socks5://proxy:1080", "https://proxy:3128", "://proxy", "http://", "http://:3128", "http://proxy:port",
        "http://proxy:99999", "http://proxy:-1", "http://proxy:0x50", "http://proxy: 3128", "http://pro xy:3128", "http://[::1", "http://[::1]3128",
        "http://pr\u00f6xy:3128", "http://me:s\u00e9cret@proxy:3128", "ftp://proxy", "http:///", "@", "[]", "a:b:c", "'http://proxy:3128'", "http://proxy\x00:1",
    ],
)  # fmt: skip
def test_a_proxy_that_cannot_be_used_is_refused_in_one_sentence(text: str) -> None:
    with pytest.raises(RolecallError) as error:
        proxy_for(HOST, {"HTTPS_PROXY": text})
    assert error.value.where == "HTTPS_PROXY"
    assert "http://HOST:PORT" in error.value.advice
    assert "cret" not in str(error.value), "there may be a password in it"


@given(
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=60),
    st.sampled_from(["", "http://", "http://a:b@", "https://"]),
)
def test_no_text_crashes(text: str, head: str) -> None:
    try:
        found = proxy_for(HOST, {"HTTPS_PROXY": head + text})
    except RolecallError:
        return
    assert found is None or 0 < found.port <= 65_535


def test_which_variable_counts() -> None:
    both = {"HTTPS_PROXY": "http://upper:1", "https_proxy": "http://lower:1"}
    found = proxy_for(HOST, both)
    assert found is not None
    assert found.host == "lower"
    # urllib.request: the lower-case variable counts even if it is empty
    assert proxy_for(HOST, {**both, "https_proxy": ""}) is None
    assert proxy_for(HOST, {}) is None
    assert proxy_for(HOST, {"HTTPS_PROXY": " "}) is None
    assert proxy_for(HOST, {"HTTPS_PROXY": "nonsense://", "NO_PROXY": HOST}) is None


@pytest.mark.parametrize(
    ("host", "without", "direct"),
    [
        ("sts.amazonaws.com", "", False),
        ("sts.amazonaws.com", "*", True),
        ("sts.amazonaws.com", "example.com, amazonaws.com", True),
        ("sts.amazonaws.com", ".amazonaws.com", True),
        ("sts.amazonaws.com", "notamazonaws.com,ws.com", False),
        ("STS.amazonaws.com", "sts.AMAZONAWS.com", True),
        # as in the AWS CLI
        ("sts.amazonaws.com", "*.amazonaws.com", False),
        ("sts.amazonaws.com", "sts.amazonaws.com:443", False),
    ],
)
def test_no_proxy(host: str, without: str, direct: bool) -> None:
    assert bypasses(host, without) is direct


def test_in_the_middle_of_kubectl_it_is_one_error(person: Person) -> None:
    for text in ("http://127.0.0.1:1 ", "http://127.0.0.1:port", "socks5://127.0.0.1:1"):
        done = person.run("token", "-i", "prod", "-r", ROLE, AWS_REGION="eu-west-2", HTTPS_PROXY=text, check=False)
        assert (done.returncode, done.stdout) == (1, "")
        assert "HTTPS_PROXY" in done.stderr
        assert "Traceback" not in done.stderr
