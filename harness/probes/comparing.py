"""Two arrays as one Measurement: how far apart they are, and the number that is furthest off."""

from __future__ import annotations

import math

import numpy as np

from harness.measurement import Measurement, discrepancy

# Numbers below this are not worth a share of their own size: models here work around 1.
FLOOR = 1e-3


def compared(
    subject: str, what: str, got: np.ndarray, expected: np.ndarray, floor: float = FLOOR
) -> Measurement:
    """A row about two arrays that should be equal; `what` gains their shapes where those differ."""
    if got.shape != expected.shape:
        what = f"{what}, of shape {got.shape} instead of {expected.shape}"
        return Measurement(subject, what, math.nan, math.nan, math.inf)
    error = discrepancy(got, expected, floor)
    return Measurement(subject, what, *_furthest(got, expected), error)


def missing(subject: str, what: str, expected: float) -> Measurement:
    """A row about something that should be there and is not."""
    return Measurement(subject, what, 0.0, expected, math.inf)


def _furthest(got: np.ndarray, expected: np.ndarray) -> tuple[float, float]:
    """The pair of numbers that differ most."""
    if got.size == 0:
        return 0.0, 0.0
    distance = np.abs(np.subtract(got, expected, dtype=np.float64))
    at = int(np.argmax(np.where(np.isfinite(distance), distance, np.inf)))
    return float(got.reshape(-1)[at]), float(expected.reshape(-1)[at])
