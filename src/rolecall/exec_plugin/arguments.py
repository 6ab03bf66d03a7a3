"""The command line of the credential plugin, read by hand: argument parsers cost more than the rest of a cached run.

The flags are those of aws-iam-authenticator v0.7 (``cmd/aws-iam-authenticator/token.go``, ``root.go``) and of the AWS
CLI's ``eks get-token`` with its global options.
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
    :ivar text: its line in the help; empty for one that is taken for compatibility and changes nothing.
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
    Flag(
        "-i --cluster-id", "ID", "the cluster, as its authenticator calls it [KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID]"
    ),
    Flag("-r --role", "ARN", "assume this role before the token is signed [DEFAULT_ROLE]"),
    Flag("-e --external-id", "ID", "external id for that role"),
    Flag("-s --session-name", "NAME", "session name for that role; default: you@this-machine"),
    Flag("--forward-session-name", "", "the session name of whoever assumes that role (one STS call more)"),
    Flag("--region", "REGION", "region of STS [AWS_REGION, AWS_DEFAULT_REGION, the profile's]"),
    Flag("--sts-endpoint", "URL", "STS itself [AWS_ENDPOINT_URL_STS, AWS_ENDPOINT_URL, the profile's]"),
    Flag("--profile", "NAME", "profile of the AWS CLI's files; beats a key in the environment [AWS_PROFILE]"),
    Flag("--token-only", "", "print the token alone"),
    Flag("--cache", "", "keep the credentials of SSO, processes and machines too, until they end"),
    Flag("--no-cache", "", "neither use nor keep anything [ROLECALL_CACHE=off]"),
    Flag("--keyring", "", "keep it in the system's keyring instead of files [ROLECALL_CACHE=keyring]"),
    Flag("-c --config", "FILE", "configuration of the authenticator, for its clusterID"),
    Flag("-l --log-format", "FORMAT"),
    Flag("--feature-gates", "LIST"),
    Flag("-h --help", "", "this text"),
)

GET_TOKEN_FLAGS = (
    Flag("--cluster-name", "NAME", "the cluster"),
    Flag("--cluster-id", "ID", "the cluster's id instead (local clusters on Outposts)"),
    Flag("--role-arn", "ARN", "assume this role before the token is signed"),
    Flag("--region", "REGION", "region of STS [AWS_REGION, AWS_DEFAULT_REGION, the profile's]"),
    Flag("--profile", "NAME", "profile of the AWS CLI's files; beats a key in the environment [AWS_PROFILE]"),
    Flag("--output", "FORMAT", "json, yaml or text [AWS_DEFAULT_OUTPUT, the profile's]"),
    Flag("--query", "EXPRESSION", "JMESPath of what to print"),
    Flag("--ca-bundle", "FILE", "certificate authorities [AWS_CA_BUNDLE, the profile's]"),
    Flag("--cli-connect-timeout", "SECONDS", "how long to wait for a connection to STS"),
    Flag("--cli-read-timeout", "SECONDS", "how long to wait for STS to answer"),
    # The AWS CLI takes these for every command; for a token they change nothing there either.
    Flag("--endpoint-url", "URL"),
    Flag("--color", "WHEN"),
    Flag("--no-paginate"),
    Flag("--no-cli-pager"),
    Flag("--no-cli-auto-prompt"),
    Flag("-h --help", "", "this text"),
)
_REFUSED = {
    "--no-verify-ssl": "certificates are always verified; give the right authority with --ca-bundle",
    "--no-sign-request": "a token is a signature",
    "--debug": "there is no log of secrets to be had",
}


def command_of(arguments: Sequence[str]) -> str:
    """``token`` or ``eks`` where these arguments (without the program) are for this package; else empty.

    The AWS CLI takes its global options before the service too, and writes them there into kubeconfigs:
    ``--region eu-west-2 eks get-token ...``.
    """
    if arguments[:1] == ["token"]:
        return "token"
    if not arguments or not (arguments[0] == "eks" or arguments[0].startswith("--")):
        return ""
    by_name = {name: flag for flag in GET_TOKEN_FLAGS for name in flag.names}
    place = 0
    while place < len(arguments) and arguments[place] != "eks":
        name, equals, _ = arguments[place].partition("=")
        if name not in by_name or name in ("-h", "--help"):
            return ""
        place += 2 if by_name[name].value and not equals else 1
    return "eks" if place < len(arguments) else ""


def read(arguments: Sequence[str], flags: Sequence[Flag]) -> dict[str, str]:
    """The flags that are given, by key; a switch that is on has the value ``true``.

    ``--flag value``, ``--flag=value``, ``-f value``, ``-fvalue`` and ``-f=value`` are read, and ``--switch=false``; the
    last of several counts.

    :raises UsageError: where a flag is unknown or lacks its value, or a word is none.
    """
    by_name = {name: flag for flag in flags for name in flag.names}
    found: dict[str, str] = {}
    words = iter(arguments)
    for word in words:
        name, equals, value = word.partition("=")
        if not word.startswith("--") and word.startswith("-") and len(word) > 2 and name not in by_name:
            name, equals, value = word[:2], "=", word[2:].removeprefix("=")
        flag = by_name.get(name)
        if flag is None:
            raise UsageError(f"unknown argument {name[:60]!r}", advice=_REFUSED.get(name, ""))
        if flag.value and not equals:
            try:
                value = next(words)
            except StopIteration:
                raise UsageError(f"{name} needs a value: {flag.value}") from None
        elif not flag.value:
            value = value if equals else "true"
            if value not in ("true", "false"):
                raise UsageError(f"{name} is true or false, not {value[:20]!r}")
        found[flag.key] = value
    return {key: value for key, value in found.items() if value not in ("", "false")}


def help_text(usage: str, what: str, flags: Sequence[Flag], example: str) -> str:
    """The text of ``--help``."""
    lines = [f"Usage: {usage}", "", *(f"  {line}" for line in what.splitlines()), "", "Options:"]
    lines += [
        f"  {' '.join(flag.names)} {flag.value}".rstrip().ljust(34) + f" {flag.text}" for flag in flags if flag.text
    ]
    quiet = ", ".join(flag.names[-1] for flag in flags if not flag.text)
    return "\n".join((*lines, f"  Taken without effect: {quiet}", "", "Examples:", example, ""))
