"""Accept or refuse: every probe of the endpoint, each with its source in AWS's documentation."""

from __future__ import annotations

from typing import Any

import pytest
from botocore.exceptions import ClientError

from probes.assume_role import ASSUME
from probes.clusters import CLUSTERS
from probes.objects import OBJECTS
from probes.policies import POLICIES
from probes.signatures import KEYS, SIGNATURES
from probes.tokens import TOKENS
from probes.world import OK, Probe, World

PROBES = (*SIGNATURES, *KEYS, *POLICIES, *ASSUME, *TOKENS, *CLUSTERS, *OBJECTS)


@pytest.mark.parametrize("probe", PROBES, ids=lambda probe: probe.name)
def test_probe(lab: Any, probe: Probe) -> None:
    world = World(lab)
    try:
        answer = probe.act(world)
    except ClientError as error:
        answer = error.response["Error"]["Code"]
    if not isinstance(answer, str):
        answer = OK
    assert answer == probe.expect, probe.source


def test_there_are_at_least_150_probes_each_with_a_source() -> None:
    assert len(PROBES) >= 150
    assert len({probe.name for probe in PROBES}) == len(PROBES)
    assert all(probe.source for probe in PROBES)
