"""``access.yaml`` and what it includes, read, put together and checked; every mistake is reported at once.

Included files lie under the folder of the file that was named, also behind symbolic links, unless the caller names
other folders: a file of a pull request must not be able to read the rest of the machine.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from rolecall.errors import RolecallError
from rolecall.manifest.explain_errors import explain
from rolecall.manifest.references import check_references
from rolecall.manifest.schema import SECTIONS, Manifest
from rolecall.manifest.yaml_data import MAX_PROBLEMS, MAX_TEXT, PathKey, Place, Problem, YamlData, read_yaml
from rolecall.visible import hidden_character

MAX_FILES = 2_000
MAX_INCLUDE_DEPTH = 8
MAX_TOTAL = 64 * 1024 * 1024


class ManifestError(RolecallError):
    """``access.yaml`` cannot be used; ``problems`` are all that was found, in the order of the files."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(set(problems), key=lambda one: (one.place, one.what)))[:MAX_PROBLEMS]
        if len(self.problems) == 1:
            only = self.problems[0]
            super().__init__(only.what, where=str(only.place), advice=only.advice)
        else:
            lines = "\n".join(f"  {one}" for one in self.problems)
            super().__init__(f"{len(self.problems)} mistakes\n{lines}")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A manifest and where each part of it is written.

    :param places: by path, such as ``("roles", "admins", "account")``.
    :param files: every file that was read, the one that was named first.
    """

    manifest: Manifest
    places: Mapping[PathKey, Place] = field(default_factory=dict)
    files: tuple[Path, ...] = ()

    def place(self, *path: str | int) -> Place:
        """Where a part is written, or else what contains it."""
        return nearest_place(self.places, path)


def nearest_place(places: Mapping[PathKey, Place], path: PathKey) -> Place:
    """The place of the longest beginning of ``path`` that has one."""
    for length in range(len(path), 0, -1):
        if (place := places.get(path[:length])) is not None:
            return place
    return places.get((), Place("access.yaml"))


def load(path: Path, *, folders: Sequence[Path] = (), texts: Mapping[Path, str] | None = None) -> Loaded:
    """The manifest in ``path`` and the files it includes.

    :param folders: where included files may lie besides the folder of ``path``.
    :param texts: by resolved path, what is taken in place of a file's own text: an edit that is not written yet.
    :raises ManifestError: with every mistake that was found.
    """
    reading = _Reading([path.resolve().parent, *(folder.resolve() for folder in folders)], texts)
    reading.read(path, shown=str(path), depth=0)
    return _checked(reading)


def parse(text: str, file: str = "access.yaml") -> Loaded:
    """The manifest in ``text``, which can include nothing; :class:`ManifestError` with every mistake."""
    reading = _Reading([])
    found = read_yaml(text, file)
    reading.add(found, file)
    if isinstance(found.data, dict) and found.data.get("include"):
        place = nearest_place(found.places, ("include",))
        reading.problems.append(Problem(place, "other files cannot be included here"))
    return _checked(reading)


def _checked(reading: _Reading) -> Loaded:
    problems = reading.problems

    def place(path: PathKey) -> Place:
        return nearest_place(reading.places, path)

    try:
        manifest = Manifest.model_validate(reading.data)
    except ValidationError as error:
        wrong = error.errors(include_url=False)[:MAX_PROBLEMS]
        problems += (explain(one, reading.data, place) for one in wrong)
        problems += _check_rest(reading.data, [one["loc"] for one in wrong], place)
    else:
        problems += check_references(manifest, reading.data, place)
        if not problems:
            return Loaded(manifest, reading.places, tuple(reading.files))
    raise ManifestError(problems)


def _check_rest(data: dict[str, Any], wrong: Sequence[PathKey], place: Callable[[PathKey], Place]) -> list[Problem]:
    """Mistakes in how the parts that are right refer to others: without the wrong parts, whose names still count."""
    whole = {loc[0] for loc in wrong if len(loc) < 2}
    parts = {loc[:2] for loc in wrong if len(loc) >= 2}
    rest: dict[str, Any] = {}
    grants: list[int] = []
    for section, value in data.items():
        if section in whole:
            continue
        if isinstance(value, dict):
            rest[section] = {key: one for key, one in value.items() if (section, key) not in parts}
        elif isinstance(value, list):
            kept = [index for index in range(len(value)) if (section, index) not in parts]
            rest[section] = [value[index] for index in kept]
            grants = kept if section == "grants" else grants
        else:
            rest[section] = value
    try:
        manifest = Manifest.model_validate(rest)
    except ValidationError:
        return []

    def original(path: PathKey) -> Place:
        if path[0] == "grants" and len(path) > 1 and isinstance(path[1], int):
            path = ("grants", grants[path[1]], *path[2:])
        return place(path)

    return list(check_references(manifest, data, original))


class _Reading:
    """Files put together into one: sections are joined, the same name in two files is a mistake."""

    def __init__(self, roots: Sequence[Path], texts: Mapping[Path, str] | None = None) -> None:
        self.roots, self.texts = roots, texts or {}
        self.data: dict[str, Any] = {}
        self.places: dict[PathKey, Place] = {}
        self.problems: list[Problem] = []
        self.files: list[Path] = []
        self._total = 0

    def read(self, path: Path, *, shown: str, depth: int) -> None:
        text = self._text(path, Place(shown))
        if text is None:
            return
        found = read_yaml(text, shown)
        self.add(found, shown)
        if not isinstance(found.data, dict):
            return
        patterns = found.data.get("include")
        for index, pattern in enumerate(patterns if isinstance(patterns, list) else ()):
            place = found.places.get(("include", index), Place(shown))
            if depth >= MAX_INCLUDE_DEPTH:
                self.problems.append(Problem(place, f"includes are nested deeper than {MAX_INCLUDE_DEPTH}"))
                return
            for included in self._included(path, pattern, place):
                name = Path(shown).parent / included.relative_to(path.parent)
                self.read(included, shown=str(name), depth=depth + 1)

    def _included(self, path: Path, pattern: Any, place: Place) -> Iterator[Path]:
        if not isinstance(pattern, str) or not pattern:
            return
        if hidden := hidden_character(pattern) or ("U+000A" if "\n" in pattern else ""):
            self.problems.append(Problem(place, f"a file's name cannot have the character {hidden}"))
            return
        relative = Path(pattern)
        if relative.is_absolute() or "**" in pattern:
            self.problems.append(Problem(place, f"{pattern!r} is not relative to this file", "write a relative path"))
            return
        try:
            matched = (
                sorted(path.parent.glob(pattern)) if any(c in pattern for c in "*?[") else [path.parent / relative]
            )
        except (ValueError, NotImplementedError, OSError) as error:
            self.problems.append(Problem(place, f"{pattern[:100]!r} names no file: {error}"))
            return
        if not matched:
            self.problems.append(Problem(place, f"no file matches {pattern!r}"))
        for one in matched:
            try:
                real = one.resolve()
            except (OSError, RuntimeError) as error:
                # A link that leads to itself, or a name that is too long.
                self.problems.append(Problem(place, f"{pattern[:100]!r} cannot be followed: {error}"))
                continue
            if not any(real.is_relative_to(root) for root in self.roots):
                self.problems.append(
                    Problem(place, f"{pattern!r} leads out of {self.roots[0]}", "name its folder with --include-folder")
                )
            elif real in self.files:
                self.problems.append(Problem(place, f"{pattern!r} is included twice"))
            else:
                yield one

    def _text(self, path: Path, place: Place) -> str | None:
        try:
            if not stat.S_ISREG(path.stat().st_mode):
                self.problems.append(Problem(place, "not a regular file"))
                return None
            if (given := self.texts.get(path.resolve())) is not None:
                content = given.encode()
            else:
                with path.open("rb") as file:
                    content = file.read(MAX_TEXT + 1)
            text = content.decode()
        except FileNotFoundError:
            self.problems.append(Problem(place, "not found", "create one with: rolecall new, or rolecall import"))
            return None
        except OSError as error:
            self.problems.append(Problem(place, f"cannot be read: {error.strerror}"))
            return None
        except UnicodeDecodeError:
            self.problems.append(Problem(place, "not UTF-8"))
            return None
        except ValueError as error:
            self.problems.append(Problem(place, f"this is not the name of a file: {error}"))
            return None
        self.files.append(path.resolve())
        self._total += len(content)
        if len(self.files) > MAX_FILES or self._total > MAX_TOTAL:
            self.problems.append(
                Problem(place, f"more than {MAX_FILES} files or {MAX_TOTAL // 1024 // 1024} MiB are included")
            )
            return None
        return text

    def add(self, found: YamlData, file: str) -> None:
        """Join one file's data to the rest."""
        self.problems += found.problems
        self.places.setdefault((), Place(file))
        if found.data is None:
            if not found.problems:
                self.problems.append(Problem(Place(file), "the file is empty", "rolecall new writes a first one"))
            return
        if not isinstance(found.data, dict):
            self.problems.append(Problem(Place(file), f"the file holds no mapping of {', '.join(SECTIONS)}"))
            return
        offset = {"include": len(self.data.get("include") or ()), "grants": len(self.data.get("grants") or ())}
        taken = self._join(found, offset)
        for path, place in found.places.items():
            shift = offset.get(str(path[0])) if len(path) > 1 else None
            where = path if not shift or not isinstance(path[1], int) else (path[0], path[1] + shift, *path[2:])
            if path[:2] not in taken:
                self.places.setdefault(where, place)

    def _join(self, found: YamlData, offset: Mapping[str, int]) -> set[PathKey]:
        """Add sections; the paths of those names that another file has already are returned."""
        taken: set[PathKey] = set()
        for section, value in found.data.items():
            known = self.data.get(section)
            if known is None:
                self.data[section] = dict(value) if isinstance(value, dict) else value
            elif section in offset and isinstance(known, list) and isinstance(value, list):
                self.data[section] = [*known, *value]
            elif isinstance(known, dict) and isinstance(value, dict):
                for key, one in value.items():
                    if key in known:
                        taken.add((section, key))
                        place = found.places.get((section, key), Place(""))
                        first = nearest_place(self.places, (section, key))
                        self.problems.append(
                            Problem(place, f"{key!r} is already in {section}, at {first}", "give it another name")
                        )
                    else:
                        known[key] = one
            elif value is not None and known != value:
                self.problems.append(
                    Problem(
                        found.places.get((section,), Place("")), f"{section} does not go together with the other files"
                    )
                )
        return taken
