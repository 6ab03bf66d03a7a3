"""``rolecall token`` and ``rolecall eks get-token``, from the command line to the answer."""

from __future__ import annotations

import os
import sys

from rolecall.errors import RolecallError
from rolecall.exec_plugin.arguments import (
    GET_TOKEN_FLAGS,
    TOKEN_FLAGS,
    UsageError,
    command_place,
    read,
    set_ones,
)
from rolecall.exec_plugin.credential_plan import Hop, Plan, plan_credentials, profile_name
from rolecall.exec_plugin.exec_info import VARIABLE, asked_version, exec_credential, exec_credential_json
from rolecall.exec_plugin.login import Login
from rolecall.exec_plugin.settings import Settings, resolve_settings
from rolecall.exec_plugin.token import get_token
from rolecall.local_files.aws_config import AwsConfig, file_paths, read_aws_config
from rolecall.tokens import is_cluster_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rolecall.local_files.cache import Cache

CACHE_VARIABLE = "ROLECALL_CACHE"
CACHE_FOLDER_VARIABLE = "ROLECALL_CACHE_DIR"
_VERBOSITY = "AWS_IAM_AUTHENTICATOR_LOG_VERBOSITY"
_LEVELS = ("panic", "fatal", "error", "warning", "warn", "info", "debug", "trace")


def main(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run the command of these arguments (without the program's name); gives its exit code.

    Standard output has the answer and nothing else; whatever a person should know goes to standard error.
    """
    environ = os.environ if environ is None else environ
    try:
        place = command_place(arguments)
        words = [*arguments[:place], *arguments[place + 1 :]]
        answer = _token(words, environ) if arguments[place] == "token" else _eks(words, place, environ)
    except UnicodeError:
        # Bytes of an argument or a variable that are no UTF-8 arrive as half characters, which nothing can sign.
        sys.stderr.write("error: an argument, a variable or a key in a file is not UTF-8 text\n")
        return 1
    except RolecallError as error:
        where = f"{error.where}: " if error.where else ""
        sys.stderr.write(_printable(f"error: {where}{error.what}") + "\n")
        for line in error.advice.splitlines():
            sys.stderr.write(_printable(f"       {line}") + "\n")
        return 2 if isinstance(error, UsageError) else 1
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        return 130
    try:
        sys.stdout.write(answer)
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader went away: that is its right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _token(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    flags, others = read(arguments, TOKEN_FLAGS)
    if "help" in flags:
        from rolecall.exec_plugin.help_texts import token_help

        return token_help()
    given = set_ones(_merged(flags, environ))
    if not (cluster := given.get("cluster-id", "")):
        raise UsageError("no cluster is named", advice="name it with -i CLUSTER")
    _check_cluster(cluster)
    _check_verbosity(flags, environ)
    if others:
        # aws-iam-authenticator ignores them too.
        _say(f"ignored: {' '.join(others)[:100]!r} (not a flag)")
    if "forward-session-name" in given and "session-name" in given:
        raise UsageError("--forward-session-name and --session-name exclude each other")
    version = asked_version(environ, _say)
    config = read_aws_config(*file_paths(environ))
    plan = plan_credentials(environ, config, given.get("profile"))
    if role := given.get("role"):
        plan = plan.then(_role(role, given, plan, environ))
    name = profile_name(environ, given.get("profile"))
    settings = resolve_settings(environ, config, name, region=given.get("region"), endpoint=given.get("sts-endpoint"))
    _say_what_overrides(given, environ)
    cache = _cache(flags, given, environ)
    token, expires = get_token(
        Login(cluster, plan, settings, environ, cache=cache, keep_source="cache" in given, say=_say)
    )
    if "token-only" in given:
        return f"{token}\n"
    return exec_credential_json(version, token, expires, pretty=False)


def _merged(flags: dict[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The flags with what variables and a configuration file add; the file's reader is loaded only for a file."""
    if flags.get("config"):
        from rolecall.exec_plugin.authenticator_config import merged

        return merged(flags, environ)
    variables = {
        "cluster-id": environ.get("KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID", ""),
        "role": environ.get("DEFAULT_ROLE", ""),
    }
    return {**variables, **flags}


def _check_verbosity(flags: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """There is no log; but a level that aws-iam-authenticator refuses is a mistake here too."""
    level = flags.get("log-verbosity", environ.get(_VERBOSITY) or "info")
    if level.lower() not in _LEVELS:
        where = "--log-verbosity" if "log-verbosity" in flags else _VERBOSITY
        raise UsageError(f"{level[:20]!r} is not a log level", where=where, advice=f"use one of {', '.join(_LEVELS)}")


def _role(role: str, given: Mapping[str, str], plan: Plan, environ: Mapping[str, str]) -> Hop:
    """The role of ``-r``; its name is the one given, that of the caller, or the person's."""
    if "forward-session-name" in given:
        name = None
    elif "session-name" in given:
        from rolecall.exec_plugin.session_name import check_given

        name = check_given(given["session-name"], "--session-name")
    else:
        name = plan.next_name(environ)
    return Hop(role, "--role", session_name=name, external_id=given.get("external-id"))


def _eks(words: Sequence[str], place: int, environ: Mapping[str, str]) -> str:
    """:param place: where the command behind ``eks`` is, if there is one."""
    behind = words[place] if place < len(words) else ""
    if behind not in ("get-token", "help") and not behind.startswith("-"):
        raise UsageError('only "eks get-token" is supported', advice="rolecall eks get-token --cluster-name CLUSTER")
    flags, others = read(words, GET_TOKEN_FLAGS)
    if "help" in flags or others[-1:] == ["help"]:
        from rolecall.exec_plugin.help_texts import eks_help, get_token_help

        return get_token_help() if "get-token" in others else eks_help()
    if others != ["get-token"]:
        unknown = next((other for other in others if other != "get-token"), "")
        raise UsageError(f"unknown argument {unknown[:60]!r}", advice="--help lists the options")
    given = set_ones(flags)
    if ("cluster-name" in given) == ("cluster-id" in given):
        raise UsageError("give either --cluster-name or --cluster-id")
    cluster = given.get("cluster-name") or given["cluster-id"]
    _check_cluster(cluster)
    version = asked_version(environ, _say)
    config = read_aws_config(*file_paths(environ))
    plan = plan_credentials(environ, config, given.get("profile"))
    if role := given.get("role-arn"):
        plan = plan.then(Hop(role, "--role-arn", session_name=plan.next_name(environ)))
    name = profile_name(environ, given.get("profile"))
    settings = resolve_settings(environ, config, name, region=given.get("region"), ca_bundle=given.get("ca-bundle"))
    _set_timeouts(settings, given)
    form = given.get("output") or _form(environ, config, name)
    if form not in ("json", "yaml", "text"):
        raise UsageError(f"a token cannot be printed as {form[:20]!r}", advice="use --output json, yaml or text")
    _say_what_overrides(given, environ)
    token, expires = get_token(Login(cluster, plan, settings, environ, cache=_cache(flags, {}, environ), say=_say))
    if form == "json" and "query" not in given:
        return exec_credential_json(version, token, expires, pretty=True)
    from rolecall.exec_plugin.aws_output import render

    return render(exec_credential(version, token, expires), form, given.get("query"))


def _form(environ: Mapping[str, str], config: AwsConfig, profile: str) -> str:
    """The output format if no flag gives one: JSON for kubectl, whatever a person prefers in a terminal."""
    if environ.get(VARIABLE):
        return "json"
    found = config.profiles.get(profile or "default")
    return environ.get("AWS_DEFAULT_OUTPUT") or (found.text("output") if found else None) or "json"


def _check_cluster(cluster: str) -> None:
    if not is_cluster_id(cluster):
        raise UsageError(f"{cluster[:60]!r} is not a cluster id: it has characters that no HTTP header can carry")


def _set_timeouts(settings: Settings, given: Mapping[str, str]) -> None:
    for flag, name in (("cli-connect-timeout", "connect_timeout"), ("cli-read-timeout", "read_timeout")):
        if flag in given:
            if not (given[flag].isascii() and given[flag].isdigit() and 0 < int(given[flag][:6]) <= 300):
                raise UsageError(f"--{flag} is a number of seconds from 1 to 300")
            setattr(settings, name, float(given[flag]))


def _cache(flags: Mapping[str, str], given: Mapping[str, str], environ: Mapping[str, str]) -> Cache | None:
    """:param flags: of the command line alone; ``given`` has what a file says, too, which ``--no-cache`` beats."""
    asked = environ.get(CACHE_VARIABLE) or "file"
    if asked not in ("file", "keyring", "off"):
        raise RolecallError(f"{CACHE_VARIABLE} is file, keyring or off, not {asked[:20]!r}")
    on_line = set_ones(dict(flags))
    if "no-cache" in on_line and ("cache" in on_line or "keyring" in on_line):
        raise UsageError("--no-cache excludes --cache and --keyring")
    # Where files have no owner to compare, nothing secret is put into them.
    if "no-cache" in on_line or (asked == "off" and not {"cache", "keyring"} & set(given)) or os.name != "posix":
        return None
    from rolecall.local_files.cache import Cache

    folder = environ.get(CACHE_FOLDER_VARIABLE)
    if not folder:
        home = environ.get("HOME") or os.path.expanduser("~")
        folder = os.path.join(home, ".kube", "cache", "rolecall")
    return Cache(folder, keyring="keyring" in given or asked == "keyring", say=_say)


def _say_what_overrides(given: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """What makes somebody else of a person than their kubeconfig says."""
    named = environ.get("AWS_PROFILE") or environ.get("AWS_DEFAULT_PROFILE")
    if named and environ.get("AWS_ACCESS_KEY_ID") and "profile" not in given:
        _say(
            f"AWS_ACCESS_KEY_ID ({environ['AWS_ACCESS_KEY_ID'][:24]}) in the environment wins over profile {named!r}: "
            "unset it, or give --profile"
        )
    other = environ.get("AWS_DEFAULT_PROFILE")
    if other and named != other and "profile" not in given:
        _say(f"AWS_PROFILE is {named!r} and AWS_DEFAULT_PROFILE is {other!r}: the first is used")


def _say(text: str) -> None:
    sys.stderr.write(_printable(f"rolecall: {text}") + "\n")


def _printable(text: str) -> str:
    """One line that a terminal shows as it is: what comes from outside may hold anything."""
    return text if text.isprintable() else "".join([one if one.isprintable() else "?" for one in text])
