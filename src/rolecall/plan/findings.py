"""What the guards object to in a plan, and how a person overrides it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from rolecall.errors import RolecallError


class AllowanceError(RolecallError):
    """``--allow`` names no guard."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What one guard found.

    :param code: of the guard, for programs and ``--allow``.
    :param about: what it is about, for ``--allow CODE:ABOUT``: a role's, person's or cluster's name, an account's id.
    :param text: the sentence that a person reads.
    :param advice: what to do instead.
    :param place: ``file:line:column`` of what wants it, or empty.
    :param refuses: whether it keeps the plan from being applied; else it is a warning.
    :param allowed: whether it did, and somebody allowed it by name.
    """

    code: str
    about: tuple[str, ...]
    text: str
    advice: str = ""
    place: str = ""
    refuses: bool = True
    allowed: bool = False

    def __str__(self) -> str:
        return f"{f'{self.place}: ' if self.place else ''}{self.text}"


@dataclass(frozen=True, slots=True)
class Allowance:
    """One ``--allow``: a guard's code, for everything or for one thing that it is about."""

    code: str
    about: str = ""

    @classmethod
    def parse(cls, text: str, codes: Sequence[str]) -> Allowance:
        """``CODE`` or ``CODE:ABOUT``; :class:`AllowanceError` for a code that no guard has."""
        code, _, about = text.partition(":")
        if code not in codes:
            raise AllowanceError(f"there is no guard {code!r}", where="--allow", advice=f"known: {', '.join(codes)}")
        return cls(code, about)

    def covers(self, found: Finding) -> bool:
        return self.code == found.code and self.about in ("", *found.about)


def allowed(found: Finding, allowances: Sequence[Allowance]) -> Finding:
    """``found``, no longer refusing where an allowance names it."""
    if found.refuses and any(allowance.covers(found) for allowance in allowances):
        return replace(found, refuses=False, allowed=True)
    return found
