"""Milestones trained on PyTorch, judged by all checks, in processes of their own."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from harness import datasets
from harness.backends import load
from harness.session import Request, run_session
from harness.training import train
from tests.specimens import shipped

if __name__ == "__main__":  # not at the end: without PyTorch this file ends two lines below
    raise SystemExit(pytest.main([__file__, "-q"]))

torch = pytest.importorskip("torch", reason="PyTorch is not installed")

SMALL = ("perceptron", "xor")


def test_every_check_passes_on_pytorch(tmp_path: Path) -> None:
    """Workers are forked from this process, which has imported PyTorch."""
    finished = run_session(Request(SMALL, tmp_path, range(1), jobs=2, backend="torch"))
    card = finished.scorecard
    assert card.engine is not None
    verdicts = [*card.engine.verdicts, *(v for result in card.results for v in result.verdicts)]
    wrong = {v.check: v.reason for v in verdicts if v.status not in ("pass", "skip")}
    assert wrong == {}
    # Only what needs a file on record may be skipped.
    assert {v.check for v in verdicts if v.status == "skip"} <= {"follows_reference"}
    assert [result.milestone for result in card.results] == list(SMALL)
    assert all(result.cost is not None and result.cost.nodes > 0 for result in card.results)


@pytest.mark.parametrize("name", SMALL)
def test_pytorch_learns_as_the_built_in_engine_does(name: str) -> None:
    config = shipped(name).config
    dataset = datasets.load(config)
    mine, other = (train(config, load(engine), dataset, seed=1) for engine in ("torch", "numpy"))
    assert mine.shapes == other.shapes
    assert np.abs(mine.loss - other.loss).max() < 1e-5  # float32, hundreds of steps
    assert mine.final_accuracy == other.final_accuracy
