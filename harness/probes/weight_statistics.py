"""What random weights must be like, whatever distribution they come from: independent, around 0.

Every bound is so many standard errors wide that a right engine is never beyond it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.measurement import Measurement

# Standard errors; normal numbers are farther off once in 500 million.
ERRORS = 6.0
# The sixth moment of normal numbers is 15: the variance of their cubes.
CUBES = 15.0
# Normal numbers are beyond this many standard deviations once in 10**15.
FARTHEST = 8.0
# Numbers of float32 meet by chance; more than this share of them does not.
REPEATED = 0.02
# Two halves of a tensor differ by chance, in size, by less than this factor.
HALVES = 1.3
# Rows are alike, but for a factor, when the cosine between them is so near to 1.
ALIKE = 1e-6
# A random matrix of m x n numbers spreads over m n / (m + n) directions; this share is enough.
DIRECTIONS = 0.5
# Fewer numbers than this say nothing of their distribution.
ENOUGH = 64


def within(subject: str, what: str, got: float, low: float, high: float) -> Measurement:
    """A row for a number that should lie in a range: its error is 0 there."""
    if not math.isfinite(got):
        return Measurement(subject, what, got, low, math.inf)
    nearest = min(max(got, low), high)
    off = 0.0 if got == nearest else abs(got - nearest) / max(abs(nearest), 1e-12)
    return Measurement(subject, what, got, nearest, off)


def rms(array: np.ndarray) -> float:
    """The root mean square."""
    return math.sqrt(float(np.vdot(array, array)) / max(array.size, 1))


def chance(array: np.ndarray) -> float:
    """By what share the root mean square of so many normal numbers may be off."""
    return ERRORS / math.sqrt(2.0 * max(array.size, 1))


def oddities(subject: str, name: str, array: np.ndarray) -> Iterator[Measurement]:
    """Rows about one tensor of random weights, in float64."""
    flat, of = array.ravel(), f"{name} {array.shape}"
    size = rms(flat)
    if not (np.isfinite(size) and size > 0.0):
        yield Measurement(subject, f"root mean square of {of}", size, math.nan, math.inf)
        return
    repeated = np.count_nonzero(np.diff(np.sort(flat)) == 0.0) / flat.size
    yield within(subject, f"share of repeated numbers in {of}", repeated, 0.0, REPEATED)
    yield from _distribution(subject, of, flat / size)
    for axis, length in enumerate(array.shape):
        if length > 1 and array.ndim > 1:
            units = np.moveaxis(array, axis, 0).reshape(length, -1)
            yield from _units(subject, f"axis {axis} of {of}", units)
    if array.ndim > 1:
        yield _directions(subject, of, array.reshape(array.shape[0], -1))


def _distribution(subject: str, of: str, z: np.ndarray) -> Iterator[Measurement]:
    """Around zero, the same to both sides, and with no number far out."""
    error = ERRORS / math.sqrt(z.size)
    yield within(subject, f"mean of {of} beside its size", float(z.mean()), -error, error)
    share = np.count_nonzero(z > 0.0) / z.size
    yield within(subject, f"share of positive numbers in {of}", share,
                 0.5 - error / 2.0, 0.5 + error / 2.0)  # fmt: skip
    cubes, bound = float(np.vdot(z * z, z)) / z.size, error * math.sqrt(CUBES)
    yield within(subject, f"skewness of {of}", cubes, -bound, bound)
    yield within(subject, f"farthest number of {of} beside its size", float(np.abs(z).max()),
                 0.0, FARTHEST)  # fmt: skip


def _units(subject: str, of: str, units: np.ndarray) -> Iterator[Measurement]:
    """No two along an axis are alike but for a factor, and both halves are of one size."""
    middle = len(units) // 2
    first, second = rms(units[:middle]), rms(units[middle:])
    bound = HALVES * (1.0 + chance(units[:middle]))
    ratio = first / second if second > 0.0 else math.inf
    yield within(subject, f"size of the halves along {of}", ratio, 1.0 / bound, bound)
    norms = np.linalg.norm(units, axis=1, keepdims=True)
    unit = units / np.maximum(norms, np.finfo(float).tiny)
    cosines = np.abs(unit @ unit.T) - np.eye(len(unit))
    alike = int((cosines.max(axis=1) > 1.0 - ALIKE).sum()) if units.shape[1] > 1 else 0
    empty = int((norms == 0.0).sum())
    yield within(subject, f"places that are alike along {of}", alike + empty, 0.0, 0.0)


def _directions(subject: str, of: str, matrix: np.ndarray) -> Measurement:
    """How many directions the rows spread over, beside as many random ones."""
    rows, columns = matrix.shape
    gram = matrix @ matrix.T if rows <= columns else matrix.T @ matrix
    got = float(np.trace(gram) ** 2 / np.sum(gram * gram))
    least = DIRECTIONS * rows * columns / (rows + columns)
    return within(subject, f"directions that the rows of {of} spread over", got, least, math.inf)
