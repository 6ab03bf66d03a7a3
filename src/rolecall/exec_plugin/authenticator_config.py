"""The one key of the authenticator's configuration file that its client reads too: ``clusterID``.

Source: aws-iam-authenticator v0.7 ``cmd/aws-iam-authenticator/root.go``.
"""

from __future__ import annotations

from rolecall.exec_plugin.arguments import UsageError
from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, load_plain

_MAX_FILE = 1_048_576


def cluster_id(path: str) -> str:
    """The cluster's id of a configuration file; empty where it has none.

    :raises UsageError: where the file cannot be read or is not of this format.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE + 1)
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {getattr(error, 'strerror', error)}", where=path) from None
    if len(data) > _MAX_FILE:
        raise UsageError(f"has more than {_MAX_FILE} bytes", where=path)
    try:
        found = load_plain(data)
    except UnreadableYamlError as error:
        raise UsageError(f"is not YAML: {error.what}", where=f"{path}:{error.line}") from None
    value = found.get("clusterID", "") if isinstance(found, dict) else ""
    if not isinstance(value, str):
        raise UsageError("clusterID is not a text", where=path)
    return value
