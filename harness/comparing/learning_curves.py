"""How fast a training learns: the steps that its loss takes to fixed levels.

Levels, not a target: they speak for the whole way down, also where no target is reached.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from harness.statistics import times_to

# Shares of what the loss has fallen by half-time. After that a run of half the speed would
# get nowhere, and one that is a little slower would be taken for much slower.
SHARES = np.linspace(0.3, 1.0, 8)
# In trainings: what stands for a level that is never reached.
NEVER = 2.0
# The loss counts as its mean over so much of the training: an easy batch is no progress.
WINDOW = 0.02


def loss_levels(losses: Sequence[np.ndarray], planned_steps: int) -> np.ndarray | None:
    """The loss levels to reach, from the median of whole trainings; None where it does not fall.

    Of each loss curve the lowest so far counts: what was learned once was learned.
    """
    whole = [smoothed(loss, planned_steps) for loss in losses if is_whole(loss, planned_steps)]
    if not whole:
        return None
    median = np.median(np.minimum.accumulate(np.stack(whole), axis=1), axis=0)
    start, half_time = median[0], median[(planned_steps - 1) // 2]
    levels: np.ndarray = start - SHARES * (start - half_time)
    return levels if start > half_time else None


def log_steps(levels: np.ndarray, loss: np.ndarray, planned_steps: int) -> float:
    """log2 of the mean number of steps to the levels; a run that is not whole reaches none.

    The mean before the logarithm: early levels are a matter of where the weights happen to
    start, and must not weigh as much as the rest of the way.
    """
    never = NEVER * planned_steps
    if not is_whole(loss, planned_steps):
        return math.log2(never)
    steps = np.arange(1, len(loss) + 1)
    times = times_to(levels, steps, smoothed(loss, planned_steps), never)
    return math.log2(float(times.mean()))


def is_whole(loss: np.ndarray, planned_steps: int) -> bool:
    """Whether a training took all its steps and stayed among the numbers."""
    return len(loss) >= planned_steps > 0 and bool(np.isfinite(loss).all())


def smoothed(loss: np.ndarray, planned_steps: int) -> np.ndarray:
    """At each step the mean of the last losses, of those that there are at the start."""
    window = max(1, int(WINDOW * planned_steps))
    sums = np.concatenate([[0.0], np.cumsum(loss)])
    ends = np.arange(1, len(loss) + 1)
    starts = np.maximum(ends - window, 0)
    means: np.ndarray = (sums[ends] - sums[starts]) / (ends - starts)
    return means
