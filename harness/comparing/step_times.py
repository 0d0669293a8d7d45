"""Step times of both sides, measured side by side: is a step slower?

The unit is a restart of both processes: bursts within one are alike, and prove less.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from harness.comparing.decisions import (
    ALPHA_TIMING,
    STEP_TIME,
    Direction,
    alpha_at,
    cell,
    p_values,
    shown,
)
from harness.comparing.side import Timed
from harness.comparison import Cell
from harness.statistics import MeanDifference, mean_difference, t_quantile

# Below this the step time is known well enough, as a share: no more restarts are needed.
ENOUGH = 0.02
# Milestones that share ALPHA_TIMING, each in two directions, when restarts are planned.
_PLANNED_TESTS = 5


def step_time_cells(timings: Mapping[str, Timed], look: int | None = None) -> dict[str, Cell]:
    """The cell of each milestone; Holm's rule runs over all of them, in both directions.

    With `look` 1, 2, ... alpha is spent by halves; None is the only look.
    """
    found = {name: _found(timed) for name, timed in timings.items()}
    tests: dict[tuple[str, Direction], float] = {
        (name, direction): p
        for name, difference in found.items()
        if difference
        for direction, p in p_values(STEP_TIME, difference).items()
    }
    alpha = alpha_at(ALPHA_TIMING, look)
    effects = dict(shown(tests, alpha))
    return {
        name: cell(STEP_TIME, difference, effects.get(name), alpha / len(tests), _note(timed))
        if (difference := found[name])
        else _unmeasured(len(timed.log_ratios))
        for name, timed in timings.items()
    }


def half_width(timed: Timed) -> float:
    """How far the step time is known, as a share: half the interval of its mean log ratio.

    At the level of one test of five milestones; infinite with fewer than two restarts.
    """
    found = _found(timed)
    if found is None:
        return math.inf
    quantile = t_quantile(ALPHA_TIMING / _PLANNED_TESTS, found.samples - 1)
    return math.log(2.0) * max(scale.error for scale in found.scales) * quantile


def _found(timed: Timed) -> MeanDifference | None:
    """In log2, over all restarts that gave a number; None where there are not two."""
    ratios = [ratio / math.log(2.0) for ratio in timed.log_ratios if math.isfinite(ratio)]
    return mean_difference(ratios, STEP_TIME.floor) if len(ratios) > 1 else None


def _note(timed: Timed) -> str:
    base, head = (f"{seconds * 1e6:.3g} us" for seconds in (timed.base_seconds, timed.head_seconds))
    return f"base {base} a step, head {head}"


def _unmeasured(restarts: int) -> Cell:
    note = f"{restarts} restarts gave a time; at least 2 are needed. Is --budget too short?"
    return Cell(quantity="step time", unit="x", verdict="not measured", samples=restarts, note=note)
