"""The texts of ``--help``: loaded only when somebody asks."""

from __future__ import annotations

from rolecall.exec_plugin.arguments import GET_TOKEN_FLAGS, TOKEN_FLAGS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from rolecall.exec_plugin.arguments import Flag

_WIDTH, _COLUMN = 80, 34
_EXIT_CODES = """\
Exit codes: 0 the token is printed, 1 error, 2 usage, 130 interrupted."""

_LIKE_AUTHENTICATOR = """\
Usage: rolecall token -i CLUSTER [OPTIONS]

  Print a token for a cluster, as kubectl asks for it. Takes the flags,
  variables and configuration file of aws-iam-authenticator.

Options:
{flags}
{ignored}

Environment:
  KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID  cluster id (-i)
  DEFAULT_ROLE         role to assume (-r)
  AWS_PROFILE, AWS_REGION, AWS_ENDPOINT_URL, ...  as for the AWS CLI
  ROLECALL_CACHE       file, keyring or off (default: file)
  ROLECALL_CACHE_DIR   folder for sessions and tokens
                       (default: ~/.kube/cache/rolecall)

Examples:
  rolecall token -i prod
  rolecall token -i prod -r arn:aws:iam::111122223333:role/Dev --token-only

{exit_codes}
"""

_LIKE_AWS = """\
Usage: rolecall eks get-token --cluster-name CLUSTER [OPTIONS]

  Print a token for a cluster, as kubectl asks for it. Takes the options of
  aws eks get-token and prints the same.

Options:
{flags}
{ignored}

Examples:
  rolecall eks get-token --cluster-name prod
  rolecall eks get-token --cluster-name prod --query status.token --output text

{exit_codes}
"""

_EKS = """\
Usage: rolecall eks get-token --cluster-name CLUSTER [OPTIONS]

  Stands in for aws eks in a kubeconfig. Only get-token is supported.

Commands:
  get-token  Print a token for a cluster

Examples:
  rolecall eks get-token --cluster-name prod
  rolecall eks get-token --help

{exit_codes}
"""


def token_help() -> str:
    """The help of ``rolecall token``."""
    return _filled(_LIKE_AUTHENTICATOR, TOKEN_FLAGS)


def get_token_help() -> str:
    """The help of ``rolecall eks get-token``."""
    return _filled(_LIKE_AWS, GET_TOKEN_FLAGS)


def eks_help() -> str:
    """The help of ``rolecall eks``."""
    return _EKS.format(exit_codes=_EXIT_CODES)


def _filled(text: str, flags: Sequence[Flag]) -> str:
    from textwrap import fill, wrap

    lines: list[str] = []
    for flag in flags:
        if flag.text:
            first, *rest = wrap(flag.text, _WIDTH - _COLUMN, break_on_hyphens=False)
            lines.append(f"  {', '.join(flag.names)} {flag.value}".rstrip().ljust(_COLUMN - 1) + f" {first}")
            lines += [" " * _COLUMN + line for line in rest]
    names = ", ".join(flag.names[-1] for flag in flags if not flag.text)
    ignored = fill(f"Accepted and ignored: {names}", _WIDTH, initial_indent="  ", subsequent_indent="  ")
    return text.format(flags="\n".join(lines), ignored=ignored, exit_codes=_EXIT_CODES)
