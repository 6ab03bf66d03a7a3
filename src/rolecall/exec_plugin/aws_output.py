"""The AWS CLI's output formats of a token, for ``--output`` and ``--query``.

Source: AWS CLI user guide, "Setting the output format", "Filtering output"; ``awscli/text.py``.
"""

from __future__ import annotations

import json
from typing import Any

from rolecall.exec_plugin.arguments import UsageError


def render(answer: dict[str, object], form: str, query: str | None) -> str:
    """An answer as ``json``, ``yaml`` or ``text``, after a JMESPath query.

    :raises UsageError: if the query is not an expression.
    """
    found: Any = answer
    if query:
        import jmespath

        try:
            found = jmespath.search(query, answer)
        except (jmespath.exceptions.JMESPathError, RecursionError) as error:
            line = " ".join(str(error).split())[:200]
            raise UsageError(f"the query is not a JMESPath expression: {line}") from None
    if form == "json":
        return "" if found is None else json.dumps(found, indent=4, ensure_ascii=False) + "\n"
    if form == "yaml":
        import yaml

        return yaml.safe_dump(found, sort_keys=False, allow_unicode=True)
    return "\n".join(_lines(found, "")) + "\n"


def _lines(value: Any, name: str) -> list[str]:
    """A row for the scalars of an object, sorted by name; then a row for each object in it, its name first."""
    if isinstance(value, dict):
        scalars = [_scalar(value[key]) for key in sorted(value) if not isinstance(value[key], dict | list)]
        rows = ["\t".join([name.upper(), *scalars] if name else scalars)] if scalars else []
        for key in sorted(value):
            if isinstance(value[key], dict | list):
                rows += _lines(value[key], key)
        return rows
    if isinstance(value, list):
        if all(not isinstance(item, dict | list) for item in value):
            row = [_scalar(item) for item in value]
            return ["\t".join([name.upper(), *row] if name else row)] if row else []
        return [row for item in value for row in _lines(item, name)]
    return [_scalar(value)]


def _scalar(value: Any) -> str:
    return "None" if value is None else str(value)
