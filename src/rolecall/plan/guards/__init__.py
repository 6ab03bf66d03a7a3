"""What a plan must not do unless somebody allows it by name: each guard a pure function with a code."""

from __future__ import annotations

from rolecall.plan.guards.case import Case
from rolecall.plan.guards.catalogue import CODES, GUARDS, examine

__all__ = ["CODES", "GUARDS", "Case", "examine"]
