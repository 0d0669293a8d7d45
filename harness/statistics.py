"""Statistics of paired samples: tests against a margin, several at once, and counts of two groups.

Plain numbers in and out. A test asks whether an effect is larger than what is too small to
matter, never whether it is exactly zero.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from statistics import NormalDist

import numpy as np

# How many observations the spread on record counts for, beside that of the sample.
PRIOR_FREEDOM = 4
POWER = 0.9
# Smaller tails are lost in rounding.
_SMALLEST_P = 1e-15


# --- Student's t -----------------------------------------------------------------------------


def t_tail(t: float, freedom: int) -> float:
    """P(T > t) for Student's t with a whole number of degrees of freedom.

    Exact, by finite sums. Source: Abramowitz & Stegun 1964, 26.7.3 and 26.7.4.
    """
    if t == math.inf:
        return 0.0
    if t < 0:
        return 1.0 - t_tail(-t, freedom)
    angle = math.atan(t / math.sqrt(freedom))
    sine, cosine = math.sin(angle), math.cos(angle)
    odd = freedom % 2
    term = cosine if odd else 1.0
    total = 0.0
    for k in range(odd, freedom - 1, 2):
        total += term
        term *= cosine**2 * (k + 1) / (k + 2)
    inside = 2.0 / math.pi * (angle + sine * total) if odd else sine * total
    return max((1.0 - inside) / 2.0, _SMALLEST_P)


@lru_cache(maxsize=1024)
def t_quantile(tail: float, freedom: int) -> float:
    """The t with P(T > t) = tail, for a tail of at most one half; by bisection."""
    low, high = 0.0, 1.0
    while t_tail(high, freedom) > tail:
        low, high = high, high * 2.0
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if t_tail(middle, freedom) > tail else (low, middle)
    return (low + high) / 2.0


# --- the mean of paired differences ----------------------------------------------------------


@dataclass(frozen=True)
class Scale:
    """A standard error of a mean, and how many degrees of freedom it rests on."""

    error: float
    freedom: int


@dataclass(frozen=True)
class MeanDifference:
    """The mean of `samples` paired differences, with every scale that it is judged by.

    Each answer is that of the scale which claims least.
    """

    mean: float
    samples: int
    scales: tuple[Scale, ...]

    def p_above(self, margin: float) -> float:
        """One-sided p-value against "the effect is at most `margin`": a t-test with a margin.

        Source: Wellek 2010, Testing Statistical Hypotheses of Equivalence and Noninferiority.
        """
        return max(t_tail((self.mean - margin) / s.error, s.freedom) for s in self.scales)

    def p_below(self, margin: float) -> float:
        """One-sided p-value against "the effect is at least -`margin`"."""
        return max(t_tail((-self.mean - margin) / s.error, s.freedom) for s in self.scales)

    def bounds(self, confidence: float) -> tuple[float, float]:
        """The lower and the upper bound of the effect, each one-sided at `confidence`."""
        widest = max(t_quantile(1.0 - confidence, s.freedom) * s.error for s in self.scales)
        return self.mean - widest, self.mean + widest

    def detectable(self, margin: float, alpha: float, power: float = POWER) -> float:
        """The smallest effect that a test at `alpha` shows beyond `margin` with this power.

        margin + (t(alpha) + t(1 - power)) * standard error: Bloom 1995, Minimum Detectable
        Effects, Evaluation Review 19(5).
        """
        return margin + max(
            (t_quantile(alpha, s.freedom) + t_quantile(1.0 - power, s.freedom)) * s.error
            for s in self.scales
        )


def mean_difference(
    differences: Sequence[float], floor: float, prior: float | None = None
) -> MeanDifference:
    """The mean of at least two paired differences.

    One scale is the sample's own standard deviation s, with n - 1 degrees of freedom. With a
    standard deviation s0 on record there is another, s^2 = (d0 s0^2 + (n - 1) s^2) / (d0 + n - 1)
    with d0 + n - 1 (Smyth 2004, Linear Models and Empirical Bayes Methods, eq. 1, d0 = 4).
    As the one that claims least decides, an s0 that no longer holds does no harm. Neither
    standard deviation counts as less than `floor`.
    """
    n = len(differences)
    own = max(float(np.std(differences, ddof=1)), floor)
    spreads = [(own, n - 1)]
    if prior is not None:
        freedom = PRIOR_FREEDOM + n - 1
        square = PRIOR_FREEDOM * max(prior, floor) ** 2 + (n - 1) * own**2
        spreads.append((math.sqrt(square / freedom), freedom))
    scales = tuple(Scale(spread / math.sqrt(n), freedom) for spread, freedom in spreads)
    return MeanDifference(float(np.mean(differences)), n, scales)


def power_of(effect: float, margin: float, spread: float, samples: int, alpha: float) -> float:
    """About how often the test of `mean_difference` shows `effect` beyond `margin`.

    The noncentral t is taken for a shifted one, as in `MeanDifference.detectable`.
    """
    error, freedom = spread / math.sqrt(samples), samples - 1
    return 1.0 - t_tail((effect - margin) / error - t_quantile(alpha, freedom), freedom)


# --- several tests at once -------------------------------------------------------------------


def holm(p_values: Sequence[float], alpha: float) -> list[bool]:
    """Which hypotheses fall, such that a true one falls with probability `alpha` at most.

    From the smallest p up, the k-th of m is held against alpha / (m - k), k from 0, until
    one stands. Source: Holm 1979, A Simple Sequentially Rejective Multiple Test Procedure.
    """
    falls = [False] * len(p_values)
    for k, i in enumerate(sorted(range(len(p_values)), key=lambda i: p_values[i])):
        if p_values[i] > alpha / (len(p_values) - k):
            break
        falls[i] = True
    return falls


# --- counts ----------------------------------------------------------------------------------


def fisher_exact(misses: int, others: int, n: int) -> float:
    """One-sided p-value: `others` of n missed by chance so many more than `misses` of n.

    The hypergeometric tail. Source: Fisher 1935, The Logic of Inductive Inference.
    """
    both = misses + others
    ways = sum(math.comb(n, k) * math.comb(n, both - k) for k in range(others, min(n, both) + 1))
    return ways / math.comb(2 * n, both)


def share_bounds(count: int, n: int, confidence: float) -> tuple[float, float]:
    """One-sided bounds of a share, each at `confidence`: Wilson 1927's score interval."""
    z = NormalDist().inv_cdf(confidence)
    share = count / n
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(centre - half, 0.0), min(centre + half, 1.0)


def share_difference_bounds(base: int, head: int, n: int, confidence: float) -> tuple[float, float]:
    """One-sided bounds of how much larger the share head / n is than base / n.

    Source: Newcombe 1998, Interval Estimation for the Difference, method 10.
    """
    low0, high0 = share_bounds(base, n, confidence)
    low1, high1 = share_bounds(head, n, confidence)
    share0, share1 = base / n, head / n
    down = math.hypot(share1 - low1, high0 - share0)
    up = math.hypot(high1 - share1, share0 - low0)
    return share1 - share0 - down, share1 - share0 + up


# --- curves ----------------------------------------------------------------------------------


def times_to(levels: np.ndarray, at: np.ndarray, curve: np.ndarray, never: float) -> np.ndarray:
    """When a curve first is at or below each level, between its points by a straight line.

    `at` are the times of the points, at least 1 where they count; `never` stands for levels
    that are not reached. What is not finite reaches nothing.
    """
    lowest = np.minimum.accumulate(np.where(np.isfinite(curve), curve, np.inf))
    times = np.full(len(levels), never)
    after = np.searchsorted(-lowest, -levels)  # the first point at or below each level
    reached = after < len(lowest)
    after = after[reached]
    before = np.maximum(after - 1, 0)
    drop = lowest[before] - lowest[after]
    is_line = np.isfinite(drop) & (drop > 0.0)  # not at the first point that is finite
    share = np.ones(len(after))
    np.divide(lowest[before] - levels[reached], drop, out=share, where=is_line)
    times[reached] = at[after] - (1.0 - share) * (at[after] - at[before])
    return times
