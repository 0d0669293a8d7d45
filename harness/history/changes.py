"""Where a series of nights changes its level: slow drift that no single night would show.

A night's value counts as its rank among all values: one strange night weighs no more than any
other, and nothing is assumed of how values scatter. The levels are those that leave the least
squares of these ranks, at a price for each change (Schwarz 1978), found exactly by dynamic
programming (Auger and Lawrence 1989). A change is for people to look at and decides nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

# A level lasts a week of nights, or most of it.
SHORTEST = 7
# Only so many of the last nights are looked at: the time grows with the square.
LONGEST = 1000
# A change costs this many times log n of the noise's variance; Schwarz's criterion would be 2, for
# its place and its height. With fewer nights than `_FEW` it costs what it does with so many. Both
# were set by simulation: less than one change seen in 20 series of nights that are alike.
_PRICE = 2.5
_FEW = 100
# How often the noise is estimated anew when nights turn out to resemble their neighbours.
_ROUNDS = 4
# Standard deviation of a normal law over the median distance from its middle.
_NORMAL = 1.4826


@dataclass(frozen=True)
class ChangePoint:
    """A new level from `index` on; `before` and `after` are medians of the old and the new.

    `size` is their distance in units of the noise (the standard deviation of one night about its
    level); None where nights repeat each other exactly.
    """

    index: int
    before: float
    after: float
    size: float | None


def change_points(values: Sequence[float | None]) -> list[ChangePoint]:
    """The changes of level in the last LONGEST values that are known, oldest first."""
    known = [(i, value) for i, value in enumerate(values) if value is not None][-LONGEST:]
    series = np.array([value for _, value in known])
    if len(series) < 2 * SHORTEST or series.min() == series.max():
        return []
    bounds = _levels(_ranks(series))
    noise = _noise(series, bounds)
    middles = [float(np.median(series[start:end])) for start, end in pairwise(bounds)]
    found = []
    for cut, (before, after) in zip(bounds[1:], pairwise(middles), strict=False):
        if before != after:
            index = known[_place(series, cut, before, after)][0]
            size = abs(after - before) / noise if noise else None
            found.append(ChangePoint(index, before, after, size))
    return found


def _ranks(series: np.ndarray) -> np.ndarray:
    """Each value's place among all, equal values sharing the mean of theirs; their mean is 0."""
    _, which, counts = np.unique(series, return_inverse=True, return_counts=True)
    middles = np.cumsum(counts) - (counts - 1) / 2.0
    return np.asarray(middles[which] - (len(series) + 1) / 2.0)


def _levels(ranks: np.ndarray) -> list[int]:
    """Where the levels start, from 0, and the end of the last.

    The noise is half the mean square of the differences between neighbours, on which changes have
    next to no part (von Neumann 1941). But a slow week of a machine is no change: where nights
    resemble their neighbours, what counts is the variance of a mean over many, and that is more.
    """
    variance = float(np.mean(np.diff(ranks) ** 2)) / 2.0
    bounds = _bounds(ranks, variance)
    for _ in range(_ROUNDS):
        means = [ranks[start:end].mean() for start, end in pairwise(bounds)]
        lasting = _long_run_variance(ranks - np.repeat(means, np.diff(bounds)))
        if lasting <= variance:
            break
        variance = lasting
        bounds = _bounds(ranks, variance)
    return bounds


def _long_run_variance(rest: np.ndarray) -> float:
    """n times the variance of a mean of n nights, as of a first-order autoregression.

    0 where neighbours are not more alike than chance makes them.
    """
    square = float(rest @ rest)
    likeness = float(rest[1:] @ rest[:-1]) / square if square else 0.0
    if likeness < 1.0 / np.sqrt(len(rest)):
        return 0.0
    return square / len(rest) * (1.0 + likeness) / (1.0 - likeness)


def _bounds(ranks: np.ndarray, variance: float) -> list[int]:
    """The levels with the least squares, when noise has this variance."""
    count = len(ranks)
    price = _PRICE * np.log(max(count, _FEW)) * variance
    sums = np.concatenate([[0.0], np.cumsum(ranks)])
    lengths = np.arange(count, 0.0, -1.0)
    # least[e]: of the best levels for the first e nights, less the squares that all share
    least = np.full(count + 1, np.inf)
    least[0] = -price
    starts = np.zeros(count + 1, np.int64)
    for end in range(SHORTEST, count + 1):
        choices = end - SHORTEST + 1
        explained = (sums[end] - sums[:choices]) ** 2 / lengths[count - end :][:choices]
        costs = least[:choices] - explained
        starts[end] = costs.argmin()
        least[end] = costs[starts[end]] + price
    bounds = [count]
    while bounds[0] > 0:
        bounds.insert(0, int(starts[bounds[0]]))
    return bounds


def _place(series: np.ndarray, cut: int, before: float, after: float) -> int:
    """The start near `cut` that leaves the least distance from both levels, not their squares.

    A level that lasted less than SHORTEST was padded with nights of its neighbours.
    """
    first = max(0, cut - SHORTEST)
    near = series[first : cut + SHORTEST]
    gain = np.abs(near - before) - np.abs(near - after)  # of counting a night to the new level
    from_here_on = np.cumsum(gain[::-1])[::-1]
    best = np.flatnonzero(from_here_on == from_here_on.max()) + first
    return int(best[np.abs(best - cut).argmin()])


def _noise(series: np.ndarray, bounds: Sequence[int]) -> float:
    """The standard deviation of a night about its level, from the median distance."""
    parts = [series[start:end] for start, end in pairwise(bounds)]
    away = np.concatenate([np.abs(part - np.median(part)) for part in parts])
    return _NORMAL * float(np.median(away))
