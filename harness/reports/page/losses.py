"""Loss curves: this run over its seeds, the band of correct engines, and the base's curve."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.comparison import Curve, MilestoneComparison
from harness.reports.page.drawing import (
    Axis,
    Drawing,
    Mark,
    Point,
    Tick,
    area,
    line,
    log_axis,
    lone,
    pieces,
)
from harness.reports.page.material import Material
from harness.reports.page.words import count, number
from harness.scorecard import Result

_CELLS = 60


@dataclass(frozen=True)
class Band:
    """A loss over some steps, from a low to a high one; what is beyond the shortest is ignored."""

    step: Sequence[float]
    low: Sequence[float | None]
    median: Sequence[float | None]
    high: Sequence[float | None]
    # The first step and the last, where those are more than are drawn: means have a middle.
    ends: tuple[float, float] | None = None

    @property
    def first(self) -> float:
        """Where it begins."""
        return self.ends[0] if self.ends else min(self.step)

    @property
    def last(self) -> float:
        """Where it ends."""
        return self.ends[1] if self.ends else max(self.step)

    @property
    def has_width(self) -> bool:
        """Whether it is more than a line."""
        return any(low != high for low, high in zip(self.low, self.high, strict=False))

    @property
    def values(self) -> list[float]:
        """All numbers in it."""
        rows = (self.low, self.median, self.high)
        return [each for row in rows for each in row if each is not None]


@dataclass(frozen=True)
class LossFigure:
    """One milestone's curves; `missing` says why there are none."""

    milestone: str
    title: str
    drawing: Drawing | None
    has_band: bool = False
    has_base: bool = False
    has_range: bool = False
    missing: str = ""


def section(material: Material) -> list[LossFigure]:
    """A figure for each milestone of the scorecard, else of the comparison."""
    if material.scorecard:
        return [_of_results(material, results) for results in material.results.values()]
    rows = material.comparison.milestones if material.comparison else []
    return [_figure(row.milestone, row.title, *_of_comparison(row), None) for row in rows]


def _of_results(material: Material, results: Sequence[Result]) -> LossFigure:
    first = results[0]
    name = first.milestone
    kept = [material.curve(name, result.seed, "loss", 1) for result in results]
    run = _over_seeds([losses for losses in kept if losses is not None and losses.size])
    compared = material.compared(name)
    head, base = _of_comparison(compared) if compared else (None, None)
    figure = _figure(name, first.title, run or head, base, _calibrated(material, name))
    missing = material.no_curves if figure.missing else ""
    return replace(figure, missing=missing or figure.missing)


def _of_comparison(row: MilestoneComparison) -> tuple[Band | None, Band | None]:
    return _of_curve(row.head_loss), _of_curve(row.base_loss)


def _of_curve(curve: Curve) -> Band | None:
    band = Band(curve.step, curve.low, curve.median, curve.high)
    return band if curve.step and band.values else None


def _calibrated(material: Material, name: str) -> Band | None:
    curve: Mapping[str, Any] | None = material.calibrations.get(name, {}).get("loss_curve")
    if not curve:
        return None
    return Band(curve["step"], curve["low"], curve["median"], curve["high"])


def _over_seeds(losses: Sequence[np.ndarray]) -> Band | None:
    """Means over a few steps each; of the seeds the lowest, the middle one and the highest."""
    if not losses:
        return None
    longest = max(map(len, losses))
    rows = np.full((len(losses), longest), np.nan)
    for row, each in zip(rows, losses, strict=True):
        row[: len(each)] = each
    parts = list(pieces(longest, _CELLS))
    means = [np.sort(_row_means(rows[:, start:end])) for start, end in parts]
    return Band(
        step=[(start + 1 + end) / 2 for start, end in parts],
        low=[float(each[0]) if each.size else None for each in means],
        median=[float(np.median(each)) if each.size else None for each in means],
        high=[float(each[-1]) if each.size else None for each in means],
        ends=(1.0, float(longest)),
    )


def _row_means(values: np.ndarray) -> np.ndarray:
    """The mean of each row that has only finite numbers."""
    whole: np.ndarray = values[np.isfinite(values).all(axis=1)]
    return np.asarray(whole.mean(axis=1))


def _figure(
    name: str, title: str, run: Band | None, base: Band | None, band: Band | None
) -> LossFigure:
    bands = [each for each in (run, base, band) if each]
    y = log_axis([value for each in bands for value in each.values])
    if y is None or not (run or base):
        return LossFigure(name, title, None, missing="No losses were kept of it.")
    last = max(each.last for each in bands)
    x = Axis(min(each.first for each in bands), last)
    marks = [
        *([Mark("band", _between(band, x, y))] if band else []),
        *([Mark("range", _between(run, x, y))] if run else []),
        *([Mark("base", _along(base.step, base.median, x, y))] if base else []),
        *([Mark("head", _along(run.step, run.median, x, y))] if run else []),
        *([Mark("lone-dots", lone(_points(run.step, run.median, x, y)))] if run else []),
    ]
    drawing = Drawing(
        said=_said(title, run, base, band, last),
        marks=tuple(mark for mark in marks if mark.path),
        up=tuple(Tick(y.up(value) / 10, number(value)) for value in y.round_values()),
        along=(Tick(0, f"step {x.low:.0f}"), Tick(100, f"{last:.0f}")),
    )
    has_range = run is not None and run.has_width
    return LossFigure(name, title, drawing, band is not None, base is not None, has_range)


def _along(step: Sequence[float], values: Sequence[float | None], x: Axis, y: Axis) -> str:
    return line(_points(step, values, x, y))


def _between(band: Band, x: Axis, y: Axis) -> str:
    return area(_points(band.step, band.low, x, y), _points(band.step, band.high, x, y))


def _points(step: Sequence[float], values: Sequence[float | None], x: Axis, y: Axis) -> list[Point]:
    pairs = zip(step, values, strict=False)
    return [(x.at(at), None if value is None else y.up(value)) for at, value in pairs]


def _said(title: str, run: Band | None, base: Band | None, band: Band | None, last: float) -> str:
    parts = [f"Loss of {title} over {count(int(last), 'step')}, on a logarithmic scale"]
    for what, each in (("this run", run), ("the base", base)):
        if each:
            parts.append(f"{what} goes from {_end(each, 0)} to {_end(each, -1)}")
    if band:
        low, high = (number(ends[-1]) for ends in (band.low, band.high))
        parts.append(f"correct engines end between {low} and {high}")
    return "; ".join(parts) + "."


def _end(band: Band, place: int) -> str:
    known = [value for value in band.median if value is not None]
    return number(known[place]) if known else "nothing finite"
