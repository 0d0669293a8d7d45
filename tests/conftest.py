"""What every test gets: Hypothesis profiles, a generator, and a guard over numpy's global state."""

from __future__ import annotations

import os
from collections.abc import Iterator

# Before numpy is imported: at these sizes a second BLAS thread only waits for the first.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Every run but the nightly one draws the same examples, so that a failure is never chance.
# No health check and no deadline looks at the clock: a busy machine is not a bug.
for _name, _examples in {"dev": 10, "default": 50, "nightly": 500}.items():
    settings.register_profile(
        _name,
        max_examples=_examples,
        derandomize=_name != "nightly",
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "default"))


@pytest.fixture
def rng() -> np.random.Generator:
    """The same stream for every test."""
    return np.random.default_rng(0)


@pytest.fixture(autouse=True)
def _global_random_state_stays() -> Iterator[None]:
    """Fails a test that draws from numpy's global stream or seeds it."""
    before = np.random.get_state()
    yield
    unchanged = all(map(np.array_equal, np.random.get_state(), before))
    assert unchanged, "numpy's global random state has changed: draw from `rng` instead"
