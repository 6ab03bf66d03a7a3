"""Labs whose clusters are the real kube-apiserver; skipped by name where its programs are not at hand."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from typing import Any

import pytest

from rolecall.lab.home import LabError
from rolecall.lab.kubernetes_real.binaries import Binaries, find_binaries


@pytest.fixture(scope="session")
def binaries() -> Binaries:
    """kube-apiserver and etcd. They are built by `make tools`, and never in the time of a test."""
    try:
        return find_binaries(os.environ)
    except LabError as error:
        if shutil.which("go"):
            # They could be there, so that they are not is no reason to pass over what they would show.
            pytest.fail(f"{error.what}; run: make tools")
        pytest.skip(f"{error.what}, and there is no go to build them")


@pytest.fixture(scope="module")
def lab(binaries: Binaries, start_lab: Callable[..., Any]) -> Any:
    return start_lab("--kubernetes", "real")
