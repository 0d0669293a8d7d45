"""Ratios of seconds that were measured in turn, with how far they are known."""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import median

from harness.bench.results import Ratio

_OUTSIDE = 0.05  # how often the interval misses the true median


def paired_ratio(seconds: Sequence[float], base: Sequence[float]) -> Ratio:
    """The median of the ratios of pairs, and its 95 % interval.

    Each pair was measured one right after the other, so that what slows the machine down for
    longer than that slows both. The interval runs from one order statistic to another, as far
    from both ends as the sign test allows: no distribution is assumed. Fewer than six pairs
    give all of their range.
    """
    ratios = sorted(a / b for a, b in zip(seconds, base, strict=True))
    low = _lowest(len(ratios))
    return Ratio(
        value=median(ratios), low=ratios[low], high=ratios[len(ratios) - 1 - low], pairs=len(ratios)
    )


def _lowest(count: int) -> int:
    """The largest k with P(at most k of `count` fair coins fall heads) <= 2.5 %, at least 0.

    The kth order statistic from 0 lies above the median when at most k numbers lie below it.
    """
    chance, k = 0.5**count, 0
    while chance + math.comb(count, k + 1) * 0.5**count <= _OUTSIDE / 2:
        k += 1
        chance += math.comb(count, k) * 0.5**count
    return k


def exponent(x: Sequence[float], y: Sequence[float]) -> float:
    """The slope of log y over log x by least squares: 1 where y grows as x does."""
    logs = [(math.log(a), math.log(b)) for a, b in zip(x, y, strict=True)]
    mean_x = sum(a for a, _ in logs) / len(logs)
    mean_y = sum(b for _, b in logs) / len(logs)
    above = sum((a - mean_x) * (b - mean_y) for a, b in logs)
    return above / sum((a - mean_x) ** 2 for a, _ in logs)
