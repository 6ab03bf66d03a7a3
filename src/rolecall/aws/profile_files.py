"""The AWS CLI's files, looked at before botocore reads them: what is wrong there is named with file and line.

botocore says "Unable to parse config file" or "The config profile (x) could not be found", from the first call.
"""

from __future__ import annotations

from collections.abc import Mapping

from rolecall.aws.errors import AwsError
from rolecall.errors import RolecallError
from rolecall.local_files.aws_config import AwsConfig, AwsConfigError, file_paths, no_such_profile, read_aws_config
from rolecall.local_files.aws_keys import environment_key, section_key

_MARK = b"\xef\xbb\xbf"


def check_profile_files(profile: str, environ: Mapping[str, str]) -> None:
    """Refuse files that botocore cannot read, a profile that is not in them, and a key that nothing can be signed with.

    :param profile: that is given; it is used instead of the one that the environment names. Empty without one.
    :raises AwsError: with the file, and the line if there is one.
    """
    try:
        _check(profile, environ)
    except RolecallError as error:
        raise AwsError(error.what, where=error.where, advice=error.advice) from None


def _check(profile: str, environ: Mapping[str, str]) -> None:
    paths = file_paths(environ)
    config = read_aws_config(*paths)
    for path in paths:
        if _is_marked(path):
            raise AwsConfigError(
                "begins with a byte order mark, with which the AWS CLI and its libraries cannot read it",
                where=path,
                advice="save it as UTF-8 without a byte order mark",
            )
    # botocore's order of the two variables.
    variable = next((name for name in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE") if environ.get(name)), "")
    name = profile or environ.get(variable, "")
    if name and name not in config.profiles:
        raise no_such_profile(name, "" if profile else variable, config)
    if not profile and environ.get("AWS_ACCESS_KEY_ID"):
        environment_key(environ)
    else:
        _check_keys(config, name or "default")


def _check_keys(config: AwsConfig, name: str) -> None:
    """The keys of a profile and of those that its roles come from."""
    seen: set[str] = set()
    while name in config.profiles and name not in seen:
        seen.add(name)
        found = config.profiles[name]
        for section in (found.credentials, found.config):
            if section is not None and "aws_access_key_id" in section.values:
                section_key(section, name)
        name = found.text("source_profile") or ""


def _is_marked(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_MARK)) == _MARK
    except OSError:
        return False
