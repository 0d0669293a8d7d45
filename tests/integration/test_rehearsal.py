"""An engine that dies in a forward pass costs its own milestone, before anything is trained."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from harness import runner
from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.errors import ConfigError
from harness.preparation import Outline, prepare
from harness.session import Request, run_session
from tests.examples import small_file

pytestmark = [
    pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning"),
    pytest.mark.skipif(not hasattr(os, "fork"), reason="the patch reaches children by fork"),
]


def misbehave(config: MilestoneConfig, backend: Backend) -> Outline:
    """By the name of the milestone: hang, die, raise, or prepare it."""
    if config.name == "hangs":
        signal.pause()
    if config.name == "dies":
        os._exit(9)
    if config.name == "raises":
        raise AttributeError("no such thing")
    return prepare(config, backend)


def test_each_mishap_is_the_result_of_its_own_milestone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner, "prepare", misbehave)
    names = ["hangs", "dies", "raises", "good"]
    files = [str(small_file(tmp_path, name=name)) for name in names]

    finished = run_session(Request(files, tmp_path / "out", range(2), jobs=2, timeout=3.0))

    results = finished.scorecard.results
    assert [result.milestone for result in results] == [n for n in names for _ in range(2)]
    assert [result.status for result in results] == ["error"] * 6 + ["pass"] * 2
    reasons = [result.verdicts[0].reason for result in results[:6:2]]
    assert reasons[0] == "it was stopped after 3 s"
    assert reasons[1] == "its process ended with exit code 9 and no result"
    assert reasons[2].startswith("it raised AttributeError: no such thing")


def test_config_at_fault_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    good = small_file(tmp_path)
    bad = small_file(tmp_path, ("in_features: 4,", "in_features: 5,"), name="bad")

    with pytest.raises(ConfigError, match=r"bad\.yaml:.*Linear does not fit its input"):
        run_session(Request([str(good), str(bad)], tmp_path / "out", range(1), jobs=1))

    assert not (tmp_path / "out").exists()


def test_optimizer_that_refuses_its_arguments_is_a_config_error(tmp_path: Path) -> None:
    file = small_file(tmp_path, ("  lr: 1.0\n", "  lr: 1.0\n  nesterov: true\n"))

    with pytest.raises(ConfigError, match=r"training.optimizer: SGD: .*nesterov needs a momentum"):
        run_session(Request([str(file)], tmp_path / "out", range(1), jobs=1))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
