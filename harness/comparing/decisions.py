"""From an estimate to a cell with a verdict: margins, the effect that is planned for, and alpha."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeVar

from harness.comparison import Cell, CellVerdict
from harness.statistics import MeanDifference, holm

# How often unchanged code may be accused, in all cells together: 1 % of all comparisons.
ALPHA_LEARNING = 0.0075
ALPHA_TIMING = 0.0025
# Of each bound by itself. Between the two lies the effect in nine comparisons of ten.
CONFIDENCE = 0.95

Direction = Literal["worse", "better"]
Key = TypeVar("Key")


@dataclass(frozen=True)
class Quantity:
    """What is compared, on the scale that it is tested on: log2 of a factor, or points.

    `margin` is too small to matter, `planned` is the effect that must not go unseen, and no
    standard deviation counts as less than `floor`. `worse` is the sign of a change for the worse.
    """

    name: Literal["learning speed", "final accuracy", "step time"]
    unit: Literal["x", "points"]
    margin: float
    planned: float
    floor: float
    worse: Literal[1, -1]


SPEED = Quantity("learning speed", "x", math.log2(1.25), math.log2(2.0), 0.05, 1)
FINAL = Quantity("final accuracy", "points", 1.0, 2.0, 0.2, -1)
STEP_TIME = Quantity("step time", "x", math.log2(1.03), math.log2(1.1), 0.001, 1)


def alpha_at(alpha: float, look: int | None) -> float:
    """What this look at growing samples may spend: a half, a quarter, ... or all at the only one.

    All looks together spend no more than `alpha`: Bonferroni over the looks.
    """
    return alpha if look is None else alpha * 2.0**-look


def p_values(quantity: Quantity, found: MeanDifference) -> dict[Direction, float]:
    """Against "no worse than the margin", and against "no better than it"."""
    up, down = found.p_above(quantity.margin), found.p_below(quantity.margin)
    return {"worse": up, "better": down} if quantity.worse > 0 else {"worse": down, "better": up}


def shown(tests: Mapping[Key, float], alpha: float) -> set[Key]:
    """Which of all tests show an effect, by Holm's rule."""
    falls = holm(list(tests.values()), alpha)
    return {key for key, fall in zip(tests, falls, strict=True) if fall}


def cell(
    quantity: Quantity,
    found: MeanDifference,
    verdict: CellVerdict | None,
    alpha: float,
    note: str = "",
) -> Cell:
    """The cell of a quantity; without a verdict of the tests, bounds tell "same" from unknown.

    `alpha` is that of one test, for the smallest effect that it would show.
    """
    p = p_values(quantity, found)
    low, high = found.bounds(CONFIDENCE)
    return Cell(
        quantity=quantity.name,
        unit=quantity.unit,
        verdict=verdict or ("same" if is_settled(quantity, found) else "inconclusive"),
        samples=found.samples,
        estimate=_shown(quantity, found.mean),
        low=_shown(quantity, low),
        high=_shown(quantity, high),
        confidence=2.0 * CONFIDENCE - 1.0,
        margin=_distance(quantity, quantity.margin),
        detectable=_distance(quantity, found.detectable(quantity.margin, alpha)),
        p_worse=p["worse"],
        p_better=p["better"],
        note=note,
    )


def is_settled(quantity: Quantity, found: MeanDifference) -> bool:
    """Whether the effect that must not go unseen is ruled out, for the worse.

    Not so where all that is plausible lies beyond the margin, in either direction, although the
    tests do not show it: that is an effect with too little evidence.
    """
    low, high = found.bounds(CONFIDENCE)
    is_beyond = low > quantity.margin or high < -quantity.margin
    return (high if quantity.worse > 0 else -low) < quantity.planned and not is_beyond


def _shown(quantity: Quantity, value: float) -> float:
    return 2.0**value if quantity.unit == "x" else value


def _distance(quantity: Quantity, value: float) -> float:
    """From no effect: 0.25 for a factor of 1.25."""
    return 2.0**value - 1.0 if quantity.unit == "x" else value
