"""A person's home, and an STS that counts."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from exec_plugin_person import Person
from sts_double import StsDouble, sts_double


@pytest.fixture
def person(tmp_path: Path) -> Person:
    found = Person(tmp_path)
    found.write()
    return found


@pytest.fixture
def sts(person: Person) -> Iterator[StsDouble]:
    with sts_double() as double:
        person.variables |= {"AWS_ENDPOINT_URL_STS": double.endpoint, "AWS_REGION": "eu-west-2"}
        yield double
