"""Drawings as plain values: paths in a box of 1000 by 1000 that is stretched to its place.

All words stand outside of the drawing, in HTML, so that they keep their size on any screen.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

SIZE = 1000.0
# Corners of a line; more do not show on any screen.
MOST_POINTS = 400

Point = tuple[float, float | None]


@dataclass(frozen=True)
class Mark:
    """One path: `style` is its class in the style sheet."""

    style: str
    path: str


@dataclass(frozen=True)
class Tick:
    """A word beside the drawing, at so many per cent of its height or width."""

    at: float
    word: str


@dataclass(frozen=True)
class Drawing:
    """What is drawn, in words for those who do not see it, as marks, and what is beside it."""

    said: str
    marks: tuple[Mark, ...]
    up: tuple[Tick, ...] = ()
    along: tuple[Tick, ...] = ()


@dataclass(frozen=True)
class Axis:
    """From values to 0 (`low`) to 1000 (`high`); what lies beyond is at the end."""

    low: float
    high: float
    is_log: bool = False

    def at(self, value: float) -> float:
        """Where a value is."""
        low, high, value = (self._scaled(each) for each in (self.low, self.high, value))
        if high <= low:
            return SIZE / 2
        return min(max((value - low) / (high - low), 0.0), 1.0) * SIZE

    def up(self, value: float) -> float:
        """Where a value is, counted from the top."""
        return SIZE - self.at(value)

    def _scaled(self, value: float) -> float:
        return math.log10(max(value, 1e-300)) if self.is_log else value

    def round_values(self) -> list[float]:
        """A few values to write beside a logarithmic axis: powers of ten, or 1, 2 and 5 of each."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        found = [10.0**power for power in powers]
        if sum(self.low <= value <= self.high for value in found) < 3:
            found = [factor * value for value in found for factor in (1, 2, 5)]
        inside = [value for value in found if self.low <= value <= self.high]
        if len(inside) < 2:  # one value says nothing of the scale
            return [self.low, self.high]
        return inside[:: max(1, math.ceil(len(inside) / 5))]


def log_axis(values: Iterable[float]) -> Axis | None:
    """An axis that holds all positive values of these, with some air; None where none is."""
    positive = [value for value in values if value > 0 and math.isfinite(value)]
    if not positive:
        return None
    low, high = max(min(positive), 1e-12), min(max(positive), 1e12)
    return Axis(low / 1.15, max(high, low) * 1.15, is_log=True)


def coordinate(value: float) -> str:
    """A number of a path, no longer than can be seen."""
    return f"{value:.1f}".removesuffix(".0")


def line(points: Iterable[Point]) -> str:
    """A path through points; None is a gap, and a point between two gaps a dot."""
    parts: list[str] = []
    alone = False
    pen_is_down = False
    for x, y in points:
        if y is None:
            parts += ["h0"] if alone else []
            pen_is_down = alone = False
            continue
        alone = not pen_is_down
        parts.append(f"{'L' if pen_is_down else 'M'}{coordinate(x)} {coordinate(y)}")
        pen_is_down = True
    return "".join([*parts, "h0"] if alone else parts)


def area(low: Sequence[Point], high: Sequence[Point]) -> str:
    """The path around what lies between two lines over the same places."""
    pairs = zip(low, high, strict=False)
    known = [(one, other) for one, other in pairs if one[1] is not None and other[1] is not None]
    if len(known) < 2:
        return ""
    around = [one for one, _ in known] + [other for _, other in reversed(known)]
    return line(around) + "Z"


def upright(x: float) -> str:
    """A line from the bottom to the top."""
    return f"M{coordinate(x)} 0V1000"


def level(y: float) -> str:
    """A line from the left to the right."""
    return f"M0 {coordinate(y)}H1000"


def dots(points: Iterable[tuple[float, float]]) -> str:
    """Lines of no length: round ends make them dots of one size, however it is stretched."""
    return "".join(f"M{coordinate(x)} {coordinate(y)}h0" for x, y in points)


def lone(points: Sequence[Point]) -> str:
    """Dots where a point has no neighbour that a line could go to."""
    known = [None, *(None if y is None else (x, y) for x, y in points), None]
    neighbours = zip(known, known[1:], known[2:], strict=False)
    return dots(at for before, at, after in neighbours if at and not before and not after)


def cells(runs: Iterable[tuple[float, float]]) -> str:
    """Boxes of full height from one x to another."""
    return "".join(
        f"M{coordinate(start)} 0H{coordinate(end)}V1000H{coordinate(start)}Z" for start, end in runs
    )


def thinned(values: Sequence[float | None], most: int = MOST_POINTS) -> list[int]:
    """The places of at most `most` values that draw the same line: of each piece, its extremes."""
    if len(values) <= most:
        return list(range(len(values)))
    chosen: list[int] = []
    for start, end in pieces(len(values), most // 2):
        known = [i for i in range(start, end) if values[i] is not None]
        if not known:
            chosen.append(start)
            continue
        ends = {
            min(known, key=lambda i: values[i] or 0.0),
            max(known, key=lambda i: values[i] or 0),
        }
        chosen += sorted(ends)
    return chosen


def pieces(length: int, most: int) -> Iterator[tuple[int, int]]:
    """At most `most` slices of about the same length, as (start, end)."""
    parts = min(length, most)
    for i in range(parts):
        yield length * i // parts, length * (i + 1) // parts
