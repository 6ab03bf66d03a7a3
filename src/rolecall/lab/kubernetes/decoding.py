"""From a body to an object: JSON or YAML, duplicate and unknown fields, types; as strictly as the client asked.

Source: Kubernetes documentation, "Kubernetes API Concepts", field validation.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rolecall.lab.kubernetes.schemas import Schema, resolve
from rolecall.lab.kubernetes.status import StatusError, bad_request

STRICT, WARN, IGNORE = "Strict", "Warn", "Ignore"
MAX_DEPTH = 100
MAX_PROBLEMS = 20
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    "object": (dict,),
    "array": (list,),
}


def load_json(body: bytes) -> tuple[Any, list[str]]:
    """The value in a JSON body and the keys that are given twice in one object."""
    doubles: list[str] = []

    def pairs(items: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(items)
        if len(found) != len(items):
            seen: set[str] = set()
            doubles.extend(key for key, _ in items if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        return found

    try:
        return json.loads(body, object_pairs_hook=pairs, parse_constant=_no_constant), doubles
    except (ValueError, RecursionError) as error:
        raise bad_request(f"couldn't get version/kind; json parse error: {str(error)[:120]}") from None


def load_yaml(body: bytes) -> Any:
    """The value in a YAML body: what server-side apply sends."""
    import yaml

    from rolecall.mapping.reading.bounded_yaml import UnreadableYamlError, check_bounds

    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        # Anchors could make a small text a huge object; no client sends them.
        check_bounds(body)
        if any(isinstance(event, yaml.AliasEvent) for event in yaml.parse(body, Loader=loader)):
            raise bad_request("YAML aliases are not accepted")
        return yaml.load(body, Loader=loader)  # noqa: S506 -- a safe loader
    except UnreadableYamlError as error:
        raise bad_request(f"error decoding YAML: {error}") from None
    except (yaml.YAMLError, ValueError) as error:
        raise bad_request(f"error decoding YAML: {str(error).splitlines()[0][:120]}") from None


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")


def checked(
    found: Mapping[str, Any], schema: Schema, mode: str, doubles: list[str], *, is_custom: bool = False
) -> tuple[dict[str, Any], list[str]]:
    """The object without unknown fields, and warnings; a refusal where ``mode`` is strict.

    A value of the wrong type is refused in every mode; in a custom resource that is left to :func:`violations`.
    """
    problems = [f'duplicate field "{key}"' for key in doubles]
    unknown: list[str] = []
    pruned = _prune(found, resolve(schema), "", unknown, "" if is_custom else found.get("kind", ""), 0)
    problems += [f'unknown field "{path}"' for path in unknown]
    if problems and mode == STRICT:
        raise bad_request(f"{_cannot(found)}: strict decoding error: " + ", ".join(problems[:MAX_PROBLEMS]))
    return pruned, problems[:MAX_PROBLEMS] if mode == WARN else []


def _cannot(found: Mapping[str, Any]) -> str:
    kind, version = found.get("kind", ""), str(found.get("apiVersion", "")).rpartition("/")[2]
    return f'{kind} in version "{version}" cannot be handled as a {kind}'


def _prune(value: Any, schema: Schema, path: str, unknown: list[str], kind: str, depth: int) -> Any:
    if depth > MAX_DEPTH:
        raise bad_request("the object is nested too deeply")
    if value is None:
        return None
    if kind or path.startswith("metadata"):
        _check_type(value, schema, path, kind)
    if isinstance(value, dict):
        return _prune_object(value, schema, path, unknown, kind, depth)
    if isinstance(value, list):
        items = resolve(schema.get("items", {}))
        return [_prune(item, items, f"{path}[{i}]", unknown, kind, depth + 1) for i, item in enumerate(value)]
    return value


def _prune_object(
    value: Mapping[str, Any], schema: Schema, path: str, unknown: list[str], kind: str, depth: int
) -> dict[str, Any]:
    properties, extra = schema.get("properties"), schema.get("additionalProperties")
    open_ended = schema.get("x-kubernetes-preserve-unknown-fields") or (properties is None and extra is None)
    found = {}
    for key, item in value.items():
        where = f"{path}.{key}" if path else key
        if properties is not None and key in properties:
            inner = resolve(properties[key])
        elif isinstance(extra, Mapping):
            inner = resolve(extra)
        elif open_ended or extra is True:
            inner = {}
        else:
            unknown.append(where)
            continue
        if item is not None:
            found[key] = _prune(item, inner, where, unknown, kind, depth + 1)
    return found


def _has_type(value: Any, schema: Schema) -> bool:
    if schema.get("x-kubernetes-int-or-string"):
        wanted: tuple[type, ...] = (int, str)
    else:
        wanted = _TYPES.get(schema.get("type", ""), ())
    return not wanted or (isinstance(value, wanted) and not (isinstance(value, bool) and bool not in wanted))


def _json_type(value: Any) -> str:
    """The name that a JSON schema has for a value's type."""
    return next(name for name, types in _TYPES.items() if type(value) in types)


def _check_type(value: Any, schema: Schema, path: str, kind: str) -> None:
    if not _has_type(value, schema):
        raise StatusError(
            400,
            "BadRequest",
            f'{kind} in version "v1" cannot be handled as a {kind}: json: cannot unmarshal {_json_name(value)} into Go '
            f"struct field {path or 'the object'} of type {schema.get('type', 'integer or string')}",
        )


def _json_name(value: Any) -> str:
    names: tuple[tuple[type, str], ...] = (
        (bool, "bool"),
        (int, "number"),
        (float, "number"),
        (str, "string"),
        (list, "array"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "object")


def violations(value: Any, schema: Schema, path: str = "") -> Iterator[tuple[str, str, str]]:
    """What a custom resource's schema forbids: reason, field and sentence.

    ``pattern`` is not enforced: its regular expressions come from the author of the definition, and one that takes
    exponential time would stop the whole lab.
    """
    schema = resolve(schema)
    if value is not None and not _has_type(value, schema):
        wanted, shown = schema.get("type", "integer,string"), json.dumps(_json_type(value))
        yield "FieldValueTypeInvalid", path, f"Invalid value: {shown}: {path} in body must be of type {wanted}: {shown}"
        return
    if isinstance(value, dict):
        for name in schema.get("required", ()):
            if value.get(name) is None:
                yield "FieldValueRequired", f"{path}.{name}".lstrip("."), "Required value"
        for key, item in value.items():
            inner = schema.get("properties", {}).get(key) or schema.get("additionalProperties")
            if isinstance(inner, Mapping):
                yield from violations(item, inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from violations(item, schema.get("items", {}), f"{path}[{index}]")
    yield from _limits(value, schema, path)


def _limits(value: Any, schema: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    if "enum" in schema and value not in schema["enum"]:
        supported = ", ".join(json.dumps(one) for one in schema["enum"])
        yield "FieldValueNotSupported", path, f"Unsupported value: {json.dumps(value)}: supported values: {supported}"
    if isinstance(value, str | list | dict):
        yield from _size(value, schema, path)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        if value < schema.get("minimum", value):
            yield _wrong(value, path, f"should be greater than or equal to {schema['minimum']}")
        if value > schema.get("maximum", value):
            yield _wrong(value, path, f"should be less than or equal to {schema['maximum']}")


def _size(value: str | list[Any] | dict[str, Any], schema: Schema, path: str) -> Iterator[tuple[str, str, str]]:
    if isinstance(value, str):
        if len(value) < schema.get("minLength", 0):
            yield _wrong(value, path, f"should be at least {schema['minLength']} chars long")
        if len(value) > schema.get("maxLength", len(value)):
            yield "FieldValueTooLong", path, f"Too long: may not be more than {schema['maxLength']} bytes"
        return
    suffix = "Items" if isinstance(value, list) else "Properties"
    if len(value) < schema.get(f"min{suffix}", 0):
        yield _wrong(value, path, f"should have at least {schema[f'min{suffix}']} {suffix.lower()}")
    if len(value) > (most := schema.get(f"max{suffix}", len(value))):
        yield "FieldValueTooMany", path, f"Too many: {len(value)}: must have at most {most} items"


def _wrong(value: Any, path: str, why: str) -> tuple[str, str, str]:
    """The sentence of kube-openapi ``pkg/validation/errors/schema.go``."""
    return "FieldValueInvalid", path, f"Invalid value: {json.dumps(value)}: {path} in body {why}"


def with_defaults(value: Any, schema: Schema) -> Any:
    """A custom resource with the defaults of its schema filled in."""
    schema = resolve(schema)
    if isinstance(value, dict):
        found = dict(value)
        for key, inner in schema.get("properties", {}).items():
            if key not in found and "default" in inner:
                found[key] = inner["default"]
            if key in found:
                found[key] = with_defaults(found[key], inner)
        return found
    if isinstance(value, list):
        return [with_defaults(item, schema.get("items", {})) for item in value]
    return value
