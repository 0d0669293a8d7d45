"""Twins are trained for real: equal but for rounding; and a calibration says what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness.calibrating import calibrate
from harness.calibrating.noise import train_twins
from harness.executors import IsolatedExecutor
from harness.runner import Job, run
from harness.session import prepared
from tests.examples import small_file

# The worker processes of pytest-xdist have a thread of their own while they fork.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")


@pytest.mark.parametrize("name", ["perceptron", "xor"])
def test_twins_differ_by_rounding_and_no_more(name: str) -> None:
    (outline,) = prepared([name], "numpy")
    executor = IsolatedExecutor(1)
    try:
        jobs = [Job(outline.config, seed, checks=frozenset()) for seed in (0, 1)]
        found = sorted(run(jobs, executor, 1), key=lambda outcome: outcome.job.seed)
    finally:
        executor.shutdown(cancel_futures=True)
    for outcome, twin in zip(found, train_twins(outline.config, (0, 1), 1, "numpy"), strict=True):
        assert outcome.record is not None
        assert twin.seed == outcome.record.seed
        assert twin.digest != outcome.record.digest
        np.testing.assert_allclose(twin.loss, outcome.record.loss, rtol=1e-4, atol=1e-6)


def test_a_calibration_says_what_a_comparison_needs(tmp_path: Path) -> None:
    (outline,) = prepared([str(small_file(tmp_path))], "numpy")
    found = calibrate(outline, seeds=4, control_seeds=1, jobs=1)["comparison"]
    assert set(found) == {"seeds", "noise", "missed"}
    assert found["missed"] == 0.0
    speed = found["noise"]["learning speed"]
    assert speed["same"] < 1e-3 < speed["other"]
    assert found["noise"]["final accuracy"] == {"same": 0.0, "other": 0.0}
    assert min(found["seeds"].values()) >= 16


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
