"""Fixtures for all tests; `import cases` and `import oracles` find the modules beside this file."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings

from fastconv import runtime

sys.path.insert(0, str(Path(__file__).parent))

# The same examples at every run: a failure must be the change's doing.
settings.register_profile("fastconv", deadline=None, derandomize=True, database=None)
settings.load_profile("fastconv")


@pytest.fixture(params=runtime.available_isas())
def isa(request: pytest.FixtureRequest) -> Iterator[str]:
    """Every instruction set that this build has and this CPU runs, each active in its turn."""
    with runtime.use_isa(request.param):
        yield request.param
    # NaN if a kernel left values in the MMX registers, which long doubles share.
    assert np.longdouble(2) * 3 == 6


@pytest.fixture(params=(1, 2, 4), ids=lambda n: f"{n}threads")
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    with runtime.threads(request.param):
        yield request.param


@pytest.fixture(params=(np.float32, np.float64), ids=("float32", "float64"))
def dtype(request: pytest.FixtureRequest) -> type[np.floating]:
    return request.param


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(20240229)
