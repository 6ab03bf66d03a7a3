"""Plain data as YAML for programs: texts are quoted by the one rule of :mod:`rolecall.yaml_scalars`.

PyYAML quotes what YAML 1.1 takes for another value, and leaves ``y``, ``1e3`` and ``089123456789`` as they are, which
kubectl and yq take for a boolean and for numbers.
"""

from __future__ import annotations

from typing import Any

import yaml

from rolecall.yaml_scalars import is_plain

_Base: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_Base):  # type: ignore[misc]  # one of two classes, the faster one if it is there
    """The safe dumper with a rule of its own for texts."""


def _represent(dumper: Any, text: str) -> Any:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style=None if is_plain(text) else '"')


_Dumper.add_multi_representer(str, _represent)
_Dumper.add_representer(str, _represent)


def dump_yaml(data: Any) -> str:
    """``data`` as YAML in block style, in its own order."""
    text: str = yaml.dump(data, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=1 << 30)
    return text
