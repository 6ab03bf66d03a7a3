"""The command line of the credential plugin, read by hand: argument parsers cost more than the rest of a cached run.

The flags are those of aws-iam-authenticator v0.7 (``cmd/aws-iam-authenticator/token.go``, ``root.go``) as pflag reads
them, and of the AWS CLI's ``eks get-token`` with its global options.
"""

from __future__ import annotations

from rolecall.errors import RolecallError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class UsageError(RolecallError):
    """The command line is wrong; the command ends with 2."""


class Flag:
    """One flag.

    :ivar names: as typed: ``-i``, ``--cluster-id``.
    :ivar value: what its value is called in the help; empty for a switch.
    :ivar text: its line in the help; empty for a flag that is accepted for compatibility and changes nothing.
    """

    __slots__ = ("names", "text", "value")

    def __init__(self, names: str, value: str = "", text: str = "") -> None:
        self.names = names.split()
        self.value = value
        self.text = text

    @property
    def key(self) -> str:
        """Its name in what :func:`read` gives."""
        return self.names[-1].lstrip("-")


TOKEN_FLAGS = (
    Flag("-i --cluster-id", "CLUSTER", "cluster id, as its authenticator knows it"),
    Flag("-r --role", "ARN", "role to assume before the token is signed"),
    Flag("-e --external-id", "ID", "external id for that role"),
    Flag("-s --session-name", "NAME", "session name for that role (default: you@this-machine)"),
    Flag("--forward-session-name", "", "use the caller's own session name for that role (one more STS call)"),
    Flag("--region", "REGION", "region of STS (default: from the environment or the profile)"),
    Flag("--sts-endpoint", "URL", "URL of STS (default: from the environment or the profile)"),
    Flag("--profile", "PROFILE", "AWS profile to use; wins over a key in the environment"),
    Flag("--token-only", "", "print the token alone"),
    Flag("--cache", "", "also keep what a process, SSO or the machine gave, and do not ask again until it ends"),
    Flag("--no-cache", "", "neither use nor keep anything"),
    Flag("--keyring", "", "keep it in the keyring of the system instead of files"),
    Flag("-c --config", "FILE", "configuration file of the authenticator: clusterID, role, region and so on"),
    Flag("-l --log-format", "FORMAT"),
    Flag("-v --log-verbosity", "LEVEL"),
    Flag("--feature-gates", "LIST"),
    Flag("-h --help", "", "print this text"),
)

GET_TOKEN_FLAGS = (
    Flag("--cluster-name", "CLUSTER", "name of the cluster"),
    Flag("--cluster-id", "ID", "id of the cluster instead (local clusters on Outposts)"),
    Flag("--role-arn", "ARN", "role to assume before the token is signed"),
    Flag("--region", "REGION", "region of STS (default: from the environment or the profile)"),
    Flag("--profile", "PROFILE", "AWS profile to use; wins over a key in the environment"),
    Flag("--output", "FORMAT", "json, yaml or text (default: json for kubectl, else from the environment or profile)"),
    Flag("--query", "EXPRESSION", "JMESPath expression: what to print"),
    Flag("--ca-bundle", "FILE", "certificate authorities to trust (default: from the environment or the profile)"),
    Flag("--cli-connect-timeout", "SECONDS", "how long to wait for a connection to STS (default: 5)"),
    Flag("--cli-read-timeout", "SECONDS", "how long to wait for STS to answer (default: 10)"),
    # The AWS CLI accepts these for every command; they change nothing for a token there either.
    Flag("--endpoint-url", "URL"),
    Flag("--color", "WHEN"),
    Flag("--no-paginate"),
    Flag("--no-cli-pager"),
    Flag("--no-cli-auto-prompt"),
    Flag("-h --help", "", "print this text"),
)
_REFUSED = {
    "--no-verify-ssl": "certificates are always verified; name the right authority with --ca-bundle",
    "--no-sign-request": "a token is a signature",
    "--debug": "this program keeps no debug log, because it would have secrets in it",
}
# Go's strconv.ParseBool, as pflag uses it.
_TRUE = ("1", "t", "T", "TRUE", "true", "True")
_FALSE = ("0", "f", "F", "FALSE", "false", "False")
COMMANDS = ("token", "eks")


def command_of(arguments: Sequence[str]) -> str:
    """``token`` or ``eks`` if these arguments (without the program) are for this package; else empty.

    Flags may come before the command: aws-iam-authenticator takes them there, and ``aws eks update-kubeconfig`` writes
    its global options there: ``--region eu-west-2 eks get-token ...``.
    """
    if arguments and arguments[0] in COMMANDS:
        return arguments[0]
    place = command_place(arguments)
    return arguments[place] if place >= 0 else ""


def command_place(arguments: Sequence[str]) -> int:
    """Where ``token`` or ``eks`` is in the arguments, behind flags of theirs alone; -1 if it is not."""
    by_name = {name: flag for flag in (*TOKEN_FLAGS, *GET_TOKEN_FLAGS) for name in flag.names}
    place = 0
    while place < len(arguments) and arguments[place] not in COMMANDS:
        name, attached, _ = _split(arguments[place], by_name)
        flag = by_name.get(name)
        if flag is None or flag.key == "help":
            return -1
        place += 2 if flag.value and not attached else 1
    return place if place < len(arguments) else -1


def read(arguments: Sequence[str], flags: Sequence[Flag]) -> tuple[dict[str, str], list[str]]:
    """The flags that are given, by key, and the words that are not flags.

    ``--flag value``, ``--flag=value``, ``-f value``, ``-fvalue`` and ``-f=value`` are read, and ``--switch=false``; the
    last of several counts. A switch is ``true`` or ``false``. Behind ``--`` nothing is a flag. Reading ends at a flag
    for help.

    :raises UsageError: if a flag is unknown, lacks its value, or has one that is neither true nor false.
    """
    by_name = {name: flag for flag in flags for name in flag.names}
    found: dict[str, str] = {}
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        if word == "--":
            return found, [*others, *words]
        if not word.startswith("-") or word == "-":
            others.append(word)
            continue
        name, attached, value = _split(word, by_name)
        flag = by_name.get(name)
        if flag is None:
            raise UsageError(f"unknown flag {name[:60]!r}", advice=_REFUSED.get(name, "--help lists the flags"))
        if flag.key == "help":
            return {"help": "true"}, others
        if flag.value and not attached:
            try:
                value = next(words)
            except StopIteration:
                raise UsageError(f"{name} needs a value: {flag.value}") from None
        elif not flag.value:
            value = _switch(name, value) if attached else "true"
        found[flag.key] = value
    return found, others


def _split(word: str, by_name: dict[str, Flag]) -> tuple[str, bool, str]:
    """Name, whether a value is attached to it, and that value."""
    name, equals, value = word.partition("=")
    if not word.startswith("--") and len(word) > 2 and name not in by_name:
        return word[:2], True, word[2:].removeprefix("=")
    return name, bool(equals), value


def _switch(name: str, value: str) -> str:
    if value not in _TRUE and value not in _FALSE:
        raise UsageError(f"{name} is true or false, not {value[:20]!r}")
    return "true" if value in _TRUE else "false"


def set_ones(given: dict[str, str]) -> dict[str, str]:
    """The flags that say something: without empty values and without switches that are off."""
    return {key: value for key, value in given.items() if value not in ("", "false")}
