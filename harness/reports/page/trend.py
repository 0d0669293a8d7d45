"""The nights: accuracy of each milestone over time, the failing ones marked, and slow changes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.history.changes import LONGEST
from harness.history.nights import History, Night, Point
from harness.history.trends import Drift, drifts, engine_streak, nights_of
from harness.reports.page.drawing import (
    MOST_POINTS,
    SIZE,
    Axis,
    Drawing,
    Mark,
    Tick,
    dots,
    level,
    line,
    lone,
    pieces,
    thinned,
    upright,
)
from harness.reports.page.material import Material
from harness.reports.page.streaks import failing, since
from harness.reports.page.words import count, cut, finite, number, share

_MOST_CHANGES = 6
_MOST_SKIPPED = 10
_QUANTITIES = {
    "accuracy": "accuracy",
    "steps_to_target": "way to the target in steps",
    "loss": "held-out loss",
    "seconds": "training time in seconds",
}


@dataclass(frozen=True)
class TrendFigure:
    """One milestone over the nights, in a drawing and in sentences."""

    title: str
    word: str
    is_failing: bool
    sentences: tuple[str, ...]
    drawing: Drawing | None


@dataclass(frozen=True)
class Trend:
    """All milestones, the engine in a sentence, and what could not be read."""

    nights: str
    figures: tuple[TrendFigure, ...]
    engine: str
    skipped: tuple[str, ...]


def section(material: Material) -> Trend | None:
    """The trend over the nights; None without a history."""
    history = material.history
    if history is None or not (history.nights or history.skipped):
        return None
    skipped = [f"{cut(each.file, 120)}: {cut(each.why, 200)}" for each in history.skipped]
    shown = skipped[:_MOST_SKIPPED]
    if len(skipped) > _MOST_SKIPPED:
        shown.append(
            f"and {len(skipped) - _MOST_SKIPPED:,} more; `harness history --format json` lists all"
        )
    titles = {name: results[0].title for name, results in material.results.items()}
    names = dict.fromkeys(name for night in reversed(history.nights) for name in night.milestones)
    return Trend(
        nights=count(len(history.nights), "night"),
        figures=tuple(_figure(history, name, titles.get(name, name)) for name in names),
        engine=_engine(history.nights),
        skipped=tuple(shown),
    )


def _engine(nights: Sequence[Night]) -> str:
    """Since when it fails, or how often it did."""
    if found := engine_streak(nights):
        return f"The engine by itself: {since(found)} {cut(found.cause)}".strip()
    bad = [night for night in nights if night.engine not in (None, "pass")]
    if not bad:
        return ""
    last = bad[-1]
    cause = f": {cut(last.engine_cause)}" if last.engine_cause else "."
    return (
        f"The engine did not pass its own checks in {count(len(bad), 'night')}, "
        f"last in {cut(last.label, 160)}{cause}"
    )


def _figure(history: History, name: str, title: str) -> TrendFigure:
    points = [night.milestones.get(name) for night in history.nights]
    last = points[-1] if points else None
    changes = drifts(nights_of(history, name)[-LONGEST:])
    found = failing(history, name)
    sentences = [
        *([f"{since(found)} {cut(found.cause)}".strip()] if found else []),
        *(_change(change) for change in _latest(history, changes)),
    ]
    if last is None:
        sentences.append("It was not run last night.")
    word = "not run" if last is None else last.word
    return TrendFigure(
        title=cut(title, 120),
        word=word,
        is_failing=found is not None,
        sentences=tuple(sentences),
        drawing=_drawing(title, history.nights, points, changes),
    )


def _latest(history: History, changes: Sequence[Drift]) -> list[Drift]:
    """The last changes, in the order of their nights; what is drawn is told before the rest."""
    order = {night.file: i for i, night in enumerate(history.nights)}
    newest = sorted(changes, key=lambda c: (c.quantity != "accuracy", -order[c.night.file]))
    return sorted(newest[:_MOST_CHANGES], key=lambda each: order[each.night.file])


def _series(points: Sequence[Point | None], field: str) -> list[float | None]:
    return [None if point is None else getattr(point, field) for point in points]


def _change(change: Drift) -> str:
    """ "Its accuracy went from 0.901 to 0.871 in night 0041 (...), 3.1 times the noise ..."."""
    by = f", {number(change.size)} times the noise of a night" if change.size is not None else ""
    return (
        f"Its {_QUANTITIES[change.quantity]} went from {number(change.before)} to "
        f"{number(change.after)} in {cut(change.night.label, 160)}{by}."
    )


def _drawing(
    name: str,
    nights: Sequence[Night],
    points: Sequence[Point | None],
    changes: Sequence[Drift],
) -> Drawing | None:
    median, lowest = _series(points, "accuracy"), _series(points, "lowest")
    targets = [point.target for point in points if point is not None]
    known = finite([*median, *lowest, *targets[-1:]])
    if not known or not targets:
        return None
    air = max((max(known) - min(known)) * 0.08, 0.005)
    x, y = Axis(0.0, max(len(points) - 1, 1)), Axis(min(known) - air, max(known) + air)
    marks = [
        *(Mark("change", upright(x.at(place))) for place in _changed(nights, changes)),
        Mark("target", level(y.up(targets[-1]))),
        *_curve("lowest", lowest, x, y),
        *_curve("median", median, x, y),
        Mark("failed", _failed(points, x, y)),
    ]
    said = _said(name, nights, points, median, lowest, targets[-1])
    return Drawing(
        said=said,
        marks=tuple(mark for mark in marks if mark.path),
        up=_ticks(y, known, targets[-1]),
        along=_days(nights),
    )


def _days(nights: Sequence[Night]) -> tuple[Tick, ...]:
    """The first day and the last, where that is another one."""
    first, last = nights[0].created[:10], nights[-1].created[:10]
    return (Tick(0, first), Tick(100, last)) if first != last else (Tick(0, first),)


def _changed(nights: Sequence[Night], changes: Sequence[Drift]) -> list[int]:
    """The nights from which on the accuracy had another level."""
    files = {change.night.file for change in changes if change.quantity == "accuracy"}
    return [i for i, night in enumerate(nights) if night.file in files]


def _curve(style: str, values: Sequence[float | None], x: Axis, y: Axis) -> list[Mark]:
    """A line over the nights, and dots for those that stand alone."""
    chosen = [(i, values[i]) for i in thinned(values)]
    points = [(x.at(i), None if value is None else y.up(value)) for i, value in chosen]
    return [Mark(style, line(points)), Mark(f"{style}-dots", lone(points))]


def _failed(points: Sequence[Point | None], x: Axis, y: Axis) -> str:
    """A dot for each failing night; of many nights, one for each piece with a failing one."""
    found = []
    for start, end in pieces(len(points), MOST_POINTS):
        bad = [i for i in range(start, end) if (p := points[i]) and p.status != "pass"]
        if bad:
            values = {i: value for i in bad if (value := _worst(points[i])) is not None}
            at = min(values, key=lambda i: values[i]) if values else bad[0]
            found.append((x.at(at), y.up(values[at]) if values else SIZE * 0.96))
    return dots(found)


def _worst(point: Point | None) -> float | None:
    if point is None:
        return None
    return point.lowest if point.lowest is not None else point.accuracy


def _ticks(y: Axis, known: Sequence[float], target: float) -> tuple[Tick, ...]:
    """The highest, the lowest and the target, but no two so near that they would overlap."""
    chosen: list[Tick] = []
    for value in (target, max(known), min(known)):
        at = y.up(value) / 10
        if all(abs(at - tick.at) >= 22 for tick in chosen):
            chosen.append(Tick(at, share(value)))
    return tuple(chosen)


def _said(
    name: str,
    nights: Sequence[Night],
    points: Sequence[Point | None],
    median: Sequence[float | None],
    lowest: Sequence[float | None],
    target: float,
) -> str:
    ran = [point for point in points if point is not None]
    failed = sum(point.status != "pass" for point in ran)
    low, high = finite(lowest), finite(median)
    parts = [
        f"Accuracy of {name} in {count(len(ran), 'night')} up to {nights[-1].created[:10]}",
        f"{failed:,} failed" if failed else "none failed",
    ]
    if high:
        parts.append(f"the median lies between {share(min(high))} and {share(max(high))}")
    if low:
        parts.append(f"the worst seed reached {share(min(low))}")
    return "; ".join([*parts, f"target {target:g}"]) + "."
