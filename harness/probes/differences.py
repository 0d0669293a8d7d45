"""Gradients against central differences along directions of unit length, in float64."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from harness.measurement import Measurement

# Central differences are off by h^2 f'''/6 + eps |f| / h: least near eps^(1/3) = 6e-6.
STEP = 1e-5
# Where they disagree, smaller ones along other directions, with the next term of the error.
SMALLER_STEPS = (1e-6, 3e-6)
# Of a value around 1, or of a larger one: enough for the noise of the smallest step, 1e-16 / 1e-6.
NEGLIGIBLE_SLOPE = 1e-3
# Where the first direction agrees so well, no other is asked.
AGREES = 1e-7

# The value of a function when its input is moved by so much.
Moved = Callable[[np.ndarray], float]
# The next direction to move it in.
Directions = Callable[[], np.ndarray]


def slope_row(
    subject: str, what: str, value: Moved, gradient: np.ndarray | None, direction: Directions
) -> Measurement:
    """The engine's slope along a direction, and the measured one; inf without a gradient.

    The least disagreement of a few, where the first is not good enough: kinks are no faults.
    """
    along = direction()
    above, below = value(STEP * along), value(-STEP * along)
    slope = (above - below) / (2.0 * STEP)
    if gradient is None or gradient.shape != along.shape:
        why = "where no gradient arrives" if gradient is None else f"of shape {gradient.shape}"
        return Measurement(subject, f"{what}, {why}", 0.0, slope, math.inf)
    floor = NEGLIGIBLE_SLOPE * max(1.0, abs(above))
    best = _disagreement(subject, what, gradient, along, slope, floor)
    for step in SMALLER_STEPS:
        if best.error <= AGREES:
            break
        along = direction()
        for slope in _slopes(value, along, step):
            row = _disagreement(subject, what, gradient, along, slope, floor)
            # `not >=` where an error may be NaN: a number is better than none.
            best = row if not row.error >= best.error else best
    return best


def _slopes(value: Moved, along: np.ndarray, step: float) -> list[float]:
    """Measured from both sides, from below and from above: a kink this near is on one of them.

    All are exact for parabolas, the first for polynomials of degree 4.
    """
    a, b, c, d, e = (value(times * step * along) for times in (-2.0, -1.0, 0.0, 1.0, 2.0))
    both = (8.0 * (d - b) - (e - a)) / 12.0
    below, above = (3.0 * c - 4.0 * b + a) / 2.0, (-3.0 * c + 4.0 * d - e) / 2.0
    return [difference / step for difference in (both, below, above)]


def _disagreement(
    subject: str, what: str, gradient: np.ndarray, along: np.ndarray, slope: float, floor: float
) -> Measurement:
    """Both slopes, and how far apart they are as a share of what is usual for this gradient."""
    got = float(np.vdot(gradient, along))
    usual = float(np.linalg.norm(gradient)) / max(gradient.size, 1) ** 0.5
    error = abs(got - slope) / max(floor, abs(slope), abs(got), usual)
    return Measurement(subject, what, got, slope, error)


def random_directions(shape: tuple[int, ...], rng: np.random.Generator) -> Directions:
    """Any directions of unit length."""
    return lambda: unit(rng.standard_normal(shape))


def uphill(gradient: np.ndarray, rng: np.random.Generator) -> Directions:
    """Directions near that of the gradient: not the same twice, as there may be a kink on it."""
    return lambda: unit(unit(gradient) + 0.1 * unit(rng.standard_normal(gradient.shape)))


def alike(x: np.ndarray, rng: np.random.Generator) -> Directions:
    """Directions that move equal numbers of x alike, and zeros not at all: ties remain."""
    return lambda: unit(np.sin(rng.uniform(1.0, 3.0) * x))


def unit(array: np.ndarray) -> np.ndarray:
    """The array at length 1."""
    return np.asarray(array / max(float(np.linalg.norm(array)), np.finfo(np.float64).tiny))
