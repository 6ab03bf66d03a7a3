"""YAML from outside, read into nodes with their lines, within bounds.

libyaml's reader composes nodes by recursion in C: a text nested some ten thousand levels deep ends the process. The
events are counted first, which takes no recursion; maps of people nest four levels deep.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml

from rolecall.errors import RolecallError

# An object of the API server is at most 1.5 MiB (etcd's request limit); a file may be a little longer.
MAX_LENGTH = 4_194_304
MAX_DEPTH = 50
MAX_NODES = 1_000_000
STRING = "tag:yaml.org,2002:str"
NULL = "tag:yaml.org,2002:null"
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_STARTS = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_ENDS = (yaml.SequenceEndEvent, yaml.MappingEndEvent)


class UnreadableYamlError(RolecallError):
    """A text is no YAML, or beyond the bounds.

    :param line: counted from 1.
    """

    def __init__(self, line: int, what: str) -> None:
        self.line = line
        super().__init__(what, where=f"line {line}")


def compose(text: str) -> yaml.Node | None:
    """The text's only document as nodes, merge keys resolved at its first two levels; ``None`` where it is empty.

    :raises UnreadableYamlError: no YAML, several documents, too long, too deep, or too many values.
    """
    if len(text) > MAX_LENGTH:
        raise UnreadableYamlError(1, f"the text has {len(text)} characters, {MAX_LENGTH} are read at most")
    try:
        check_bounds(text)
        node: yaml.Node | None = _Loader(text).get_single_node()
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(error) from None
    return None if node is None or node.tag == NULL else node


def load_plain(text: str | bytes) -> Any:
    """The text's only document as plain values, within the bounds.

    :raises UnreadableYamlError: as :func:`compose` does.
    """
    if len(text) > MAX_LENGTH:
        raise UnreadableYamlError(1, f"the text has {len(text)} characters, {MAX_LENGTH} are read at most")
    try:
        check_bounds(text)
        return yaml.load(text, Loader=_Loader)  # noqa: S506 -- a safe loader
    except (yaml.YAMLError, ValueError) as error:
        raise _unreadable(error) from None


def _unreadable(error: Exception) -> UnreadableYamlError:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or "unreadable characters"
    return UnreadableYamlError(mark.line + 1 if mark else 1, f"not YAML: {problem}")


def check_bounds(text: str | bytes, *, first_document: bool = False) -> None:
    """Refuse a text that nests too deep or holds too many values for a reader that recurses.

    :param first_document: look no further than its end, as a reader that stops there.
    :raises UnreadableYamlError: beyond :data:`MAX_DEPTH` or :data:`MAX_NODES`, with the line.
    :raises yaml.YAMLError: where it is no YAML.
    """
    depth = 0
    for nodes, event in enumerate(yaml.parse(text, Loader=_Loader)):
        if isinstance(event, _STARTS):
            depth += 1
        elif isinstance(event, _ENDS):
            depth -= 1
        if first_document and isinstance(event, yaml.DocumentEndEvent):
            return
        if depth > MAX_DEPTH or nodes > MAX_NODES:
            what = f"nested more than {MAX_DEPTH} levels deep" if depth > MAX_DEPTH else "too many values"
            mark: Any = event.start_mark
            raise UnreadableYamlError(mark.line + 1, what)


def members(node: yaml.Node) -> Iterator[tuple[yaml.ScalarNode, yaml.Node]]:
    """The scalar keys of a mapping with their values, those of merged mappings (``<<``) first."""
    if not isinstance(node, yaml.MappingNode):
        return
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag == "tag:yaml.org,2002:merge":
            merged = value.value if isinstance(value, yaml.SequenceNode) else [value]
            for one in merged:
                if isinstance(one, yaml.MappingNode):
                    yield from ((k, v) for k, v in one.value if isinstance(k, yaml.ScalarNode))
    for key, value in node.value:
        if isinstance(key, yaml.ScalarNode) and key.tag != "tag:yaml.org,2002:merge":
            yield key, value


def by_lower_key(node: yaml.Node) -> dict[str, yaml.Node]:
    """The members of a mapping by key in lower case, as Go's JSON and viper find them; the last of several wins."""
    return {key.value.lower(): value for key, value in members(node)}


def line_of(node: yaml.Node) -> int:
    """The line a node begins on, counted from 1."""
    return int(node.start_mark.line) + 1


def is_null(node: yaml.Node | None) -> bool:
    """Whether a value is missing or null."""
    return node is None or node.tag == NULL
