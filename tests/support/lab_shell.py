"""A test as if it ran in ``rolecall lab shell``."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

_KEYS = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")


def enter(variables: Mapping[str, str], patch: pytest.MonkeyPatch) -> None:
    """Take over the variables of a lab's shell that decide which AWS is spoken to, and as whom."""
    for name in _KEYS:
        patch.delenv(name, raising=False)
    for name, value in variables.items():
        if name.startswith("AWS_") or name in ("HOME", "KUBECONFIG", "no_proxy", "NO_PROXY"):
            patch.setenv(name, value)
