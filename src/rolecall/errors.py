"""Errors that say what happened, where, and what to do next."""

from __future__ import annotations


class RolecallError(Exception):
    """Base of every error that a user of rolecall is meant to read.

    :param what: what happened, one sentence without a full stop.
    :param where: the file, line, JSON path, ARN or URL concerned; empty where there is none.
    :param advice: what the reader can do next; empty where there is nothing to say.
    """

    def __init__(self, what: str, *, where: str = "", advice: str = "") -> None:
        self.what = what
        self.where = where
        self.advice = advice
        super().__init__(str(self))

    def __str__(self) -> str:
        text = f"{self.where}: {self.what}" if self.where else self.what
        return f"{text}\n{self.advice}" if self.advice else text

    @property
    def in_one_line(self) -> str:
        """The same as a part of another sentence."""
        return "; ".join(str(self).splitlines())


class InvalidArnError(RolecallError):
    """A text is not an ARN, or not one of the kind that was asked for."""
