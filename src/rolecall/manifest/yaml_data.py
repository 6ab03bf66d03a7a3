"""YAML text to plain data with the place of every part, within bounds, without YAML 1.1's surprises.

A file may come from a pull request of somebody unknown: no tags, a bounded number of nodes however often an anchor is
used, bounded depth, no control characters. Plain scalars mean what YAML 1.2's core schema says, and where a reader of
YAML 1.1, as most tools are, would take them for something else, they are refused with advice to quote them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import yaml

from rolecall.visible import hidden_character, visible_lines

MAX_TEXT = 8 * 1024 * 1024
MAX_NODES = 300_000
MAX_DEPTH = 32
MAX_PROBLEMS = 100
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

PathKey = tuple[str | int, ...]

# YAML 1.1, types bool, int, float and timestamp at yaml.org/type, where they differ from YAML 1.2's core schema.
_TRAP_BOOL = re.compile(r"yes|Yes|YES|no|No|NO|on|On|ON|off|Off|OFF")
_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,18})", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_TRAP_NUMBER = re.compile(
    r"[-+]?(0[0-9_]+|0o[0-7]+|0x[0-9a-fA-F_]+|0b[01_]+|[0-9][0-9_]*_[0-9_]*|[1-9][0-9]*(:[0-5]?[0-9])+)", re.ASCII
)
_ACCOUNT = re.compile(r"[0-9]{12}", re.ASCII)


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """Where something stands; ``line`` and ``column`` count from 1."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a file, where, and what to write instead."""

    place: Place
    what: str
    advice: str = ""

    def __str__(self) -> str:
        return visible_lines(f"{self.place}: {self.what}{'; ' if self.advice else ''}{self.advice}")


@dataclass(slots=True)
class YamlData:
    """A file's data.

    :param places: of every member and element by its path; of a member it is the place of its key.
    """

    data: Any = None
    places: dict[PathKey, Place] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)


def read_yaml(text: str, file: str) -> YamlData:
    """The data in ``text``; never fails, what is wrong is in ``problems`` and the data then may lack it."""
    if len(text) > MAX_TEXT:
        return YamlData(problems=[Problem(Place(file), f"the file is longer than {MAX_TEXT // 1024 // 1024} MiB")])
    reader = _Reader(file)
    try:
        reader.read(text)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        place = Place(file, mark.line + 1, mark.column + 1) if mark else Place(file)
        tab = " (a tab may not indent)" if "\\t" in str(error.problem) else ""
        reader.found.problems.append(Problem(place, f"not YAML: {error.problem}{tab}"))
    except yaml.reader.ReaderError as error:
        reader.found.problems.append(Problem(Place(file), f"not YAML: character {error.character!r} is not allowed"))
    except _StopError as stop:
        reader.found.problems.append(stop.problem)
    return reader.found


class _StopError(Exception):
    def __init__(self, problem: Problem) -> None:
        self.problem = problem
        super().__init__(problem.what)


_Events = list[Any]


class _Reader:
    """Events to data. Events, not nodes: so that depth and size are known before anything is built."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.found = YamlData()
        self._anchors: dict[str, _Events] = {}
        self._nodes = 0

    def read(self, text: str) -> None:
        events = list(self._bounded(yaml.parse(text, Loader=_Loader)))
        documents = sum(isinstance(event, yaml.DocumentStartEvent) for event in events)
        if documents > 1:
            second = [event for event in events if isinstance(event, yaml.DocumentStartEvent)][1]
            self._problem(second, "a second YAML document begins here", "a file holds one")
            return
        content = [event for event in events if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent)]
        if content:
            _, self.found.data = self._value(content, 0, (), 0)

    def _bounded(self, events: Iterator[Any]) -> Iterator[Any]:
        depth = 0
        for count, event in enumerate(events):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > MAX_DEPTH:
                raise _StopError(Problem(self._place(event), f"nested deeper than {MAX_DEPTH} levels"))
            if count > MAX_NODES:
                raise _StopError(Problem(self._place(event), f"the file has more than {MAX_NODES:,} parts"))
            yield event

    def _value(self, events: _Events, at: int, path: PathKey, depth: int) -> tuple[int, Any]:
        event = events[at]
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise _StopError(
                Problem(self._place(event), f"anchors make the file grow to more than {MAX_NODES:,} parts")
            )
        if depth > MAX_DEPTH:
            raise _StopError(Problem(self._place(event), "an anchor contains itself, or is nested too deep"))
        if isinstance(event, yaml.AliasEvent):
            known = self._anchors.get(str(event.anchor))
            if known is None:
                self._problem(event, f"no anchor &{event.anchor} stands before this")
                return at + 1, None
            return at + 1, self._value(known, 0, path, depth + 1)[1]
        if event.anchor is not None:
            self._anchors[event.anchor] = events[at : _end(events, at)]
        if event.tag is not None and event.tag not in ("!", _tag_of(event)):
            self._problem(event, f"the tag {event.tag!r} is not allowed", "write the value without a tag")
        if isinstance(event, yaml.ScalarEvent):
            return at + 1, self._scalar(event)
        if isinstance(event, yaml.SequenceStartEvent):
            return self._sequence(events, at + 1, path, depth)
        return self._mapping(events, at, path, depth)

    def _sequence(self, events: _Events, at: int, path: PathKey, depth: int) -> tuple[int, list[Any]]:
        items: list[Any] = []
        while not isinstance(events[at], yaml.SequenceEndEvent):
            here = (*path, len(items))
            self.found.places[here] = self._place(events[at])
            at, item = self._value(events, at, here, depth + 1)
            items.append(item)
        return at + 1, items

    def _mapping(self, events: _Events, start: int, path: PathKey, depth: int) -> tuple[int, dict[str, Any]]:
        items: dict[str, Any] = {}
        own: set[str] = set()
        at = start + 1
        while not isinstance(events[at], yaml.MappingEndEvent):
            event = events[at]
            key, at = self._key(events, at)
            if key == "<<" and not getattr(event, "style", None):
                at, merged = self._value(events, at, path, depth + 1)
                self._merge(event, items, merged)
                continue
            here = (*path, key)
            if key in own:
                first = self.found.places[here]
                self._problem(event, f"the key {key[:60]!r} is given twice", f"it stands in line {first.line} already")
                at = _end(events, at)
                continue
            own.add(key)
            self.found.places[here] = self._place(event)
            at, items[key] = self._value(events, at, here, depth + 1)
        return at + 1, items

    def _key(self, events: _Events, at: int) -> tuple[str, int]:
        event = events[at]
        if isinstance(event, yaml.ScalarEvent):
            self._check(event)
            return event.value, at + 1
        if isinstance(event, yaml.MappingStartEvent) and event.flow_style:
            self._problem(event, "a text that begins with {{ is taken for a mapping", "put it in quotes")
        else:
            self._problem(event, "a key must be a text")
        # A place of its own keeps what follows readable.
        return f"?{event.start_mark.line}", _end(events, at)

    def _merge(self, event: Any, items: dict[str, Any], merged: Any) -> None:
        for one in merged if isinstance(merged, list) else [merged]:
            if not isinstance(one, dict):
                self._problem(event, "<< merges mappings alone")
                continue
            for key, value in one.items():
                items.setdefault(key, value)

    def _scalar(self, event: yaml.ScalarEvent) -> Any:
        self._check(event)
        value = event.value
        if event.style or event.tag is not None:
            return value
        if value in ("", "~", "null", "Null", "NULL"):
            return None
        if value in ("true", "True", "TRUE"):
            return True
        if value in ("false", "False", "FALSE"):
            return False
        if _TRAP_BOOL.fullmatch(value):
            self._problem(event, f"{value} is true or false to most readers of YAML and a text to others",
                          f'write true or false, or "{value}" for the text')  # fmt: skip
            return value
        if _ACCOUNT.fullmatch(value) or _TRAP_NUMBER.fullmatch(value):
            what = "an account id" if _ACCOUNT.fullmatch(value) else "this"
            self._problem(event, f"{value} is a number to YAML, and loses its leading zeros or changes its value",
                          f'{what} is a text: write "{value}"')  # fmt: skip
            return value
        if _INT.fullmatch(value):
            return int(value)
        return float(value) if len(value) < 40 and _FLOAT.fullmatch(value) else value

    def _check(self, event: yaml.ScalarEvent) -> None:
        if hidden := hidden_character(event.value):
            self._problem(event, f"the character {hidden} is not allowed: it does not show, or shows as something else")

    def _place(self, event: Any) -> Place:
        return Place(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def _problem(self, event: Any, what: str, advice: str = "") -> None:
        if len(self.found.problems) < MAX_PROBLEMS:
            self.found.problems.append(Problem(self._place(event), what, advice))


def _end(events: _Events, at: int) -> int:
    """The index behind the node that begins at ``at``."""
    depth = 0
    while True:
        event = events[at]
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        at += 1
        if depth == 0:
            return at


def _tag_of(event: Any) -> str:
    if isinstance(event, yaml.ScalarEvent):
        return "tag:yaml.org,2002:str"
    return "tag:yaml.org,2002:seq" if isinstance(event, yaml.SequenceStartEvent) else "tag:yaml.org,2002:map"
