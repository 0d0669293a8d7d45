"""What every test gets: Hypothesis profiles, a generator, the command, and a guard over numpy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

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


@pytest.fixture
def harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs the command in an empty folder: (exit code, stdout, stderr)."""
    from harness import cli

    monkeypatch.chdir(tmp_path)

    def call(*arguments: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["harness", *arguments])
        capsys.readouterr()
        with pytest.raises(SystemExit) as caught:
            cli.main()
        said = capsys.readouterr()
        return int(caught.value.code or 0), said.out, said.err

    return call
