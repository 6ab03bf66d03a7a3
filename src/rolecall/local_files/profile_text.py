"""The text of the AWS CLI's ``config`` with profiles added and changed: what is not ours stays to the byte.

A profile that is written here has the comment :data:`MARK` in its section. In such a section the keys of :data:`KEYS`
are ours; other keys, comments and blank lines that a person adds to it are theirs. Before a text is handed out it is
read again, and everything that is not ours is compared with what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from rolecall.lines import text_break, text_lines
from rolecall.local_files.aws_config import AwsConfigError, Section, Value, parse_sections, profile_of

MARK = "# written by rolecall profiles"
KEYS = frozenset(
    {
        "role_arn",
        "source_profile",
        "region",
        "output",
        "mfa_serial",
        "external_id",
        "role_session_name",
        "source_identity",
        "duration_seconds",
    }
)
_BOM = "\ufeff"
_DEFAULTS = "DEFAULT"
# `\r` and `\n` end a line; the others end one to some readers and not to botocore.
_UNSAFE = ("\n", "\r", "\0", "\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")


@dataclass(frozen=True, slots=True)
class RoleProfile:
    """A profile that assumes a role.

    :param names: names to choose from, the shortest first; the first that nobody else uses is taken.
    :param role_arn: what it stands for: a profile written here with the same role and source is written again.
    :param settings: further keys of :data:`KEYS`, such as ``region`` and ``mfa_serial``, in order.
    """

    names: tuple[str, ...]
    role_arn: str
    source_profile: str
    settings: Mapping[str, str]

    def values(self) -> dict[str, str]:
        """All keys with their values, in order."""
        found = {"role_arn": self.role_arn, "source_profile": self.source_profile, **self.settings}
        for key, value in found.items():
            if any(character in value for character in _UNSAFE) or value != value.strip() or not value:
                raise AwsConfigError(
                    f"{key} {value!r} is empty, or has a line break in it or blanks around it",
                    where=f"profile for {self.role_arn}",
                )
        return found


@dataclass(frozen=True, slots=True)
class Written:
    """What was done: names of profiles."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def merged(text: str, profiles: Sequence[RoleProfile], *, where: str = "config") -> tuple[str, Written]:
    """A text with the profiles in it; unchanged, to the byte, if there is nothing to do.

    :raises AwsConfigError: the text cannot be read, no name is free, or something that is not ours would change.
    """
    mark, body = (_BOM, text[1:]) if text.startswith(_BOM) else ("", text)
    sections = parse_sections(body, where)
    lines = text_lines(body, ends=True)
    spans = _spans(lines, sections)
    own = [name for name, (start, end) in spans.items() if any(line.strip() == MARK for line in lines[start:end])]
    taken = {name for header in sections if (name := profile_of(header)) is not None}
    counts: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
    edits: dict[str, tuple[int, int, list[str]]] = {}
    appended: list[str] = []
    wanted: dict[str, Mapping[str, str]] = {}
    for profile in profiles:
        name, header = _place(profile, sections, own, taken)
        taken.add(name)
        wanted[name] = values = profile.values()
        if header is None:
            new = [_header(name), MARK, *(f"{key} = {value}" for key, value in values.items())]
            appended += ["", *new] if lines or appended else new
            counts["added"].append(name)
        else:
            start, end = spans[header]
            section = _edited(lines, (start, end), sections[header], values)
            counts["changed" if section != lines[start:end] else "unchanged"].append(name)
            edits[header] = (start, end, section)
    added, changed, unchanged = (tuple(sorted(found)) for found in counts.values())
    for start, end, section in sorted(edits.values(), reverse=True):
        lines[start:end] = section
    ending = text_break(body)
    if appended and lines and not lines[-1].endswith(("\n", "\r")):
        lines[-1] += ending
    new_text = mark + "".join((*lines, *(f"{line}{ending}" for line in appended)))
    _require_the_rest_alike(text, new_text, wanted, where)
    return new_text, Written(added, changed, unchanged)


def _place(
    wanted: RoleProfile, sections: Mapping[str, Section], own: Sequence[str], taken: Iterable[str]
) -> tuple[str, str | None]:
    """The profile's name, and the header of its section if it was written before."""
    for header in own:
        values, name = sections[header].values, profile_of(header)
        same = (values.get("role_arn"), values.get("source_profile")) == (wanted.role_arn, wanted.source_profile)
        if same and name is not None:
            return name, header
    free = next((one for one in wanted.names if one not in taken), None)
    if free is None:
        raise AwsConfigError(
            f"every name for a profile of {wanted.role_arn} is taken: {', '.join(wanted.names)}",
            advice="rename one of those profiles",
        )
    return free, None


def _spans(lines: Sequence[str], sections: Mapping[str, Section]) -> dict[str, tuple[int, int]]:
    """The lines of each section, from its header up to the next header: the first, and the one after the last."""
    starts = sorted((section.line - 1, name) for name, section in sections.items())
    # Its keys are given to all sections, and it is none itself.
    starts += [(number, _DEFAULTS) for number, line in enumerate(lines) if line.startswith(f"[{_DEFAULTS}]")]
    starts.sort()
    ends = [start for start, _ in starts[1:]] + [len(lines)]
    return {name: (start, end) for (start, name), end in zip(starts, ends, strict=False) if name in sections}


def _edited(lines: Sequence[str], span: tuple[int, int], section: Section, values: Mapping[str, str]) -> list[str]:
    """A section's lines with our keys as they should be; a key that says so already keeps its line."""
    start, end = span
    ending = text_break(lines[start])
    # Keys of [DEFAULT] count in every section, and are on lines of their own.
    here = {key: line - 1 for key, line in section.lines.items() if start < line - 1 < end}
    places = sorted(here.values())
    found: dict[int, tuple[int, list[str]]] = {}
    for key in KEYS & here.keys():
        if section.values.get(key) == values.get(key):
            continue
        begin = here[key]
        limit = next((place for place in places if place > begin), end)
        # A value may go on in lines below; blank lines and comments behind its last line are the person's.
        last = max(number for number in range(begin, limit) if number == begin or _is_content(lines[number]))
        new = [f"{key} = {values[key]}{ending}"] if key in values else []
        found[begin] = (last + 1, new)
    missing = [f"{key} = {value}{ending}" for key, value in values.items() if key not in here]
    own = [here[key] for key in here if key in KEYS]
    result, number = [], start
    behind = max(own, default=start)
    while number < end:
        after, new = found.get(number, (number + 1, [lines[number]]))
        result += new
        if number == behind and missing:
            if result and not result[-1].endswith(("\n", "\r")):
                result[-1] += ending
            result += missing
        number = after
    return result


def _is_content(line: str) -> bool:
    stripped = line.strip()
    return bool(stripped) and stripped[0] not in "#;"


def _header(name: str) -> str:
    if name == "default":
        return "[default]"
    plain = name.isascii() and all(character.isalnum() or character in "_+=,.@-" for character in name)
    quoted = name if plain else '"' + name.replace("\\", "\\\\").replace('"', '\\"') + '"'
    return f"[profile {quoted}]"


def _require_the_rest_alike(before: str, after: str, wanted: Mapping[str, Mapping[str, str]], where: str) -> None:
    """Refuse a text in which something that is not ours is no longer what it was, or ours is not what it should be."""
    try:
        old, new = _others(before, wanted, where), _others(after, wanted, where)
        is_alike = old == new
        sections = parse_sections(after.removeprefix(_BOM), where)
        found = {name: section.values for header, section in sections.items() if (name := profile_of(header))}
        is_alike = is_alike and all(values.items() <= found.get(name, {}).items() for name, values in wanted.items())
    except AwsConfigError:
        is_alike = False
    if not is_alike:
        raise AwsConfigError(
            "cannot be written without changing what is not ours; nothing was changed",
            where=where,
            advice="write to another file: --config FILE",
        )


def _others(text: str, wanted: Mapping[str, object], where: str) -> tuple[str, dict[str, object]]:
    """What a text says besides our keys: the lines of sections that are not written, the other values of the rest."""
    body = text.removeprefix(_BOM)
    sections = parse_sections(body, where)
    lines = text_lines(body, ends=True)
    values: dict[str, object] = {}
    kept = [True] * len(lines)
    for header, (start, end) in _spans(lines, sections).items():
        if profile_of(header) in wanted and any(line.strip() == MARK for line in lines[start:end]):
            kept[start:end] = [False] * (end - start)
            found, places = sections[header].values, sections[header].lines
            # Keys of [DEFAULT] count in every section, and stay where they are.
            rest: dict[str, Value] = {
                key: value for key, value in found.items() if key not in KEYS and start < places[key] - 1 < end
            }
            # A section that is new has nothing but our keys.
            values |= {header: rest} if rest else {}
        else:
            values[header] = dict(sections[header].values)
    others = "".join(line for line, is_kept in zip(lines, kept, strict=True) if is_kept)
    return text[: len(text) - len(body)] + others.rstrip("\r\n"), values
