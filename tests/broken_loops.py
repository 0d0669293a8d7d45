"""Training loops that are broken on purpose, and what the probe of steps sees of them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from harness import datasets
from harness.backends import load
from harness.config import MilestoneConfig
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.milestone import steps
from harness.probes.models.specimen import Specimen
from harness.probes.runs.short_run import changed
from harness.training import Learner
from tests.examples import small_config

Rows = list[Measurement]
Plant = Callable[[Ground], None]

LOOP = "the training loop"


def nothing(ground: Ground) -> None:
    """A healthy engine."""


def measured(found: MilestoneConfig, plant: Plant = nothing, seed: int = 0) -> Rows:
    """What the probe sees of a milestone when this is planted."""
    ground = Ground(load("numpy"))
    try:
        plant(ground)
        specimen = Specimen(found, ground.backend, datasets.load(found), seed)
        with np.errstate(all="ignore"):  # as all probes are run
            return list(steps.measure(specimen))
    finally:
        ground.restore()


def wrong(rows: Rows) -> Rows:
    return [row for row in rows if not row.error <= 1e-4]


def small(**settings: Any) -> MilestoneConfig:
    """Two layers that learn AND, with some settings of their training changed."""
    return changed(small_config(), **settings)


def after_backward(change: Callable[[Learner, int], None]) -> Plant:
    """The loop does something more, once gradients are there; it is told the step, from 0."""
    right, taken = Learner.backward, [0]

    def backward(self: Learner, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        seen = right(self, x, y)
        change(self, taken[0])
        taken[0] += 1
        return seen

    return lambda ground: ground.patch(Learner, "backward", backward)


def around_step(step: Callable[[Learner, float, Callable[[Learner, float], None]], None]) -> Plant:
    """The loop steps like this; it is given the right way."""
    right = Learner.step
    return lambda ground: ground.patch(Learner, "step", lambda self, done: step(self, done, right))
