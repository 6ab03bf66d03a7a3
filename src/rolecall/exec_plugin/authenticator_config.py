"""What ``token`` and ``verify`` take from the authenticator's configuration file, and the order of what counts.

Source: aws-iam-authenticator v0.7, ``root.go``, ``token.go`` and ``verify.go``: viper finds a
key in any case of letters, and asks the flag first if it is given at all, even empty, then the variable, then the file.
"""

from __future__ import annotations

from rolecall.exec_plugin.arguments import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from rolecall.mapping.reading.bounded_yaml import Node

_MAX_FILE = 1_048_576
# flag, key of the file, variable of the environment
_TEXTS = (
    ("cluster-id", "clusterID", "KUBERNETES_AWS_AUTHENTICATOR_CLUSTER_ID"),
    ("role", "role", "DEFAULT_ROLE"),
    ("external-id", "externalID", ""),
    ("session-name", "sessionName", ""),
    ("region", "region", ""),
)
_SWITCHES = (
    ("token-only", "tokenOnly", ""),
    ("forward-session-name", "forwardSessionName", ""),
    ("cache", "cache", ""),
)
# What `verify` takes besides the cluster's id.
_OF_VERIFY = ("token", "output", "partition")
_TRUE, _FALSE = ("1", "t", "true"), ("0", "f", "false")


def merged(given: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """The flags with what variables and the file of ``--config`` add to them.

    :param given: by key, empty values and ``false`` included: a flag that is given beats the rest.
    :raises UsageError: if the file cannot be read, or a value in it cannot be honoured.
    """
    found = dict(given)
    file = read_config(given["config"]) if given.get("config") else {}
    for flag, key, variable in (*_TEXTS, *_SWITCHES):
        if flag not in found:
            found[flag] = (environ.get(variable) if variable else "") or file.get(key.lower(), "")
    return found


def read_config(path: str) -> dict[str, str]:
    """The keys that ``token`` and ``verify`` take from a file, in lower case; a switch is ``true`` or ``false``.

    :raises UsageError: if the file cannot be read, is not YAML, or a key of these is given twice or is not a text.
    """
    from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, is_null, read_document
    from rolecall.mapping.reading.go_scalars import GoYaml

    try:
        with open(path, "rb") as file:
            data = file.read(_MAX_FILE + 1)
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError("is not UTF-8 text", where=path) from None
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {getattr(error, 'strerror', None) or error}", where=path) from None
    if len(data) > _MAX_FILE:
        raise UsageError(f"has more than {_MAX_FILE} bytes", where=path)
    try:
        document = read_document(text, GoYaml.V3)
        if document.fault is not None:
            raise document.fault
    except UnreadableYamlError as error:
        raise UsageError(f"cannot be read: {error.what}", where=f"{path}:{error.line}") from None
    return {} if document.root is None or is_null(document.root) else _values(document.root, path)


def _values(root: Node, path: str) -> dict[str, str]:
    from rolecall.mapping.reading.bounded_yaml import Kind, duplicate_key, members
    from rolecall.mapping.reading.go_scalars import GoYaml

    if root.kind is not Kind.MAPPING:
        raise UsageError("is not a mapping of keys to values", where=path)
    if again := duplicate_key(root, any_case=True):
        raise UsageError(f"{again[0].value} is given twice", where=f"{path}:{again[0].line}")
    names = {key.lower(): key for _, key, _ in (*_TEXTS, *_SWITCHES)} | {key: key for key in _OF_VERIFY}
    switches = {key.lower() for _, key, _ in _SWITCHES}
    found: dict[str, str] = {}
    for spelled, (key, value) in members(root, GoYaml.V3).items():
        name, where = spelled.lower(), f"{path}:{key.line}"
        if name in names:
            found[name] = _switch(names[name], value, where) if name in switches else _text(names[name], value, where)
    return found


def _text(key: str, node: Node, where: str) -> str:
    """A value as viper has it as a text: ``no`` and ``on`` are texts to it, and so is a plain number."""
    from rolecall.mapping.reading.bounded_yaml import Kind
    from rolecall.mapping.reading.go_scalars import GoYaml, Timestamp, scalar_value

    value = scalar_value(node, GoYaml.V3, strict=False) if node.kind is Kind.SCALAR else False
    if value is None:
        return ""
    if isinstance(value, str) and not isinstance(value, Timestamp):
        return value
    if type(value) is int and str(value) == node.value:
        return node.value
    raise UsageError(f"{key} is not a text", where=where, advice="write it in quotation marks")


def _switch(key: str, node: Node, where: str) -> str:
    from rolecall.mapping.reading.bounded_yaml import Kind, is_null

    text = node.value.lower() if node.kind is Kind.SCALAR else "?"
    if is_null(node) or text in _FALSE:
        return "false"
    if text not in _TRUE:
        raise UsageError(f"{key} is not true or false", where=where)
    return "true"
