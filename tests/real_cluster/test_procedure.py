"""The procedure against the real kube-apiserver: the same commands, the same answers."""

from __future__ import annotations

# The checks build on each other, so they come as they stand there, and not as an import would sort them.
from procedure_checks import *  # noqa: F403
from procedure_checks import NEEDS_TOOLS

pytestmark = NEEDS_TOOLS
