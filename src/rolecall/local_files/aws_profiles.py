"""Write profiles into the AWS CLI's ``config``: a text that belongs to a person, of which only own profiles change.

A profile that is written here has the comment :data:`MARK` in its section. Everything else in the file stays to the
byte. Sources: AWS CLI user guide, "Configuration and credential file settings", "Using an IAM role in the AWS CLI".
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from rolecall.local_files.aws_config import AwsConfigError, Section, file_paths, parse_sections
from rolecall.local_files.private import write_private

MARK = "# written by rolecall profiles"
MAX_FILE = 8 * 1024 * 1024
LOCK_SECONDS = 5.0
_UNSAFE = ("\n", "\r", "\0")


@dataclass(frozen=True, slots=True)
class RoleProfile:
    """A profile that assumes a role.

    :param names: names to choose from, the shortest first; the first that nobody else uses is taken.
    :param role_arn: what it stands for: a profile written here with the same role and source is written again.
    :param settings: further keys, such as ``region`` and ``mfa_serial``, in order.
    """

    names: tuple[str, ...]
    role_arn: str
    source_profile: str
    settings: Mapping[str, str]

    def lines(self, name: str) -> list[str]:
        """The section as lines."""
        keys = {"role_arn": self.role_arn, "source_profile": self.source_profile, **self.settings}
        for key, value in (("profile", name), *keys.items()):
            if any(character in key + value for character in _UNSAFE):
                raise AwsConfigError(f"{key} of profile {name!r} has a line break in it")
        return [_header(name), MARK, *(f"{key} = {value}" for key, value in keys.items())]


@dataclass(frozen=True, slots=True)
class Written:
    """What was done: names of profiles."""

    added: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()


def config_path(environment: Mapping[str, str]) -> Path:
    """The file that profiles are written to: ``$AWS_CONFIG_FILE``, else ``~/.aws/config``."""
    return Path(file_paths(environment)[0])


def write_profiles(path: Path, profiles: Sequence[RoleProfile]) -> Written:
    """Write profiles into a config file, at once and for its owner alone."""
    path = path.resolve()
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with _held(path):
        text, new, written = preview_profiles(path, profiles)
        if new != text:
            write_private(path, new)
    return written


def preview_profiles(path: Path, profiles: Sequence[RoleProfile]) -> tuple[str, str, Written]:
    """The file's text, the text that :func:`write_profiles` would give it, and what that does; writes nothing."""
    text = _read(path)
    return text, *merged(text, profiles, where=str(path))


def merged(text: str, profiles: Sequence[RoleProfile], *, where: str = "config") -> tuple[str, Written]:
    """:func:`write_profiles` on a text; unchanged, to the byte, where nothing is to be done."""
    sections = parse_sections(text, where)
    lines = text.splitlines(keepends=True)
    own = _own_spans(lines, sections)
    taken = {profile for header in sections if (profile := _profile(header))}
    counts: dict[str, list[str]] = {"added": [], "changed": [], "unchanged": []}
    appended: list[str] = []
    for wanted in profiles:
        name, span = _place(wanted, sections, own, taken)
        taken.add(name)
        new = [f"{line}\n" for line in wanted.lines(name)]
        if span is None:
            appended += ["\n", *new] if lines or appended else new
            counts["added"].append(name)
        elif [line.rstrip("\r\n") for line in lines[span[0] : span[1]]] == wanted.lines(name):
            counts["unchanged"].append(name)
        else:
            # As many items as before, so that the places of other sections stay.
            lines[span[0] : span[1]] = ["".join(new), *[""] * (span[1] - span[0] - 1)]
            counts["changed"].append(name)
    if appended and lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    added, changed, unchanged = (tuple(sorted(found)) for found in counts.values())
    written = Written(added, changed, unchanged)
    return "".join((*lines, *appended)), written


def _place(
    wanted: RoleProfile, sections: Mapping[str, Section], own: Mapping[str, tuple[int, int]], taken: Iterable[str]
) -> tuple[str, tuple[int, int] | None]:
    """The profile's name, and its lines where it was written before."""
    for header, span in own.items():
        values = sections[header].values
        if (values.get("role_arn"), values.get("source_profile")) == (wanted.role_arn, wanted.source_profile):
            return str(_profile(header)), span
    name = next((one for one in wanted.names if one not in taken), None)
    if name is None:
        raise AwsConfigError(
            f"every name for a profile of {wanted.role_arn} is taken: {', '.join(wanted.names)}",
            advice="rename one of those profiles",
        )
    return name, None


def _own_spans(lines: Sequence[str], sections: Mapping[str, Section]) -> dict[str, tuple[int, int]]:
    """The lines of the sections that were written here, from the header to the last line that is not blank."""
    starts = sorted((section.line - 1, name) for name, section in sections.items())
    found = {}
    for index, (start, name) in enumerate(starts):
        end = starts[index + 1][0] if index + 1 < len(starts) else len(lines)
        if any(line.strip() == MARK for line in lines[start:end]):
            last = max(section_line for section_line in (start + 1, *sections[name].lines.values()))
            found[name] = (start, min(last, end))
    return found


def _header(name: str) -> str:
    if name == "default":
        return "[default]"
    quoted = f'"{name}"' if any(character in name for character in " \t'") else name
    return f"[profile {quoted}]"


def _profile(header: str) -> str | None:
    """The profile's name in a header, ``None`` for sections of other kinds."""
    if header == "default":
        return header
    kind, _, name = header.partition(" ")
    return name.strip().strip('"') if kind == "profile" else None


def _read(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return ""
    if len(content) > MAX_FILE:
        raise AwsConfigError(f"has more than {MAX_FILE} bytes", where=str(path))
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise AwsConfigError("is not UTF-8 text", where=str(path)) from None


@contextmanager
def _held(path: Path) -> Iterator[None]:
    """One rolecall at a time in the file's folder; the AWS CLI itself takes no lock."""
    descriptor = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        ends = time.monotonic() + LOCK_SECONDS
        while True:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > ends:
                    raise AwsConfigError(
                        "another rolecall is writing to it", where=str(path), advice="try again"
                    ) from None
                time.sleep(0.05)
        yield
    finally:
        os.close(descriptor)
