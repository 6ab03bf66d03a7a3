"""The AWS CLI's files, looked at before botocore reads them: what is wrong there is named with file and line.

botocore says "Unable to parse config file" or "The config profile (x) could not be found", from the first call.
"""

from __future__ import annotations

from collections.abc import Mapping

from rolecall.aws.errors import AwsError
from rolecall.local_files.aws_config import file_paths, no_such_profile, read_aws_config

_MARK = b"\xef\xbb\xbf"


def check_profile_files(profile: str, environ: Mapping[str, str]) -> None:
    """Refuse files that botocore cannot read, and a profile that is not in them.

    :param profile: that is given; it is used instead of the one that the environment names. Empty without one.
    :raises RolecallError: with the file, and the line if there is one.
    """
    paths = file_paths(environ)
    config = read_aws_config(*paths)
    for path in paths:
        if _is_marked(path):
            raise AwsError(
                "begins with a byte order mark, with which the AWS CLI and its libraries cannot read it",
                where=path,
                advice="save it as UTF-8 without a byte order mark",
            )
    # botocore's order of the two variables.
    variable = next((name for name in ("AWS_DEFAULT_PROFILE", "AWS_PROFILE") if environ.get(name)), "")
    name = profile or environ.get(variable, "")
    if name and name not in config.profiles:
        error = no_such_profile(name, "" if profile else variable, config)
        raise AwsError(error.what, where=error.where, advice=error.advice)


def _is_marked(path: str) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(_MARK)) == _MARK
    except OSError:
        return False
