"""Which proxy a call goes through, from the environment. No I/O.

Source: the AWS CLI user guide, "Using an HTTP proxy"; Python's ``urllib.request`` (``getproxies_environment``,
``proxy_bypass_environment``), whose reading botocore takes; urllib3, to which a proxy without a port is on port 80.
"""

from __future__ import annotations

from rolecall.errors import RolecallError
from rolecall.exec_plugin.settings import host_and_port

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

_ADVICE = "use http://HOST:PORT or http://USER:PASSWORD@HOST:PORT; SOCKS and https:// proxies are not supported"


class Proxy:
    """A proxy that tunnels.

    :ivar where: for a person: the variable, and host and port; never the password.
    :ivar authorization: value of ``Proxy-Authorization``; empty if the proxy needs none.
    """

    __slots__ = ("authorization", "host", "port", "where")

    def __init__(self, host: str, port: int, where: str, authorization: str) -> None:
        self.host = host
        self.port = port
        self.where = where
        self.authorization = authorization


def proxy_for(host: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for an HTTPS call to ``host``; ``None`` to call it directly.

    :raises RolecallError: if the variable does not name a proxy that can be used.
    """
    # The lower-case variable counts even if it is empty: so a proxy is switched off.
    name = "https_proxy" if "https_proxy" in environ else "HTTPS_PROXY"
    text = environ.get(name, "").strip()
    without = environ["no_proxy"] if "no_proxy" in environ else environ.get("NO_PROXY", "")
    if not text or bypasses(host, without):
        return None
    return _read(text, name)


def bypasses(host: str, without: str) -> bool:
    """Whether a NO_PROXY list has a host: itself, a domain that it ends with, or ``*``.

    Wildcards such as ``*.amazonaws.com`` and ports match nothing, as in the AWS CLI.
    """
    names = [name.strip().lstrip(".").lower() for name in without.split(",") if name.strip()]
    return any(name == "*" or host.lower() == name or host.lower().endswith(f".{name}") for name in names)


def _read(text: str, name: str) -> Proxy:
    scheme, _, rest = text.partition("://") if "://" in text else ("http", "", text)
    for end in "/?#":
        rest = rest.partition(end)[0]
    login, _, place = rest.rpartition("@")
    host, port = host_and_port(place.removesuffix(":"))
    if scheme.lower() != "http" or not host or port > 65_535 or not (text.isprintable() and text.isascii()):
        # The text is not repeated: it may have a password in it.
        raise RolecallError("this is not a proxy that can be used", where=name, advice=_ADVICE)
    port = port or 80
    return Proxy(host.strip("[]"), port, f"{name} ({host}:{port})", _authorization(login) if login else "")


def _authorization(login: str) -> str:
    from binascii import b2a_base64
    from urllib.parse import unquote

    user, _, password = login.partition(":")
    pair = f"{unquote(user)}:{unquote(password)}"
    return f"Basic {b2a_base64(pair.encode(), newline=False).decode()}"
