"""Comparing what an engine gives in either precision, so that what rounding explains is no error.

A thousand comparisons of small arrays: what is right costs as little as it can.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from harness.measurement import Measurement
from harness.probes.comparing import FLOOR, compared

Array = np.ndarray
Arrays = Sequence[Array | None]
# Units in the last place that a result in float32 may be off by: a few dozen roundings in a
# row. An exponential of a large number loses as much again as the number is large.
UNITS = 32.0
SINGLE = np.dtype(np.float32)
EPS = float(np.finfo(SINGLE).eps)
# More than float64 rounds to in a small op.
CLOSE = 1e-9


def size_of(array: Array) -> float:
    """The Euclidean norm."""
    return math.sqrt(np.vdot(array, array))


def compared_in_double(subject: str, what: str, got: Array, expected: Array) -> Measurement:
    """The row about a result in float64, which must not have been float32 on the way, or be."""
    error, size = _error(got, expected, FLOOR)
    if error <= CLOSE and got.dtype == np.float64:
        return Measurement(subject, what, size, size, error)
    if got.dtype == SINGLE or (was_single(got) and not _fits_single(expected)):
        row = compared(subject, f"{what}, rounded to float32", got, expected)
        return replace(row, error=math.inf)
    return compared(subject, what, got, expected)


def compared_in_single(
    subject: str, what: str, got: Array, expected: Array, inputs: Arrays, floor: float = 1.0
) -> Measurement:
    """The row about a result in float32 of inputs in float32, less what rounding explains.

    `expected` is that of the same inputs in float64. An error is a share of `expected`, or of
    `floor` where that is larger: terms around 1 may cancel.
    """
    error, size = _error(got, expected, floor)
    if error <= UNITS * EPS:
        return Measurement(subject, what, size, size, 0.0)
    row = compared(subject, f"{what}, in float32", got, expected, floor)
    rounded = UNITS * EPS * max(1.0, *map(_largest, inputs))
    return row if row.error > rounded or math.isnan(row.error) else replace(row, error=0.0)


def _error(got: Array, expected: Array, floor: float) -> tuple[float, float]:
    """How far off as a share of the expected size, and that size; inf for another shape."""
    if got.shape != expected.shape or got.dtype.kind != "f":
        return math.inf, 0.0
    size = size_of(expected)
    return size_of(got - expected) / max(size, floor, FLOOR), size


def _largest(array: Array | None) -> float:
    """The largest finite number."""
    if array is None or array.dtype.kind != "f":
        return 0.0
    return float(np.abs(array[np.isfinite(array)]).max(initial=0.0))


def was_single(array: Array) -> bool:
    """Whether numbers in float64 are those of float32, and not just zeros or what rounds to it."""
    is_wide = array.dtype == np.float64 and float(np.abs(array).max(initial=0.0)) > CLOSE
    return is_wide and _fits_single(array)


def _fits_single(array: Array) -> bool:
    return bool((array.astype(SINGLE) == array).all())


def in_single(arrays: Arrays) -> list[Array | None]:
    """Copies, floats in float32 and the rest as they are."""
    return [None if a is None else a.astype(SINGLE) if a.dtype.kind == "f" else a.copy()
            for a in arrays]  # fmt: skip


def in_double(array: Array) -> Array:
    """A copy, floats in float64."""
    return array.astype(np.float64) if array.dtype.kind == "f" else array.copy()
