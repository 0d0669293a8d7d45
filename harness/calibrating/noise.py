"""How much two runs of a right engine differ, and how many seeds a comparison needs for that.

Measured against twins of the calibrated runs, which differ by rounding only. A comparison of
branches takes it as what is known beforehand.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from functools import wraps
from typing import Any

import numpy as np

from harness import backends, datasets
from harness.backends.base import Backend, Factory
from harness.comparing.decisions import ALPHA_LEARNING, FINAL, SPEED, Quantity
from harness.comparing.learning_curves import log_steps, loss_levels
from harness.config import MilestoneConfig
from harness.executors import IsolatedExecutor
from harness.on_record import Json
from harness.record import RunRecord
from harness.statistics import power_of
from harness.training import train

# Standard deviations by quantity and by kind of noise.
Noise = Mapping[str, Mapping[str, float]]

# With fewer than 16, the scale that a sample has of itself is too coarse: what changes a run has
# more noise than twins have, and must be seen by that scale alone.
_CHOICES = (16, 20, 24, 28, 32, 40, 48, 56, 64)
# How often the planned effect must be seen.
_WANTED = ((SPEED, 0.99), (FINAL, 0.95))
# A change costs some seeds more than others, which no twin shows: in points of accuracy, 0.9 with
# half the learning rate on the cnn, less on others.
_OF_A_CHANGE = {SPEED: 0.0, FINAL: 0.9}
# Five milestones, three quantities, two directions: what Holm's rule starts from.
_TESTS = 30


def comparison(
    config: MilestoneConfig, records: Sequence[RunRecord], twins: Sequence[RunRecord]
) -> Json:
    """What a comparison of branches must know of a milestone, from runs and their twins.

    "same" is the standard deviation of a run's difference from its twin, "other" that of the
    difference between runs of two seeds: log2 of steps, and points of accuracy. "missed" is
    the share of seeds that end below the target. {} when the loss never falls.
    """
    planned = records[0].planned_steps
    levels = loss_levels([record.loss for record in records], planned)
    if levels is None or len(records) < 2:
        return {}
    of: dict[Quantity, Callable[[RunRecord], float]] = {
        SPEED: lambda record: log_steps(levels, record.loss, planned),
        FINAL: lambda record: 100.0 * record.final_accuracy,
    }
    noise: Noise = {quantity.name: _noise(value, records, twins) for quantity, value in of.items()}
    missed = sum(not record.final_accuracy >= config.targets.accuracy for record in records)
    return {
        "seeds": seeds_needed(noise),
        "noise": noise,
        "missed": round(missed / len(records), 5),
    }


def _noise(
    value: Callable[[RunRecord], float], records: Sequence[RunRecord], twins: Sequence[RunRecord]
) -> dict[str, float]:
    ours, theirs = (np.array([value(record) for record in side]) for side in (records, twins))
    same = float(np.std(theirs - ours, ddof=1))
    other = math.sqrt(2.0) * float(np.std(ours, ddof=1))
    return {"same": round(same, 5), "other": round(other, 5)}


def seeds_needed(noise: Noise) -> dict[str, int]:
    """How many seeds a comparison needs by default, for each kind of noise.

    At most 64: some effects between different starts want more than anyone waits for.
    """
    return {
        stream: max(
            _smallest(quantity, _spread(noise, quantity, stream), power)
            for quantity, power in _WANTED
        )
        for stream in ("same", "other")
    }


def _spread(noise: Noise, quantity: Quantity, stream: str) -> float:
    known = max(noise[quantity.name][stream], quantity.floor)
    return math.hypot(known, _OF_A_CHANGE[quantity])


def _smallest(quantity: Quantity, spread: float, power: float) -> int:
    alpha = ALPHA_LEARNING / _TESTS
    seen = (
        n
        for n in _CHOICES
        if power_of(quantity.planned, quantity.margin, spread, n, alpha) >= power
    )
    return next(seen, _CHOICES[-1])


def train_twins(
    config: MilestoneConfig, seeds: Sequence[int], jobs: int, backend: str
) -> list[RunRecord]:
    """The twins of the runs on these seeds, in their order; raises JobError when one fails."""
    executor = IsolatedExecutor(jobs)
    try:
        return [f.result() for f in [executor.submit(_twin, config, s, backend) for s in seeds]]
    finally:
        executor.shutdown(cancel_futures=True)


def _twin(config: MilestoneConfig, seed: int, backend: str) -> RunRecord:
    return train(config, one_bit_off(backends.load(backend)), datasets.load(config), seed)


def one_bit_off(backend: Backend) -> Backend:
    """The same engine, but every number that is trained starts in the next bits above.

    Stands for any other right order of the same operations: from equal batches, all that
    follows differs by rounding.
    """
    changed = copy(backend)

    def nudged(factory: Factory) -> Factory:
        @wraps(factory)
        def make(*args: Any, **kwargs: Any) -> Any:  # whatever the layer takes and is
            layer = factory(*args, **kwargs)
            for parameter in changed.parameters(layer).values():
                (array,) = changed.arrays([parameter])
                changed.set_value(parameter, np.nextafter(array, array.dtype.type(np.inf)))
            return layer

        return make

    layers = {name: nudged(factory) for name, factory in backend.namespace.layers.items()}
    changed.namespace = replace(backend.namespace, layers=layers)
    return changed
