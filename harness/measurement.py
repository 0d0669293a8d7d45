"""`Measurement`: one number that a probe took, beside the number that it should be.

All probes write these, so that checks, reports and the selftest read one kind of row.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Measurement:
    """What a probe saw of one thing.

    `subject` is what a sentence would blame: an op ("softmax"), a layer's type, a tensor's
    label, "SGD", "the training loop". `what` says which property was measured, such as
    "gradient of input 0 (3, 4)". `error` is the discrepancy relative to the scale of the
    numbers: 0 is perfect, inf stands for missing, not finite or of a wrong shape. `place` is
    "file:line" of the code that is responsible, where that is known.
    """

    subject: str
    what: str
    got: float
    expected: float
    error: float
    place: str = ""


class NotMeasurableError(Exception):
    """Raised by a probe that has nothing to measure here, with the reason as its message."""


def discrepancy(got: np.ndarray, expected: np.ndarray, floor: float = 0.0) -> float:
    """Norm of the difference as a share of the norm of `expected` (at least `floor`).

    inf where the shapes differ, something is not finite that should be, or a number was to
    be zero and is not.
    """
    if got.shape != expected.shape:
        return math.inf
    if got.size == 0:
        return 0.0
    difference = np.asarray(got, dtype=np.float64) - np.asarray(expected, dtype=np.float64)
    size = float(np.linalg.norm(difference))
    scale = max(float(np.linalg.norm(np.asarray(expected, dtype=np.float64))), floor)
    if not math.isfinite(size):
        return math.inf
    return 0.0 if size == 0.0 else size / scale if scale > 0.0 else math.inf
