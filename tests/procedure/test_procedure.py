"""The procedure against an embedded cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

# The checks build on each other, so they come as they stand there, and not as an import would sort them.
from procedure_checks import *  # noqa: F403
from procedure_checks import NEEDS_TOOLS

pytestmark = NEEDS_TOOLS


@pytest.fixture(scope="module")
def lab(start_lab: Callable[..., Any]) -> Any:
    return start_lab()
