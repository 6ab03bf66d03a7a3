"""The sections of aws-auth as they are read for an edit, and the proof that an edit changed nothing else."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

from rolecall.mapping.editing.entry_text import field_of
from rolecall.mapping.editing.yaml_text import Edit, Kind, Node, YamlTextError, parse, place, splice
from rolecall.mapping.reading.aws_auth import AwsAuth, AwsAuthEntry, is_nothing, parse_aws_auth
from rolecall.mapping.reading.sso import SsoRole

ARN_KEYS = {"mapRoles": "rolearn", "mapUsers": "userarn"}
ACCOUNTS = "mapAccounts"
SECTIONS = (*ARN_KEYS, ACCOUNTS)
Fields = tuple[str, str, tuple[str, ...], SsoRole | None]
# One edit after the other reads each text twice, before and after. Larger texts are not kept.
_KEPT, _LARGEST_KEPT = 8, 200_000


class AwsAuthEditError(YamlTextError):
    """The text cannot be changed without a risk to something else in it; nothing was changed."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section's text, read in both ways.

    :param tree: its list as YAML; ``None`` where the section is empty or null.
    :param aws_auth: what the authenticator makes of it.
    :param meanings: what each item of the list says, unknown fields included.
    """

    text: str
    tree: Node | None
    aws_auth: AwsAuth
    meanings: tuple[object, ...]

    @property
    def entries(self) -> tuple[AwsAuthEntry, ...]:
        return self.aws_auth.entries

    @property
    def items(self) -> Sequence[Node]:
        """The items that the authenticator takes for entries, in order."""
        return mappings(self.tree) if self.tree else ()


def read_section(data: Mapping[str, str], section: str) -> Section:
    """A section of the ConfigMap's ``data``.

    :raises YamlTextError: no YAML, no list, or the two readings do not agree on what is an entry.
    """
    if section not in SECTIONS:
        raise AwsAuthEditError(f"no section {section!r}", advice=f"there are {', '.join(SECTIONS)}")
    text = data.get(section, "")
    return _read(section, text) if len(text) > _LARGEST_KEPT else _read_and_kept(section, text)


def _read(section: str, text: str) -> Section:
    aws_auth = parse_aws_auth({section: text})
    if is_nothing(text) and text.strip():
        return Section("", None, aws_auth, ())
    tree = parse(text, section)
    if tree is None or (tree.is_null and not tree.anchor):
        return Section(text if tree is None else splice(text, [Edit(tree.start, tree.end, "")]), None, aws_auth, ())
    if tree.kind is not Kind.SEQUENCE:
        raise AwsAuthEditError(
            "not a list, so the whole section is lost",
            where=place(section, tree.line),
            advice="each entry starts with a dash; fix that first",
        )
    if section != ACCOUNTS and len(mappings(tree)) != len(aws_auth.entries):
        # The two readings of one text must agree on what is where, or an edit could hit the wrong entry.
        why = next(iter(aws_auth.problems), None)
        raise AwsAuthEditError(
            why.text if why else "entries whose places are not clear",
            where=place(section, why.line if why else 1),
            advice="fix that first; nothing was changed",
        )
    return Section(text, tree, aws_auth, tuple(item.meaning() for item in tree.children))


_read_and_kept = lru_cache(_KEPT)(_read)


def mappings(tree: Node) -> list[Node]:
    """The items that the authenticator takes for entries, in order."""
    anchors = {node.anchor: node for node in tree.walk() if node.anchor}
    return [item for item in tree.children if anchors.get(item.value, item).kind is Kind.MAPPING]


def fields(entry: AwsAuthEntry) -> Fields:
    return (entry.arn, entry.username, entry.groups, entry.sso)


def same_mappings(one: Mapping[str, str], two: Mapping[str, str]) -> bool:
    """Whether two ConfigMaps map the same, entry by entry in the same order, shadowed ones included."""
    found = [parse_aws_auth(data) for data in (one, two)]
    entries = [[(entry.section, *fields(entry)) for entry in aws_auth.entries] for aws_auth in found]
    return entries[0] == entries[1] and found[0].accounts == found[1].accounts


def checked(
    data: Mapping[str, str],
    section: str,
    text: str,
    expected: Sequence[Fields] | frozenset[str],
    *,
    touched: int | None = None,
) -> dict[str, str]:
    """The ``data`` with a new text, once the text is shown to mean the old one plus the change.

    :param expected: every entry that there must be now, in order; of mapAccounts the account ids.
    :param touched: the number of the entry that was changed in place.
    :raises AwsAuthEditError: it means something else.
    """
    old, new = read_section(data, section), read_section({section: text}, section)
    found = new.aws_auth.accounts if section == ACCOUNTS else [fields(entry) for entry in new.entries]
    if found != (expected if section == ACCOUNTS else list(expected)) or not _untouched(old, new, touched):
        raise AwsAuthEditError(
            "the change cannot be made without changing something else",
            where=section,
            advice="write the entry out in the usual form (one field a line, no anchors), then try again",
        )
    return {**data, section: text}


def _untouched(old: Section, new: Section, touched: int | None) -> bool:
    """Whether every item but the added, the removed and the touched one says what it said, unknown fields included."""
    if touched is None:
        shorter, longer = sorted((old.meanings, new.meanings), key=len)
        rest = iter(longer)
        return all(item in rest for item in shorter)
    one, two = old.items[touched], new.items[touched]
    at = next(number for number, item in enumerate(old.tree.children if old.tree else ()) if item is one)
    same = old.meanings[:at] == new.meanings[:at] and old.meanings[at + 1 :] == new.meanings[at + 1 :]
    return same and _other_fields(one) == _other_fields(two)


def _other_fields(item: Node) -> list[object]:
    known = [pair for name in ("username", "groups") if (pair := field_of(item, name, ""))]
    return [(key.meaning(), value.meaning()) for key, value in item.pairs if (key, value) not in known]
