"""What ``token`` takes from the configuration file of the authenticator, and which of flag, variable and file counts.

Source: aws-iam-authenticator v0.7 ``cmd/aws-iam-authenticator/root.go`` and ``token.go``: viper, which finds a key in
any case of letters, and asks the flag first if it is given at all, even empty, then the variable, then the file.
"""

from __future__ import annotations

from rolecall.exec_plugin.arguments import UsageError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from yaml import Node

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
    """The keys that ``token`` takes from a file, in lower case; a switch is ``true`` or ``false``.

    :raises UsageError: if the file cannot be read, is not YAML, or a key of these is given twice or is not a text.
    """
    from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, compose

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
        root = compose(text)
    except UnreadableYamlError as error:
        raise UsageError(f"cannot be read: {error.what}", where=f"{path}:{error.line}") from None
    return {} if root is None else _values(root, path)


def _values(root: Node, path: str) -> dict[str, str]:
    if not isinstance(root.value, list) or root.tag != "tag:yaml.org,2002:map":
        raise UsageError("is not a mapping of keys to values", where=path)
    names = {key.lower(): key for _, key, _ in (*_TEXTS, *_SWITCHES)}
    switches = {key.lower() for _, key, _ in _SWITCHES}
    found: dict[str, str] = {}
    for key, value in root.value:
        name = key.value.lower() if isinstance(key.value, str) else ""
        where = f"{path}:{key.start_mark.line + 1}"
        if name not in names:
            continue
        if name in found:
            raise UsageError(f"{key.value} is given twice", where=where)
        found[name] = _switch(names[name], value, where) if name in switches else _text(names[name], value, where)
    return found


def _text(key: str, value: Node, where: str) -> str:
    """A value as viper has it as a text: ``no`` and ``on`` are texts to Go's YAML, and a plain number to viper."""
    kind = value.tag.rpartition(":")[2]
    text = value.value if isinstance(value.value, str) else ""
    is_word = kind == "bool" and text.lower() not in ("true", "false")
    is_number = kind == "int" and text.isdecimal() and (text == "0" or not text.startswith("0"))
    if kind == "null":
        return ""
    if (kind == "str" and not _is_number_to_go(value, text)) or is_word or is_number:
        return text
    raise UsageError(f"{key} is not a text", where=where, advice="write it in quotation marks")


def _is_number_to_go(value: Node, text: str) -> bool:
    """Whether Go's YAML 1.2 reads a plain scalar as a number that is a text in YAML 1.1: ``1e3``, ``0o17``."""
    if getattr(value, "style", None) in ("'", '"', "|", ">") or text[:1] not in "+-.0123456789":
        return False
    if text[:2] == "0o":
        return text[2:].isalnum()
    try:
        float(text)
    except ValueError:
        return False
    return True


def _switch(key: str, value: Node, where: str) -> str:
    text = value.value.lower() if isinstance(value.value, str) else "?"
    if value.tag.rpartition(":")[2] == "null" or text in _FALSE:
        return "false"
    if text not in _TRUE:
        raise UsageError(f"{key} is not true or false", where=where)
    return "true"
