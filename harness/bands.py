"""Bands: how the curves of a training may run, measured on many runs of a correct engine.

`fit` makes bands of the curves of many healthy runs, and `departures` says where those of a
further run leave them. Plain numbers, no engine and no files.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.curves import QUANTITIES, Curves, Quantity

# Plain JSON: bands are a part of a calibration, which is written once and read by people.
Json = dict[str, Any]

SIDES = ("up", "down")
# Mean deviations over so many neighbouring cells: a short outburst and a lasting small shift
# both count, each against its own limit.
WINDOWS = (1, 3, 10, 40)
# How often a healthy run may leave the bands of a quantity on one side. What lies beyond the
# farthest of the runs measured is extrapolated: the farthest tenth decays exponentially.
CHANCE = 1e-6
# By no less than this a step of e, in units of the reach: what twenty runs tell of it is vague.
_LEAST_DECAY = 0.15
# Learning late is bad luck now and then: one run of several hundred sits on a plateau, which
# two hundred runs may not show. Slowness has targets of its own.
_LEAST_MARGIN_OF_SLOW = 5.0
_FOLDS = 5
# The reach of healthy runs is the mean of this many of the farthest: steadier than the farthest.
_FARTHEST = 5
# Deviations above this are all alike.
_MOST = 1e3


# --- bands ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Band:
    """Of all curves of one quantity. Shapes: (curves, cells), reach (curves, windows, 2)."""

    median: np.ndarray
    above: np.ndarray
    below: np.ndarray
    reach: np.ndarray

    @classmethod
    def of(cls, values: np.ndarray, least_spread: float) -> _Band:
        """Fitted to (runs, curves, cells)."""
        median = np.median(values, axis=0)
        low, high = np.quantile(values, [0.025, 0.975], axis=0)
        # In units of a standard deviation, rounded as they are put on record.
        above = np.maximum((high - median) / 1.96, least_spread).round(3)
        below = np.maximum((median - low) / 1.96, least_spread).round(3)
        band = cls(median, above, below, np.ones(1))
        farthest = np.sort(band.deviations(values), axis=0)[-_FARTHEST:].mean(axis=0)
        return cls(median, above, below, np.maximum(farthest, 1.0).round(2))

    def scores(self, values: np.ndarray) -> np.ndarray:
        """Deviations from the median in units of the spread on that side."""
        difference = values - self.median
        spread = np.where(difference > 0.0, self.above, self.below)
        return np.asarray(np.clip(difference / spread, -_MOST, _MOST))

    def deviations(self, values: np.ndarray) -> np.ndarray:
        """(..., curves, cells) -> (..., curves, windows, 2): the farthest up and down."""
        scores = self.scores(values)
        moving = [_moving(scores, width) for width in WINDOWS]
        up, down = ([sign * each for each in moving] for sign in (1.0, -1.0))
        sides = [np.stack([each.max(axis=-1) for each in side], axis=-1) for side in (up, down)]
        return np.asarray(np.stack(sides, axis=-1))


def _moving(scores: np.ndarray, width: int) -> np.ndarray:
    """Means over so many neighbouring cells, or over all when there are fewer."""
    width = min(width, scores.shape[-1])
    sums = np.cumsum(scores, axis=-1)
    sums = np.concatenate([np.zeros_like(sums[..., :1]), sums], axis=-1)
    means: np.ndarray = (sums[..., width:] - sums[..., :-width]) / width
    return means


def fit(runs: Sequence[Sequence[Curves]]) -> Json:
    """Bands of healthy runs, as plain JSON by quantity.

    Per curve and cell: the median, and the spread above and below it (of logarithms where
    the quantity is compared by factors). Per curve and window: how far the farthest runs
    go. Per quantity: the margin beyond that which hardly any healthy run needs.
    """
    return {same[0].quantity.name: _fit(same) for same in zip(*runs, strict=True)}


def _fit(runs: Sequence[Curves]) -> Json:
    quantity, values = runs[0].quantity, np.stack([run.values for run in runs])
    band = _Band.of(values, quantity.least_spread)
    median = np.exp(band.median) if quantity.is_ratio else band.median
    return {
        "steps": list(runs[0].edges),
        "margin": dict(zip(SIDES, _margins(values, quantity), strict=True)),
        "curves": {
            subject: {
                "median": [float(f"{value:.4g}") for value in median[row]],
                "above": band.above[row].tolist(),
                "below": band.below[row].tolist(),
                "highest": band.reach[row, :, 0].tolist(),
                "lowest": band.reach[row, :, 1].tolist(),
            }
            for row, subject in enumerate(runs[0].subjects)
        },
    }


def _margins(values: np.ndarray, quantity: Quantity) -> list[float]:
    """Up and down, as shares of the reach: how far hardly any healthy run goes."""
    left_out = np.empty((len(values), 2))
    for fold in range(_FOLDS):  # how far does each run go beyond those it was not among?
        chosen = np.arange(len(values)) % _FOLDS == fold
        band = _Band.of(values[~chosen], quantity.least_spread)
        left_out[chosen] = (band.deviations(values[chosen]) / band.reach).max(axis=(1, 2))
    return [
        round(max(_rare(left_out[:, column]), _LEAST_MARGIN_OF_SLOW * (side == quantity.slow)), 2)
        for column, side in enumerate(SIDES)
    ]


def _rare(values: np.ndarray) -> float:
    """What a further value exceeds by that chance, if the upper tenth decays exponentially."""
    start = float(np.quantile(values, 0.9))
    excess = values[values > start] - start
    decay = max(float(excess.mean()) if excess.size else 0.0, _LEAST_DECAY)
    return start + decay * math.log(0.1 / CHANCE)


# --- departures ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Departure:
    """Where a curve is farthest outside its band: between two steps, and what it might be.

    `got`, `low` and `high` are factors of the median where the quantity is compared so,
    else values. `score` is the deviation as a share of what is allowed, above 1; `cell`
    is the one by which the curve had left first.
    """

    quantity: str
    subject: str
    first_step: int
    last_step: int
    got: float
    low: float
    high: float
    score: float
    cell: int

    @property
    def is_ratio(self) -> bool:
        """Whether `got` is a factor of the calibrated median."""
        return QUANTITIES[self.quantity].is_ratio


def on_record(run: Sequence[Curves], found: Json) -> list[Curves]:
    """Those curves of a run, in as many cells, that bands on record can be held against."""
    return [
        _only(each, list(found[each.quantity.name]["curves"]))
        for each in run
        if each.quantity.name in found
        and len(each.edges) == len(found[each.quantity.name]["steps"])
    ]


def _only(run: Curves, subjects: Collection[str]) -> Curves:
    rows = [row for row, subject in enumerate(run.subjects) if subject in subjects]
    kept = tuple(run.subjects[row] for row in rows)
    return Curves(run.quantity, kept, run.edges, run.values[rows])


def departures(run: Sequence[Curves], found: Json) -> list[Departure]:
    """Where curves that are on record leave their bands: what left first, then the farthest."""
    left = [departure for each in run for departure in _departures(each, found)]
    return sorted(left, key=lambda departure: (departure.cell, -departure.score))


def _departures(run: Curves, found: Json) -> list[Departure]:
    if not run.subjects:
        return []
    bands = found[run.quantity.name]
    band = _band(run, bands)
    margins = np.array([bands["margin"][side] for side in SIDES])
    scores, limits = band.scores(run.values), band.reach * margins
    left = []
    for window, width in enumerate(WINDOWS):
        means = _moving(scores, width)
        for side, sign in enumerate((1.0, -1.0)):
            shares = sign * means / limits[:, window, side, None]
            for row in np.flatnonzero(shares.max(axis=1) > 1.0).tolist():
                left.append(_departure(run, band, limits[row, window], row, shares[row], sign))
    return left


def _band(run: Curves, bands: Json) -> _Band:
    rows = [bands["curves"][subject] for subject in run.subjects]
    median, above, below, up, down = (
        np.array([row[key] for row in rows])
        for key in ("median", "above", "below", "highest", "lowest")
    )
    median = np.log(median) if run.quantity.is_ratio else median
    return _Band(median, above, below, np.stack([up, down], axis=-1))


def _departure(
    run: Curves, band: _Band, limits: np.ndarray, row: int, shares: np.ndarray, sign: float
) -> Departure:
    """One window's worst place, in the units of the curve; `shares` are of what is allowed."""
    worst, first = int(shares.argmax()), int((shares > 1.0).argmax())
    width = len(run.edges) - len(shares)
    cells = slice(worst, worst + width)
    high = limits[0] * band.above[row, cells].mean()
    low = -limits[1] * band.below[row, cells].mean()
    got = float(shares[worst]) * (high if sign > 0.0 else low)
    if run.quantity.is_ratio:
        got, low, high = (math.exp(min(each, 700.0)) for each in (got, low, high))
    else:
        got, low, high = (each + band.median[row, cells].mean() for each in (got, low, high))
    is_last = cells.stop == len(run.edges) - 1
    return Departure(
        quantity=run.quantity.name,
        subject=run.subjects[row],
        first_step=run.edges[worst],
        last_step=run.edges[cells.stop] - (0 if is_last else 1),
        got=float(got),
        low=float(low),
        high=float(high),
        score=float(shares[worst]),
        cell=first + width,
    )
