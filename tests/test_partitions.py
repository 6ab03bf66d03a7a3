"""Region names, read without regular expressions and with them."""

from __future__ import annotations

import hypothesis.strategies as st
import pytest
from botocore.session import Session
from hypothesis import given

from rolecall.partitions import PARTITIONS, partition_of_region

words = st.sampled_from(
    ["us", "eu", "gov", "iso", "isob", "isoe", "cn", "eusc", "de", "east", "west_2", "1", "10", "", "é", "²", "x.y"]
)


@given(st.one_of(st.lists(words, max_size=5).map("-".join), st.text(max_size=20)))
def test_both_readings_of_a_region_agree(text: str) -> None:
    for partition in PARTITIONS.values():
        assert partition.has_region(text) == bool(partition.region_pattern.fullmatch(text))


@pytest.mark.parametrize("name", list(PARTITIONS))
def test_botocores_regions_are_of_their_partition(name: str) -> None:
    for region in Session().get_available_regions("sts", partition_name=name):
        found = partition_of_region(region)
        assert found is not None
        assert found.name == name, region
