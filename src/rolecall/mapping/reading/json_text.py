"""JSON from outside, read into the same nodes with their lines as YAML, within the same bounds.

Stricter than YAML, which takes most JSON for a part of itself and refuses some (``"\\ud83d\\ude00"``).
Source: RFC 8259.
"""

from __future__ import annotations

import json
import re

from rolecall.mapping.reading.bounded_yaml import MAX_DEPTH, MAX_LENGTH, MAX_NODES, Kind, Node, UnreadableYamlError

_SPACE = re.compile(r"[ \t\r\n]*")
_WORD = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?|true|false|null", re.ASCII)
_STRING = re.compile(r'"(?:[^"\\\x00-\x1f]++|\\.)*+"')
_ENDS = {Kind.SEQUENCE: "]", Kind.MAPPING: "}"}


def read_json(text: str) -> Node:
    """The value of a text.

    :raises UnreadableYamlError: not JSON, too long, too deep, or too many values.
    """
    if len(text) > MAX_LENGTH:
        raise UnreadableYamlError(1, f"the text has {len(text)} characters; at most {MAX_LENGTH} are read")
    return _Reading(text).value()


class _Reading:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._line = 1
        self._nodes = 0
        self._open: list[Node] = []

    def value(self) -> Node:
        """The only value, read without recursion."""
        while True:
            node = self._begin()
            if node.kind is Kind.SCALAR or self._taken(_ENDS[node.kind]):
                done = self._finish(node)
                if done is not None:
                    return done
            else:
                self._open.append(node)
                if len(self._open) > MAX_DEPTH:
                    raise self._refusal(f"nested more than {MAX_DEPTH} levels deep")
                self._key()

    def _begin(self) -> Node:
        self._skip()
        self._nodes += 1
        if self._nodes > MAX_NODES:
            raise self._refusal("too many values")
        first = self._text[self._at : self._at + 1]
        if first in ("[", "{") and first:
            self._at += 1
            return Node(Kind.SEQUENCE if first == "[" else Kind.MAPPING, self._line)
        if first == '"':
            return Node(Kind.SCALAR, self._line, self._string())
        found = _WORD.match(self._text, self._at)
        if not found:
            raise self._refusal("not JSON")
        self._at = found.end()
        return Node(Kind.SCALAR, self._line, found[0], is_plain=True)

    def _finish(self, node: Node) -> Node | None:
        """Put a complete value where it belongs; the whole value once nothing is open."""
        while self._open:
            parent = self._open[-1]
            parent.children.append(node)
            if self._taken(","):
                self._key()
                return None
            if not self._taken(_ENDS[parent.kind]):
                raise self._refusal("not JSON")
            node = self._open.pop()
        self._skip()
        if self._at < len(self._text):
            raise self._refusal("not JSON: something follows the value")
        return node

    def _key(self) -> None:
        """The key of a mapping's next member; nothing in a list."""
        parent = self._open[-1]
        if parent.kind is not Kind.MAPPING:
            return
        self._skip()
        if self._text[self._at : self._at + 1] != '"':
            raise self._refusal("not JSON")
        parent.children.append(Node(Kind.SCALAR, self._line, self._string()))
        if not self._taken(":"):
            raise self._refusal("not JSON")

    def _string(self) -> str:
        written = _STRING.match(self._text, self._at)
        try:
            found = str(json.loads(written[0] if written else ""))
        except ValueError:
            raise self._refusal("not JSON") from None
        self._at = written.end() if written else self._at
        # Half a surrogate pair is no character; Go puts U+FFFD there.
        return found.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _taken(self, mark: str) -> bool:
        self._skip()
        if self._text[self._at : self._at + 1] != mark:
            return False
        self._at += 1
        return True

    def _skip(self) -> None:
        found = _SPACE.match(self._text, self._at)
        end = found.end() if found else self._at
        self._line += self._text.count("\n", self._at, end)
        self._at = end

    def _refusal(self, what: str) -> UnreadableYamlError:
        return UnreadableYamlError(self._line, what)
