"""A manifest that is being edited: the texts of its files, changed in memory until somebody says that they be written.

Each edit goes to the file that holds the place, in the terms of the manifest as a whole: the grants of several files
are counted through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import unified_diff
from pathlib import Path
from typing import Any

from rolecall.errors import RolecallError
from rolecall.lines import text_lines
from rolecall.local_files.edited import read_text, replace_text
from rolecall.manifest import edit_yaml
from rolecall.manifest.load import Loaded, load, parse
from rolecall.manifest.yaml_data import PathKey, read_yaml

GRANTS = "grants"


@dataclass(frozen=True, slots=True)
class Rewritten:
    """One file's text before and after."""

    path: Path
    shown: str
    before: str
    after: str

    def diff(self) -> list[str]:
        """The difference as ``diff -u`` shows it."""
        before, after = text_lines(self.before), text_lines(self.after)
        return list(unified_diff(before, after, self.shown, self.shown, n=2, lineterm=""))


class Draft:
    """The texts of a manifest.

    :ivar texts: by path as it was resolved; of a manifest that is in no file, by its name alone.
    """

    def __init__(self, root: Path | None, texts: Mapping[Path, str], folders: Sequence[Path] = ()) -> None:
        self._root, self._folders = root, tuple(folders)
        self._first = dict(texts)
        self.texts = dict(texts)
        self._data: dict[Path, Any] = {}

    @classmethod
    def read(cls, path: Path, folders: Sequence[Path] = ()) -> Draft:
        """The manifest in ``path`` and what it includes; :class:`ManifestError` with every mistake."""
        found = {one: read_text(one) for one in load(path, folders=folders).files}
        draft = cls(path, found, folders)
        if draft.loaded().files != tuple(found):
            raise RolecallError(
                "its files were changed while they were being read", where=str(path), advice="try again"
            )
        return draft

    @classmethod
    def of_text(cls, text: str, name: str) -> Draft:
        """A manifest that is in no file. ``name``: what errors call it."""
        return cls(None, {Path(name): text})

    @property
    def in_files(self) -> bool:
        """Whether it is of files, which can be written."""
        return self._root is not None

    def loaded(self) -> Loaded:
        """The manifest as the texts now say it; :class:`ManifestError` with every mistake."""
        if self._root is None:
            ((name, text),) = self.texts.items()
            return parse(text, str(name))
        return load(self._root, folders=self._folders, texts=self.texts)

    def add_item(self, path: PathKey, value: Any) -> None:
        """Add an item at the end of a list; :class:`EditError` where that cannot be done alone."""
        file, local = self._home(path)
        self._put(file, edit_yaml.add_item(self.texts[file], local, value, self.shown(file)))

    def remove_item(self, path: PathKey) -> None:
        """Take an item out of a list. Of several in one list, the last must go first: their numbers are as they are."""
        file, local = self._home(path)
        self._put(file, edit_yaml.remove_item(self.texts[file], local, self.shown(file)))

    def set_value(self, path: PathKey, value: Any) -> None:
        """Give a member another value, or add it."""
        file, local = self._home(path)
        self._put(file, edit_yaml.set_value(self.texts[file], local, value, self.shown(file)))

    def add_grant(self, grant: Mapping[str, Any], beside: int | None = None) -> None:
        """Add a grant, at the end of the file that has the grant number ``beside``, else of the last with grants."""
        homes = [file for file in self.texts if self._grants(file)]
        file = self._home((GRANTS, beside))[0] if beside is not None else (homes or list(self.texts))[-1]
        self._put(file, edit_yaml.add_item(self.texts[file], (GRANTS,), dict(grant), self.shown(file)))

    def rewritten(self) -> list[Rewritten]:
        """The files whose texts are no longer what was read."""
        return [
            Rewritten(path, self.shown(path), self._first[path], text)
            for path, text in self.texts.items()
            if text != self._first[path]
        ]

    def shown(self, file: Path) -> str:
        """A file's name for people: relative to where the command runs, where it is below."""
        try:
            return str(file.relative_to(Path.cwd()))
        except ValueError:
            return str(file)

    def _put(self, file: Path, text: str) -> None:
        self.texts[file] = text
        self._data.pop(file, None)

    def _content(self, file: Path) -> Any:
        if file not in self._data:
            self._data[file] = read_yaml(self.texts[file], self.shown(file)).data
        return self._data[file] if isinstance(self._data[file], dict) else {}

    def _grants(self, file: Path) -> list[Any]:
        return self._content(file).get(GRANTS) or []

    def _home(self, path: PathKey) -> tuple[Path, PathKey]:
        """The file that a place is in, and its path there; for a new name the file that has such names already."""
        section, *rest = path
        if section == GRANTS and rest and isinstance(rest[0], int):
            index = rest[0]
            for file in self.texts:
                if index < (here := len(self._grants(file))):
                    return file, (GRANTS, index, *rest[1:])
                index -= here
            raise RolecallError(f"there is no grant number {rest[0]}")
        with_section = [file for file in self.texts if self._content(file).get(section)]
        named = [file for file in with_section if rest and rest[0] in self._content(file)[section]]
        return (named or with_section or list(self.texts))[0], path


def write(files: Sequence[Rewritten]) -> None:
    """Put the new texts into their files, each at once.

    :raises EditedFileError: one of them is no longer as it was read; those before it are put back.
    """
    done: list[Rewritten] = []
    try:
        for one in files:
            replace_text(one.path, one.before, one.after)
            done.append(one)
    except RolecallError:
        for one in done:
            replace_text(one.path, one.after, one.before)
        raise
