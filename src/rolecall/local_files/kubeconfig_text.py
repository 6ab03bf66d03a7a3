"""One kubeconfig as a document that belongs to a person: our entries change, theirs, their comments and order stay.

Clusters and users that are written here have names that begin with ``rolecall:``, and contexts carry an extension of
that name (kubeconfig v1, ``extensions``). Before a text is handed out it is read again by the rules of YAML 1.1, which
are kubectl's, and what is not ours is compared with what it was.

Source of the format: Kubernetes documentation, "kubeconfig (v1)"; what kubectl reads of it: client-go
``tools/clientcmd/api/v1/types.go``, whose lists hold structs and whose names are strings.
"""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, MutableMapping
from datetime import date
from pathlib import Path
from typing import Any

from rolecall.errors import RolecallError
from rolecall.lines import text_break, text_lines
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, check_bounds, load_plain
from rolecall.yaml_scalars import is_plain

OWN = "rolecall"
# The lists of a kubeconfig, each with the member that its items have beside their name.
SECTIONS = {"clusters": "cluster", "users": "user", "contexts": "context"}
CURRENT = "current-context"
_BOM = "\ufeff"
_NEW = "apiVersion: v1\nkind: Config\npreferences: {}\nclusters: []\nusers: []\ncontexts: []\n"
_ADVICE = "kubectl cannot read this either: correct it, or name another file with --kubeconfig; it was not changed"
# Lines of a file that says nothing: blank, a comment, the marks of a document, null.
_NOTHING = re.compile(r"[ \t]*(?:---|\.\.\.|null|~)?[ \t]*(?:(?<!\S)#.*)?")
_COMMENT = re.compile(r"#[^\r\n]*")
_INDENTED = re.compile(r"(?m)^(?:clusters|users|contexts):[ \t]*\n(?:[ \t]*(?:#.*)?\n)*( +)- ")


_WANTED: Mapping[type[Any], str] = {str: "text (put it in quotes)", list: "a list", Mapping: "a mapping"}


class KubeconfigError(RolecallError):
    """A kubeconfig cannot be read or written."""


class Kubeconfig:
    """A kubeconfig's text and what it says.

    :param path: for messages.
    :ivar text: as it was read.
    :raises KubeconfigError: with file and line, if it is not YAML, or not of the shape of a kubeconfig.
    """

    def __init__(self, text: str, path: Path) -> None:
        self.path, self.text = path, text
        self._mark, body = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
        self._break = text_break(body)
        body = body.replace("\r\n", "\n") if self._break == "\r\n" else body
        self._body = body
        # A file of comments alone has nothing to parse, and keeps them.
        is_empty = _is_empty(body)
        self._comments = "".join(f"{comment}\n" for comment in _COMMENT.findall(body)) if is_empty else ""
        self._yaml = _round_trip(body)
        body = _NEW if is_empty else body
        self._document = self._parse(body)
        self._check_shape(self._document)
        # What is text to one version of YAML and a number to the other is none to kubectl.
        self._check_shape(load_plain(body))
        self._before = _plain(self._document)

    @property
    def current(self) -> str:
        """The current context, empty if this file sets none."""
        return str(self._document.get(CURRENT) or "")

    @current.setter
    def current(self, name: str) -> None:
        if name != self.current:
            self._document[CURRENT] = _written(name, flow=_is_flow(self._document))

    def names(self, section: str) -> list[str]:
        """The names of a list's entries, in order."""
        return [str(one.get("name") or "") for one in _items(self._document, section)]

    def get(self, section: str, name: str) -> Any:
        """What an entry of a list says, as plain values; ``None`` if there is no such entry."""
        for one in _items(self._document, section):
            if str(one.get("name") or "") == name:
                return _plain(one.get(SECTIONS[section])) or {}
        return None

    def own_keys(self) -> dict[str, str]:
        """The contexts that were written here, by name, each with its key."""
        return _own_keys(_items(self._document, "contexts"))

    def put(self, section: str, name: str, value: Mapping[str, Any]) -> str:
        """Set an entry of a list; returns ``added``, ``changed`` or ``unchanged``."""
        known = self.get(section, name)
        if known == value:
            return "unchanged"
        items = self._document.get(section)
        if not items:
            # An empty list is written in brackets, in which what follows would be too.
            items = self._document[section] = []
        member, flow = SECTIONS[section], _is_flow(items) or _is_flow(self._document)
        written = _written(value, flow=flow)
        if known is None:
            items.append({member: written, "name": _written(name, flow=flow)})
            return "added"
        next(one for one in _items(self._document, section) if str(one.get("name") or "") == name)[member] = written
        return "changed"

    def drop(self, section: str, names: Collection[str]) -> None:
        """Remove entries of a list."""
        items = self._document.get(section) or []
        for index in reversed(range(len(items))):
            if isinstance(items[index], Mapping) and str(items[index].get("name") or "") in names:
                del items[index]
        if names and not items and self._document.get(section) is not None:
            # An emptied list would keep the comments of what was in it, where YAML has no place for them.
            self._document[section] = []

    def new_text(self) -> str:
        """The text as it now should be; the old one, to the byte, if nothing changed.

        :raises KubeconfigError: it cannot be written without changing what is not ours.
        """
        if _plain(self._document) == self._before:
            return self.text
        body = self._dumped()
        new = self._mark + (body.replace("\n", self._break) if self._break != "\n" else body)
        if not _is_alike(self.text, new):
            raise KubeconfigError(
                "cannot be written without changing what is not ours; nothing was changed",
                where=str(self.path),
                advice="name another file with --kubeconfig, and both in KUBECONFIG",
            )
        return new

    def _dumped(self) -> str:
        if (indent := _json_indent(self._body)) is not None:
            # kubectl reads JSON too, and another reader of this file may read nothing else.
            return json.dumps(_plain(self._document), indent=indent or None, ensure_ascii=False, default=str) + "\n"
        self._yaml.map_indent = _map_indent(self._document)
        out = io.StringIO()
        self._yaml.dump(self._document, out)
        return _with_comments(self._comments + out.getvalue(), self._body)

    def _parse(self, body: str) -> MutableMapping[str, Any]:
        from ruamel.yaml.error import YAMLError
        from yaml import YAMLError as PlainYamlError

        try:
            check_bounds(body)
            found = self._yaml.load(body)
            plain = load_plain(body)
        except UnreadableYamlError as error:
            raise self._refusal(error.what, error.line) from None
        except (YAMLError, PlainYamlError, ValueError) as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            problem = getattr(error, "problem", None) or "unreadable"
            raise self._refusal(f"is not YAML: {problem}", mark.line + 1 if mark else 1) from None
        if not isinstance(found, MutableMapping) or not isinstance(plain, dict):
            raise self._refusal(f"is not a kubeconfig but {_kind(found)}", 1)
        if (found.get("kind") or "Config") != "Config":
            raise self._refusal(f"is of kind {str(found['kind'])[:40]!r}, not a kubeconfig", _line(found, ("kind",)))
        return found

    def _check_shape(self, document: Mapping[str, Any]) -> None:
        """Refuse what kubectl refuses here: a value that is not a list, a name that is a number."""
        self._require(document, (CURRENT,), str)
        for section, member in SECTIONS.items():
            for number, item in enumerate(self._require(document, (section,), list) or ()):
                place = (section, number)
                if self._require(item, place, Mapping) is None:
                    continue
                self._require(item, (*place, "name"), str)
                inner = self._require(item, (*place, member), Mapping) or {}
                for key in ("cluster", "user", "namespace") if section == "contexts" else ():
                    self._require(inner, (*place, member, key), str)
                extensions = (*place, member, "extensions")
                for at, one in enumerate(self._require(inner, extensions, list) or ()):
                    self._require(one, (*extensions, at), Mapping)

    def _require(self, parent: Any, place: tuple[str | int, ...], wanted: type[Any]) -> Any:
        """The member of ``parent`` at the end of ``place``, or an item itself; ``None`` if it is empty."""
        last = place[-1]
        value = parent.get(last) if isinstance(last, str) else parent
        # kubectl takes a date without quotes for text.
        if value is None or isinstance(value, wanted) or (wanted is str and isinstance(value, date)):
            return value
        raise self._refusal(f"{_shown(place)} is {_kind(value)}, not {_WANTED[wanted]}", _line(self._document, place))

    def _refusal(self, what: str, line: int) -> KubeconfigError:
        return KubeconfigError(what, where=f"{self.path}:{line}", advice=_ADVICE)


def _items(document: Mapping[str, Any], section: str) -> list[MutableMapping[str, Any]]:
    return [one for one in document.get(section) or () if isinstance(one, MutableMapping)]


def _shown(place: tuple[str | int, ...]) -> str:
    return str(place[0]) + "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place[1:])


def _is_empty(body: str) -> bool:
    """Whether a text has no content: kubectl reads it as a kubeconfig without entries."""
    return all(_NOTHING.fullmatch(line) for line in text_lines(body))


def _round_trip(body: str) -> Any:
    """A reader and writer that lays lists out as the file does."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="rt")
    yaml.preserve_quotes = True
    yaml.width = 1 << 30
    if found := _INDENTED.search(body):
        offset = min(len(found[1]), 8)
        yaml.indent(mapping=2, sequence=offset + 2, offset=offset)
    return yaml


def _json_indent(body: str) -> int | None:
    """How far a JSON text is indented; ``None`` for a text that is not JSON."""
    if not body.lstrip().startswith("{"):
        return None
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        return None
    found = re.search(r"\n( *)\S", body.strip())
    return len(found[1]) if found else 0


def _map_indent(document: Mapping[str, Any]) -> int:
    """How far the file indents a mapping in a mapping: its first one decides."""
    for section, member in SECTIONS.items():
        for item in document.get(section) or ():
            inner = item.get(member) if isinstance(item, Mapping) else None
            outer, below = getattr(item, "lc", None), getattr(inner, "lc", None)
            if inner and outer is not None and below is not None and below.line and not _is_flow(inner):
                return min(max(int(below.col or 0) - int(outer.col or 0), 2), 8)
    return 2


def _written(value: Any, *, flow: bool) -> Any:
    """Values for the writer, whose own rules are those of YAML 1.2: texts are quoted by ours."""
    from ruamel.yaml.scalarstring import DoubleQuotedScalarString

    if isinstance(value, str):
        return value if is_plain(value, flow=flow) else DoubleQuotedScalarString(value)
    if isinstance(value, Mapping):
        return {key: _written(one, flow=flow) for key, one in value.items()}
    return [_written(one, flow=flow) for one in value] if isinstance(value, list | tuple) else value


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _plain(one) for key, one in value.items()}
    return [_plain(one) for one in value] if isinstance(value, list) else value


def _is_flow(node: Any) -> bool:
    style = getattr(node, "fa", None)
    return bool(style is not None and style.flow_style() and len(node))


def _line(document: Any, place: tuple[str | int, ...]) -> int:
    """The line of a member or item, as closely as is known."""
    line, node = 0, document
    for one in place:
        marks = getattr(node, "lc", None)
        try:
            line = marks.key(one)[0] if isinstance(one, str) else marks.item(one)[0]  # type: ignore[union-attr]
            node = node[one]
        except (AttributeError, KeyError, IndexError, TypeError):
            break
    return line + 1


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    return "empty" if value is None else "text" if isinstance(value, str) else "a value of another type"


def _own_keys(items: Collection[Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for one in items:
        for extension in (one.get("context") or {}).get("extensions") or ():
            if not isinstance(extension, Mapping) or extension.get("name") != OWN:
                continue
            key = extension.get("extension")
            if isinstance(key, Mapping) and isinstance(key.get("key"), str):
                found.setdefault(str(one.get("name") or ""), key["key"])
    return found


def _is_alike(before: str, after: str) -> bool:
    try:
        return _foreign(before) == _foreign(after)
    except UnreadableYamlError:
        return False


def _comments(text: str) -> list[str]:
    return [line.strip() for line in re.findall(r"(?m)^[ \t]*#[^\r\n]*", text)]


def _with_comments(text: str, before: str) -> str:
    """A text with the comments that an entry took along when it was removed, at the end."""
    lost = Counter(_comments(before))
    lost.subtract(_comments(text))
    return text + "".join(f"{line}\n" * count for line, count in lost.items() if count > 0)


def _foreign(text: str) -> dict[str, Any]:
    """What a text says besides our entries, as a reader of YAML 1.1 sees it."""
    found = None if _is_empty(text.removeprefix(_BOM)) else load_plain(text)
    if not isinstance(found, dict):
        return {section: [] for section in SECTIONS}
    items = {section: [one for one in found.get(section) or () if isinstance(one, dict)] for section in SECTIONS}
    own = _own_keys(items["contexts"])
    kept = {key: value for key, value in found.items() if value and key not in (*SECTIONS, CURRENT)}
    for section in SECTIONS:
        ours = own if section == "contexts" else ()
        kept[section] = [
            one
            for one in items[section]
            if not str(one.get("name")).startswith(f"{OWN}:") and str(one.get("name") or "") not in ours
        ]
    return {key: value for key, value in kept.items() if key not in ("apiVersion", "kind")}
