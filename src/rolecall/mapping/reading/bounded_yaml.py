"""YAML from outside, read once into nodes with their lines, within bounds and in linear time.

libyaml's composer recurses in C, and its Python half resolves each scalar and copies the members of a merged mapping
for each reference: a text of some kilobytes can end the process or hold it for minutes. Here the events of one
document are turned into nodes without recursion, and an alias is a reference to its node. What an alias stands for is
counted again at each of its places, by the rule of the YAML reader in Kubernetes and aws-iam-authenticator (go-yaml
v2.4 ``decode.go``, ``allowedAliasRatio``), so that following aliases and merges stays linear as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Any

import yaml

from rolecall.errors import RolecallError
from rolecall.mapping.reading.go_scalars import MERGE, NULL_WORDS, BadScalarError, GoYaml, scalar_value

# An object of the API server is at most 1.5 MiB (etcd's request limit); a file may be a little longer.
MAX_LENGTH = 4_194_304
MAX_DEPTH = 50
MAX_NODES = 1_000_000
# go-yaml's bounds on what aliases may add: 99 % of a small document, 10 % of one with four million values.
_RATIO_LOW, _RATIO_HIGH = 400_000, 4_000_000
_CAPPED = 1 << 40
_NO_JSON = frozenset(
    sign + word for sign in ("", "+", "-") for word in (".inf", ".Inf", ".INF") if sign != "" or word
) | {".nan", ".NaN", ".NAN"}
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STARTS = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_ENDS = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


class UnreadableYamlError(RolecallError):
    """A text is not YAML, or beyond the bounds.

    :param line: counted from 1.
    """

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(what, where=f"line {line}")


class Kind(Enum):
    """What a node is."""

    SCALAR = 1
    SEQUENCE = 2
    MAPPING = 3


_SCALAR, _SEQUENCE, _MAPPING = Kind.SCALAR, Kind.SEQUENCE, Kind.MAPPING
_NO_CHILDREN: list[Node] = []


class Node:
    """One value of a document. An alias is its target's node: one node may stand in several places.

    :ivar line: counted from 1.
    :ivar value: a scalar's characters; empty for a collection.
    :ivar tag: an explicit tag, or empty.
    :ivar is_plain: whether a scalar without a tag may mean something else than text.
    :ivar children: the items of a sequence; keys and values of a mapping in turn.
    """

    __slots__ = ("children", "is_plain", "kind", "line", "tag", "value")

    def __init__(self, kind: Kind, line: int, value: str = "", tag: str = "", is_plain: bool = False) -> None:
        self.kind = kind
        self.line = line
        self.value = value
        self.tag = tag
        self.is_plain = is_plain
        self.children: list[Node] = _NO_CHILDREN if kind is _SCALAR else []

    @property
    def pairs(self) -> Iterator[tuple[Node, Node]]:
        """Keys and values of a mapping, as they are written."""
        return zip(self.children[::2], self.children[1::2], strict=True)

    @property
    def is_merge(self) -> bool:
        """Whether a key is ``<<``, unquoted."""
        return self.kind is Kind.SCALAR and self.value == "<<" and (self.is_plain or self.tag == MERGE)


@dataclass(frozen=True, slots=True)
class Document:
    """The first document of a text.

    :param root: ``None`` if it is empty.
    :param more: the line on which something follows the document; 0 if nothing does.
    :param fault: why go-yaml refuses the document although it is YAML: a list as a key, ``!!int x``, a merge of a text.
    :param may_be_no_json: whether it has a value (``.inf``) or a key (``~``) that JSON does not know.
    :param version: what ``%YAML`` says, if it is there.
    """

    root: Node | None
    more: int = 0
    fault: UnreadableYamlError | None = None
    may_be_no_json: bool = False
    version: tuple[int, int] | None = None


def read_document(text: str | bytes, rules: GoYaml = GoYaml.V2) -> Document:
    """The first document of a text; what follows ``---`` is not looked at, as Go's ``yaml.Unmarshal`` does not.

    :raises UnreadableYamlError: not YAML, too long, too deep, or too many values.
    """
    if len(text) > MAX_LENGTH:
        raise UnreadableYamlError(1, f"the text has {len(text)} characters; at most {MAX_LENGTH} are read")
    try:
        return _Reading(_Loader(text), rules).document()
    except (yaml.YAMLError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or "unreadable characters"
        raise UnreadableYamlError(mark.line + 1 if mark else 1, f"not YAML: {problem}") from None


def compose(text: str | bytes) -> Node | None:
    """The text's only document as nodes; ``None`` if it is empty.

    :raises UnreadableYamlError: not YAML, several documents, too long, too deep, or too many values.
    """
    found = read_document(text)
    if found.more:
        raise UnreadableYamlError(found.more, "not YAML: expected a single document in the stream")
    return None if is_null(found.root) else found.root


def load_plain(text: str | bytes) -> Any:
    """The text's only document as plain values, read as Kubernetes' own programs read YAML (go-yaml v2).

    A collection with an alias is one object in several places.

    :raises UnreadableYamlError: as :func:`compose` does.
    """
    root = compose(text)
    return None if root is None else _plain(root, {})


def check_bounds(text: str | bytes) -> None:
    """Refuse a text that nests too deep or holds too many values for a reader that recurses.

    :raises UnreadableYamlError: beyond :data:`MAX_DEPTH` or :data:`MAX_NODES`, with the line.
    :raises yaml.YAMLError: if it is not YAML.
    """
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, _STARTS):
            depth += 1
        elif isinstance(event, _ENDS):
            depth -= 1
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            mark: Any = event.start_mark
            raise UnreadableYamlError(mark.line + 1, _TOO_DEEP if depth > MAX_DEPTH else _TOO_MANY)


_TOO_DEEP = f"nested more than {MAX_DEPTH} levels deep"
_TOO_MANY = "too many values"


class _Reading:
    """One pass over the events of a document."""

    def __init__(self, loader: Any, rules: GoYaml) -> None:
        self._rules = rules
        self._event = loader.get_event
        self._anchors: dict[str, Node] = {}
        self._open: list[Node] = []
        self._root: Node | None = None
        self._nodes = 0
        # As go-yaml counts its decoder's steps: the document is the first, what an alias adds is in both.
        self._added, self._by_alias = 1, 0
        self._sizes: dict[int, tuple[int, int]] = {}
        self._fault: UnreadableYamlError | None = None
        self._may_be_no_json = False

    def document(self) -> Document:
        version: tuple[int, int] | None = None
        next_event = self._event
        while True:
            event = next_event()
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._start(_MAPPING, event)
            elif kind is yaml.SequenceStartEvent:
                self._start(_SEQUENCE, event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                node = self._open.pop()
                self._attach(node, node.line)
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                version = event.version
            elif kind is yaml.DocumentEndEvent:
                return Document(self._root, self._more(), self._fault, self._may_be_no_json, version)
            elif kind is yaml.StreamEndEvent:
                return Document(None)

    def _more(self) -> int:
        """The line of what follows; anything that cannot be read follows, too."""
        try:
            event = self._event()
            return 0 if type(event) is yaml.StreamEndEvent else int(event.start_mark.line) + 1
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None)
            return mark.line + 1 if mark else 1

    def _scalar(self, event: Any) -> None:
        line = event.start_mark.line + 1
        value = event.value
        node = Node(_SCALAR, line, value, event.tag or "", event.implicit[0])
        if event.anchor:
            self._anchors[event.anchor] = node
        if node.tag:
            try:
                scalar_value(node, self._rules)
            except BadScalarError as error:
                self._refuse(line, error.what)
        if value in _NO_JSON:
            self._may_be_no_json = True
        elif value == "<<" and node.is_merge and self._is_key():
            # The key of a merge is not decoded.
            self._added -= 1
        self._count(line)
        self._attach(node, line)

    def _start(self, kind: Kind, event: Any) -> None:
        line = event.start_mark.line + 1
        node = Node(kind, line)
        if event.anchor:
            self._anchors[event.anchor] = node
        if len(self._open) >= MAX_DEPTH:
            raise UnreadableYamlError(line, _TOO_DEEP)
        if self._is_key():
            self._refuse(line, "a list or a mapping cannot be a key")
        self._count(line)
        self._open.append(node)

    def _alias(self, event: Any) -> None:
        line = event.start_mark.line + 1
        node = self._anchors.get(event.anchor)
        if node is None:
            raise UnreadableYamlError(line, f"not YAML: found undefined alias {event.anchor!r}")
        if any(node is one for one in self._open):
            raise UnreadableYamlError(line, f"anchor {event.anchor!r} contains itself")
        steps, height = self._size(node)
        if len(self._open) + height > MAX_DEPTH:
            raise UnreadableYamlError(line, _TOO_DEEP)
        self._count(line)
        self._added = min(_CAPPED, self._added + steps)
        self._by_alias = min(_CAPPED, self._by_alias + steps)
        self._check_aliases(line)
        if node.kind is not _SCALAR and self._is_key():
            self._refuse(line, "a list or a mapping cannot be a key")
        self._attach(node, line, is_alias=True)

    def _size(self, node: Node) -> tuple[int, int]:
        """How many values a reader meets in a complete node, aliases followed, and how deep it goes."""
        if node.kind is _SCALAR:
            return 1, 1
        known = self._sizes.get(id(node))
        if known is None:
            sizes = [self._size(child) for child in node.children]
            steps = 1 + sum(size for size, _ in sizes)
            known = min(_CAPPED, steps), 1 + max((height for _, height in sizes), default=0)
            self._sizes[id(node)] = known
        return known

    def _count(self, line: int) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise UnreadableYamlError(line, _TOO_MANY)
        if self._by_alias:
            self._check_aliases(line)

    def _check_aliases(self, line: int) -> None:
        decoded = self._nodes + self._added
        if self._by_alias <= 100 or decoded <= 1000:
            return
        share = (decoded - _RATIO_LOW) / (_RATIO_HIGH - _RATIO_LOW)
        allowed = 0.99 - 0.89 * min(max(share, 0.0), 1.0)
        if self._by_alias / decoded > allowed:
            raise UnreadableYamlError(line, "aliases repeat too many values")

    def _is_key(self) -> bool:
        return bool(self._open) and self._open[-1].kind is _MAPPING and not len(self._open[-1].children) % 2

    def _attach(self, node: Node, line: int, *, is_alias: bool = False) -> None:
        if not self._open:
            self._root = node
            return
        parent = self._open[-1]
        children = parent.children
        if parent.kind is _MAPPING:
            if not len(children) % 2:
                if node.value in NULL_WORDS or node.value[0].isdigit():
                    self._may_be_no_json = True
            elif children[-1].value == "<<" and children[-1].is_merge and not _can_be_merged(node, is_alias):
                self._refuse(line, "only mappings can be merged with <<")
        children.append(node)

    def _refuse(self, line: int, what: str) -> None:
        if self._fault is None:
            self._fault = UnreadableYamlError(line, what)


def _can_be_merged(node: Node, is_alias: bool) -> bool:
    """Whether a value of ``<<`` is a mapping, or a list of mappings in place."""
    if node.kind is Kind.SEQUENCE and not is_alias:
        return all(child.kind is Kind.MAPPING for child in node.children)
    return node.kind is Kind.MAPPING


def members(node: Node | None, rules: GoYaml = GoYaml.V2) -> dict[str, tuple[Node, Node]]:
    """The members of a mapping by key, each with the node of its key, merge keys (``<<``) followed.

    Of a list of merged mappings the earlier one counts. In go-yaml v2 a merge overwrites what stands before it in the
    text, in v3 what the mapping says itself counts, as the merge key's specification has it.
    """
    found: dict[str, tuple[Node, Node]] = {}
    if node is None or node.kind is not Kind.MAPPING:
        return found
    last_merge: Node | None = None
    for key, value in node.pairs:
        if key.is_merge:
            last_merge = value
            if rules is GoYaml.V2:
                for one in _merged(value):
                    found.update(members(one, rules))
        elif key.kind is Kind.SCALAR:
            name = key_text(key, rules)
            # A key that is given again stands where it stood last.
            found[name] = (key, value)
    if rules is GoYaml.V3 and last_merge is not None:
        below: dict[str, tuple[Node, Node]] = {}
        for one in _merged(last_merge):
            below.update(members(one, rules))
        found = below | found
    return found


def json_fault(document: Document) -> UnreadableYamlError | None:
    """Why a document cannot be turned into JSON, as go-yaml's users do; ``None`` if it can."""
    if not document.may_be_no_json or document.root is None:
        return None
    waiting, seen = [document.root], {id(document.root)}
    while waiting:
        node = waiting.pop()
        found = members(node) if node.kind is Kind.MAPPING else {}
        for key, _ in found.values():
            value = scalar_value(key, GoYaml.V2, strict=False)
            if value is None or (type(value) is int and value >= 1 << 63):
                return UnreadableYamlError(key.line, f"{key.value or 'nothing'} cannot be a key")
        for child in node.children if node.kind is Kind.SEQUENCE else [value for _, value in found.values()]:
            if child.kind is Kind.SCALAR:
                number = scalar_value(child, GoYaml.V2, strict=False) if child.value in _NO_JSON else 0
                if isinstance(number, float):
                    return UnreadableYamlError(child.line, f"{child.value} is a number that JSON does not have")
            elif id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
    return None


def _merged(value: Node) -> list[Node]:
    """The mappings that a merge key brings in, the one that counts last."""
    return value.children[::-1] if value.kind is Kind.SEQUENCE else [value]


def key_text(key: Node, rules: GoYaml) -> str:
    """A key as JSON would have it: what stands for a truth value is ``true`` or ``false``."""
    if not (key.is_plain or key.tag):
        return key.value
    value = scalar_value(key, rules, strict=False)
    if isinstance(value, bool):
        return "true" if value else "false"
    return key.value if value is None or isinstance(value, (int, float)) else value


def by_lower_key(node: Node | None, rules: GoYaml = GoYaml.V2) -> dict[str, Node]:
    """The members of a mapping by key in lower case, as viper finds them; the last of several wins."""
    return {name.lower(): value for name, (_, value) in members(node, rules).items()}


def duplicate_key(root: Node, *, any_case: bool) -> tuple[Node, Node] | None:
    """The first key that a mapping has twice, at any depth, with its first place; ``<<`` is a key as any other."""
    waiting, seen = [root], {id(root)}
    while waiting:
        node = waiting.pop()
        if node.kind is Kind.MAPPING:
            known: dict[str, Node] = {}
            for key in node.children[::2]:
                name = key.value.lower() if any_case else key.value
                if key.kind is Kind.SCALAR and (first := known.setdefault(name, key)) is not key:
                    return key, first
        for child in reversed(node.children):
            if child.children and id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
    return None


def line_of(node: Node) -> int:
    """The line a node begins on, counted from 1."""
    return node.line


def is_null(node: Node | None) -> bool:
    """Whether a value is missing or null."""
    if node is None:
        return True
    return node.kind is Kind.SCALAR and (node.is_plain or bool(node.tag)) and _is_null_scalar(node)


def _is_null_scalar(node: Node) -> bool:
    return node.value in NULL_WORDS and scalar_value(node, GoYaml.V2, strict=False) is None


def _plain(node: Node, done: dict[int, Any]) -> Any:
    """Plain values; a depth of at most :data:`MAX_DEPTH` keeps the recursion short."""
    if node.kind is Kind.SCALAR:
        return scalar_value(node, GoYaml.V2, strict=False)
    if id(node) in done:
        return done[id(node)]
    value: Any
    if node.kind is Kind.SEQUENCE:
        value = [_plain(child, done) for child in node.children]
    else:
        value = {name: _plain(child, done) for name, (_, child) in members(node).items()}
    done[id(node)] = value
    return value
