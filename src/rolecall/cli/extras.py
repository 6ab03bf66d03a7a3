"""Parts of rolecall that are installed by name: the lab and the server. A laptop with the plugin needs neither."""

from __future__ import annotations

from importlib.util import find_spec

from rolecall.errors import RolecallError

# The modules that an extra of pyproject.toml brings, by its name.
EXTRAS = {
    "lab": ("aiohttp", "cryptography"),
    "server": ("cryptography", "httptools", "prometheus_client"),
}


def require_extra(name: str) -> None:
    """Nothing if an extra is installed.

    :raises RolecallError: if it is not, with the command that installs it
    """
    if not all(find_spec(module) for module in EXTRAS[name]):
        raise RolecallError(f"the {name} is not installed: run pipx install 'rolecall[{name}]', or the same with pip")
