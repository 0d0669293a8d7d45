"""Sides made of loss curves and accuracies, for tests of what a comparison says of learning."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from harness.comparing.side import Side
from harness.comparison import Source
from harness.scorecard import Accuracy, Loss, Result, Tensors
from tests.examples import scorecard_of

CONFIG = "c" * 64  # that of "small" in the provenance of scorecard_of
TARGET = 0.9
STEPS = 40  # so few that no loss is smoothed


@dataclass(frozen=True)
class Run:
    """One training; an accuracy of None was not measured, a loss of None not kept."""

    loss: np.ndarray | None
    accuracy: float | None = 1.0
    planned_steps: int = STEPS
    is_error: bool = False


def side(runs: Mapping[str, Sequence[Run]]) -> Side:
    """A side on which the seeds of each milestone are 0, 1, 2, ..."""
    pairs = [(name, seed, run) for name in runs for seed, run in enumerate(runs[name])]
    return Side(
        Source(name="a side", kind="scorecard"),
        scorecard_of(*(_result(name, seed, run) for name, seed, run in pairs)),
        {f"{name}/{seed}/loss": run.loss for name, seed, run in pairs if run.loss is not None},
    )


def _result(name: str, seed: int, run: Run) -> Result:
    return Result(
        milestone=name,
        title=name,
        year=1986,
        seed=seed,
        backend="numpy",
        status="error" if run.is_error else "pass",
        verdicts=[],
        tensors=Tensors(expected=1, must_move=1),
        accuracy=Accuracy(held_out=run.accuracy, target=TARGET),
        loss=Loss(),
        steps=run.planned_steps if run.loss is None else len(run.loss),
        planned_steps=run.planned_steps,
    )


def falling(slope: float, steps: int = STEPS) -> np.ndarray:
    """The loss 1 - slope * step: twice as slow with half the slope, exactly."""
    loss: np.ndarray = 1.0 - slope * np.arange(1, steps + 1)
    return loss
