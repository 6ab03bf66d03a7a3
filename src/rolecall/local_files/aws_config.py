"""The AWS CLI's ``config`` and ``credentials`` files, read as botocore reads them and with the line of every key.

Sources: AWS CLI user guide, "Configuration and credential file settings"; botocore ``configloader.py``, which gives the
text to Python's ``configparser.RawConfigParser``: the same grammar is kept here (a differential test compares them),
with errors that name file and line. Few imports: a credential plugin reads these files on each start.
"""

from __future__ import annotations

import os

from rolecall.errors import RolecallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_FILE = 8 * 1024 * 1024
Value = str | dict[str, str]
_DEFAULTS = "DEFAULT"


class AwsConfigError(RolecallError):
    """A file of the AWS CLI cannot be read, or a setting in it is not valid."""


class Section:
    """One ``[section]`` as it stands in a file.

    :ivar name: what is between the brackets.
    :ivar values: by lower-case key; an indented block below a key is a dict.
    """

    __slots__ = ("line", "lines", "name", "path", "values")

    def __init__(self, name: str, path: str, line: int) -> None:
        self.name = name
        self.path = path
        self.line = line
        self.values: dict[str, Value] = {}
        self.lines: dict[str, int] = {}

    def where(self, key: str = "") -> str:
        """``FILE:LINE`` of a key, or of the section."""
        return f"{self.path}:{self.lines.get(key, self.line)}"


class Profile:
    """A profile with the keys of both files; those of the credentials file win, as in botocore.

    :ivar values: by lower-case key; an indented block below a key (``s3 =``) is a dict.
    :ivar config: its section of the config file, if there is one.
    :ivar credentials: its section of the credentials file, if there is one.
    """

    __slots__ = ("_places", "config", "credentials", "name", "values")

    def __init__(self, name: str) -> None:
        self.name = name
        self.values: dict[str, Value] = {}
        self.config: Section | None = None
        self.credentials: Section | None = None
        self._places: dict[str, str] = {}

    def add(self, section: Section, *, credentials: bool = False) -> None:
        """Lay a section of a file over what is there."""
        if credentials:
            self.credentials = section
        else:
            self.config = section
        self.values.update(section.values)
        self._places.update((key, section.where(key)) for key in section.values)
        self._places.setdefault("", section.where())

    def where(self, key: str = "") -> str:
        """``FILE:LINE`` of a key, or of the profile if it has no such key."""
        return self._places.get(key) or self._places.get("", "")

    def text(self, key: str) -> str | None:
        """A key's value, ``None`` if it is not there; :class:`AwsConfigError` if it is a block."""
        value = self.values.get(key)
        if isinstance(value, dict):
            raise AwsConfigError(
                f"{key} of profile {self.name!r} is a block of keys, not a value", where=self.where(key)
            )
        return value


class AwsConfig:
    """Both files.

    :ivar profiles: by name; ``default`` like any other.
    :ivar sso_sessions: the ``[sso-session NAME]`` sections by name.
    :ivar services: the ``[services NAME]`` sections by name.
    """

    __slots__ = ("config_path", "credentials_path", "profiles", "services", "sso_sessions")

    def __init__(self, config_path: str, credentials_path: str) -> None:
        self.config_path = config_path
        self.credentials_path = credentials_path
        self.profiles: dict[str, Profile] = {}
        self.sso_sessions: dict[str, Section] = {}
        self.services: dict[str, Section] = {}


def no_such_profile(name: str, variable: str, config: AwsConfig) -> AwsConfigError:
    """The error that a profile is not in the files; ``variable`` names it, or is empty if a flag does."""
    asked = f", which {variable} names" if variable else ""
    unset = f"; if the variable is left over, unset {variable} or give --profile" if variable else ""
    known = ", ".join(sorted(config.profiles)[:20]) or "none"
    return AwsConfigError(
        f"there is no profile {name!r}{asked}",
        where=f"{config.config_path}, {config.credentials_path}",
        advice=f"profiles: {known} (to see all: aws configure list-profiles){unset}",
    )


def file_paths(environ: Mapping[str, str]) -> tuple[str, str]:
    """The config and the credentials file that an environment names (AWS_CONFIG_FILE, AWS_SHARED_CREDENTIALS_FILE)."""
    return (
        _expand(environ.get("AWS_CONFIG_FILE") or "~/.aws/config", environ),
        _expand(environ.get("AWS_SHARED_CREDENTIALS_FILE") or "~/.aws/credentials", environ),
    )


def read_aws_config(config_path: str, credentials_path: str) -> AwsConfig:
    """Both files as one; a file that is not there counts as empty.

    :raises AwsConfigError: with file and line, if a file cannot be read or is not of this format.
    """
    found = AwsConfig(config_path, credentials_path)
    for section in read_sections(config_path).values():
        name = profile_of(section.name)
        if name is not None:
            # Two spellings of one profile are not merged: the later one counts, as in botocore.
            found.profiles[name] = profile = Profile(name)
            profile.add(section)
        elif (name := _name_after("sso-session", section.name)) is not None:
            found.sso_sessions[name] = section
        elif (name := _name_after("services", section.name)) is not None:
            found.services[name] = section
    for section in read_sections(credentials_path).values():
        found.profiles.setdefault(section.name, Profile(section.name)).add(section, credentials=True)
    return found


def profile_of(header: str) -> str | None:
    """The profile that a header of the config file names, in whichever spelling botocore takes for it."""
    return header if header == "default" else _name_after("profile", header)


def read_sections(path: str) -> dict[str, Section]:
    """The sections of one file by what is between their brackets; none if the file does not exist."""
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise AwsConfigError(f"cannot be read: {error.strerror}", where=path) from None
    except ValueError:
        raise AwsConfigError("the path of an AWS configuration file has a NUL character") from None
    if len(data) > MAX_FILE:
        raise AwsConfigError(f"has more than {MAX_FILE} bytes", where=path)
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise AwsConfigError("is not UTF-8 text", where=f"{path}:{line}") from None
    return parse_sections(text, path)


def parse_sections(text: str, path: str) -> dict[str, Section]:
    """The sections of a text; ``path`` is for errors. ``[DEFAULT]`` gives its keys to every section."""
    defaults = Section(_DEFAULTS, path, 0)
    sections: dict[str, Section] = {}
    section: Section | None = None
    open_value: list[str] = []
    key, indent = "", 0

    def close() -> None:
        if section is not None and key:
            section.values[key] = _finish("\n".join(open_value).rstrip(), section, key)

    for number, line in enumerate(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), start=1):
        stripped = line.strip()
        if not stripped:
            if key:
                open_value.append("")
            continue
        if stripped[0] in "#;":
            continue
        depth = len(line) - len(line.lstrip())
        if key and depth > indent:
            open_value.append(stripped)
            continue
        indent = depth
        if stripped[0] == "[" and (end := stripped.rfind("]")) > 1:
            close()
            key, name = "", stripped[1:end]
            if name in sections:
                raise AwsConfigError(
                    f"section [{name}] is given twice, first in line {sections[name].line}", where=f"{path}:{number}"
                )
            section = defaults if name == _DEFAULTS else Section(name, path, number)
            if name != _DEFAULTS:
                sections[name] = section
            continue
        close()
        key, value = _option(stripped, section, f"{path}:{number}")
        assert section is not None
        section.lines[key] = number
        open_value = [value]
    close()
    return {name: _with_defaults(found, defaults) for name, found in sections.items()}


def _option(line: str, section: Section | None, where: str) -> tuple[str, str]:
    """Key and value of a line: the first ``=`` or ``:`` parts them."""
    if section is None:
        raise AwsConfigError("there is a key before the first [section]", where=where)
    places = [place for place in (line.find("="), line.find(":")) if place >= 0]
    key = line[: min(places)].rstrip().lower() if places else ""
    if not key:
        # The line itself may be a secret that was pasted wrong: it is not repeated.
        raise AwsConfigError("this line is neither a [section] nor key = value", where=where)
    if key in section.lines:
        raise AwsConfigError(f"{key} is given twice in [{section.name}]", where=where)
    return key, line[min(places) + 1 :].strip()


def _finish(value: str, section: Section, key: str) -> Value:
    """A value, or the dict that an indented block stands for."""
    if not value.startswith("\n"):
        return value
    block = {}
    # What `str.splitlines` takes for a line is one here, as in botocore's `_parse_nested`.
    for line in value.splitlines():
        if not (line := line.strip()):
            continue
        name, equals, inner = line.partition("=")
        if not equals:
            raise AwsConfigError(f"the block below {key} has a line that is not key = value", where=section.where(key))
        block[name.strip()] = inner.strip()
    return block


def _with_defaults(section: Section, defaults: Section) -> Section:
    for key, value in defaults.values.items():
        if key not in section.values:
            section.values[key] = value
            section.lines[key] = defaults.lines[key]
    return section


def _name_after(kind: str, header: str) -> str | None:
    """``NAME`` of ``[kind NAME]`` with the quotes of a shell; ``None`` if the section is not of that kind."""
    if not header.startswith(kind):
        return None
    if any(character in header for character in "'\"\\"):
        import shlex

        try:
            words = shlex.split(header)
        except ValueError:
            return None
    else:
        # What `shlex.split` takes for space.
        words = header.replace("\t", " ").replace("\r", " ").replace("\n", " ").split(" ")
        words = [word for word in words if word]
    return words[1] if len(words) == 2 and words[0].startswith(kind) else None


def _expand(path: str, environ: Mapping[str, str]) -> str:
    if "$" in path:
        path = os.path.expandvars(path)
    if path.startswith("~/") and environ.get("HOME"):
        return environ["HOME"] + path[1:]
    return os.path.expanduser(path) if path.startswith("~") else path
