"""``rolecall token`` and ``rolecall eks get-token``, from the command line to the answer."""

from __future__ import annotations

import json
import os
import sys

from rolecall.errors import RolecallError
from rolecall.exec_plugin.arguments import GET_TOKEN_FLAGS, TOKEN_FLAGS, UsageError, help_text, read
from rolecall.exec_plugin.credential_plan import Hop, Plan, default_name, plan_credentials, profile_name
from rolecall.exec_plugin.exec_info import asked_version, exec_credential
from rolecall.exec_plugin.login import Login
from rolecall.exec_plugin.session_name import check_given
from rolecall.exec_plugin.settings import Settings, resolve_settings
from rolecall.exec_plugin.token import get_token
from rolecall.local_files.aws_config import AwsConfig, file_paths, read_aws_config
from rolecall.local_files.cache import Cache
from rolecall.tokens import is_cluster_id

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

CACHE_VARIABLE = "ROLECALL_CACHE"
CACHE_FOLDER_VARIABLE = "ROLECALL_CACHE_DIR"

_TOKEN_HELP = (
    "rolecall token -i CLUSTER [OPTIONS]",
    "A token for a cluster, as kubectl wants it: flags and environment of\n`aws-iam-authenticator token`.",
    "  rolecall token -i prod\n  rolecall token -i prod -r arn:aws:iam::111122223333:role/Dev --token-only",
)
_GET_TOKEN_HELP = (
    "rolecall eks get-token --cluster-name NAME [OPTIONS]",
    "A token for a cluster: flags and output of `aws eks get-token`.",
    "  rolecall eks get-token --cluster-name prod\n"
    "  rolecall eks get-token --cluster-name prod --query status.token --output text",
)


def main(arguments: Sequence[str], environ: Mapping[str, str] | None = None) -> int:
    """Run the command of these arguments (without the program's name); gives its exit code.

    Standard output has the answer and nothing else; whatever a person should know goes to standard error.
    """
    environ = os.environ if environ is None else environ
    try:
        answer = _token(arguments[1:], environ) if arguments[:1] == ["token"] else _eks(arguments, environ)
    except UnicodeError:
        # Bytes of an argument or a variable that are no UTF-8 arrive as half characters, which nothing can sign.
        sys.stderr.write("error: an argument, a variable or a key in a file is not UTF-8 text\n")
        return 1
    except RolecallError as error:
        where = f"{error.where}: " if error.where else ""
        sys.stderr.write(f"error: {where}{error.what}\n")
        if error.advice:
            sys.stderr.write(f"       {error.advice}\n")
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
    given = read(arguments, TOKEN_FLAGS)
    if "help" in given:
        usage, what, example = _TOKEN_HELP
        return help_text(usage, what, TOKEN_FLAGS, example)
    cluster = given.get("cluster-id") or environ.get("KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID") or _configured(given)
    if not cluster:
        raise UsageError("which cluster?", advice="give it with -i ID")
    _check_cluster(cluster)
    if "forward-session-name" in given and "session-name" in given:
        raise UsageError("--forward-session-name and --session-name exclude each other")
    version = asked_version(environ)
    config = read_aws_config(*file_paths(environ))
    plan = plan_credentials(environ, config, given.get("profile"))
    if role := given.get("role") or environ.get("DEFAULT_ROLE"):
        plan = plan.then(_role(role, given, plan, environ))
    name = profile_name(environ, given.get("profile"))
    settings = resolve_settings(environ, config, name, region=given.get("region"), endpoint=given.get("sts-endpoint"))
    _say_what_overrides(given, environ)
    cache = _cache(given, environ)
    token, expires = get_token(
        Login(cluster, plan, settings, environ, cache=cache, keep_source="cache" in given, say=_say)
    )
    if "token-only" in given:
        return f"{token}\n"
    return json.dumps(exec_credential(version, token, expires), separators=(",", ":")) + "\n"


def _role(role: str, given: Mapping[str, str], plan: Plan, environ: Mapping[str, str]) -> Hop:
    """The role of ``-r``; its name is the one given, that of the caller, or the person's."""
    if "forward-session-name" in given:
        name = None
    elif "session-name" in given:
        name = check_given(given["session-name"], "--session-name")
    else:
        name = default_name(plan.hops, environ)
    return Hop(role, "--role", session_name=name, external_id=given.get("external-id"))


def _eks(arguments: Sequence[str], environ: Mapping[str, str]) -> str:
    words = list(arguments)
    place = words.index("eks")
    words.pop(place)
    if words[place : place + 1] != ["get-token"]:
        raise UsageError("of `aws eks`, this is `get-token` only", advice="rolecall eks get-token --cluster-name NAME")
    words.pop(place)
    given = read(words, GET_TOKEN_FLAGS)
    if "help" in given:
        usage, what, example = _GET_TOKEN_HELP
        return help_text(usage, what, GET_TOKEN_FLAGS, example)
    if ("cluster-name" in given) == ("cluster-id" in given):
        raise UsageError("either --cluster-name or --cluster-id must be given")
    cluster = given.get("cluster-name") or given["cluster-id"]
    _check_cluster(cluster)
    version = asked_version(environ)
    config = read_aws_config(*file_paths(environ))
    plan = plan_credentials(environ, config, given.get("profile"))
    if role := given.get("role-arn"):
        plan = plan.then(Hop(role, "--role-arn", session_name=default_name(plan.hops, environ)))
    name = profile_name(environ, given.get("profile"))
    settings = resolve_settings(environ, config, name, region=given.get("region"), ca_bundle=given.get("ca-bundle"))
    _set_timeouts(settings, given)
    form = given.get("output") or environ.get("AWS_DEFAULT_OUTPUT") or _configured_output(config, name) or "json"
    if form not in ("json", "yaml", "text"):
        raise UsageError(f"there is no output {form[:20]!r} of a token", advice="json, yaml or text")
    _say_what_overrides(given, environ)
    token, expires = get_token(Login(cluster, plan, settings, environ, cache=_cache({}, environ), say=_say))
    answer = exec_credential(version, token, expires)
    if form == "json" and "query" not in given:
        return json.dumps(answer, indent=4) + "\n"
    from rolecall.exec_plugin.aws_output import render

    return render(answer, form, given.get("query"))


def _check_cluster(cluster: str) -> None:
    if not is_cluster_id(cluster):
        raise UsageError(f"{cluster[:60]!r} is no cluster's id: it has characters that no HTTP header can carry")


def _configured_output(config: AwsConfig, profile: str) -> str | None:
    found = config.profiles.get(profile or "default")
    return found.text("output") if found else None


def _set_timeouts(settings: Settings, given: Mapping[str, str]) -> None:
    for flag, name in (("cli-connect-timeout", "connect_timeout"), ("cli-read-timeout", "read_timeout")):
        if flag in given:
            if not (given[flag].isascii() and given[flag].isdigit() and 0 < int(given[flag][:6]) <= 300):
                raise UsageError(f"--{flag} is a number of seconds from 1 to 300")
            setattr(settings, name, float(given[flag]))


def _configured(given: Mapping[str, str]) -> str:
    """``clusterID`` of the authenticator's configuration file."""
    if "config" not in given:
        return ""
    from rolecall.exec_plugin.authenticator_config import cluster_id

    return cluster_id(given["config"])


def _cache(given: Mapping[str, str], environ: Mapping[str, str]) -> Cache | None:
    asked = environ.get(CACHE_VARIABLE) or "file"
    if asked not in ("file", "keyring", "off"):
        raise RolecallError(f"{CACHE_VARIABLE} is file, keyring or off, not {asked[:20]!r}")
    if "no-cache" in given and ("cache" in given or "keyring" in given):
        raise UsageError("--no-cache and --cache or --keyring exclude each other")
    # Where files have no owner to compare, nothing secret is put into them.
    if "no-cache" in given or (asked == "off" and not {"cache", "keyring"} & set(given)) or os.name != "posix":
        return None
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
            f"AWS_ACCESS_KEY_ID ({environ['AWS_ACCESS_KEY_ID'][:24]}) in the environment beats profile {named!r}: "
            "unset it, or give --profile"
        )
    other = environ.get("AWS_DEFAULT_PROFILE")
    if other and named != other and "profile" not in given:
        _say(f"AWS_PROFILE is {named!r} and AWS_DEFAULT_PROFILE is {other!r}: the first is used")


def _say(text: str) -> None:
    sys.stderr.write(f"rolecall: {text}\n")
