"""Against the base: what came out for each milestone, where the two part, and every effect.

Effects are drawn in units of what is too small to matter, so that one picture holds them all.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from harness.comparison import Cell, Comparison, MilestoneComparison
from harness.reports.comparing.story import (
    Fact,
    capital,
    engine_facts,
    facts,
    is_quiet,
    ordered,
    sides,
    verdict,
)
from harness.reports.comparing.wording import bits, could_have_seen, effect, smallest
from harness.reports.page.drawing import Axis, Drawing, Mark, cells, coordinate, dots, upright
from harness.reports.page.material import Material
from harness.reports.page.words import count, cut, day

# How far a drawing goes, in margins.
_REACH = 4.0
_AXIS = Axis(-_REACH, _REACH)
_MOST_NOTES = 10
_TONES = {
    "REGRESSED": "bad", "removed": "open", "not comparable": "open", "inconclusive": "open",
    "CHANGED-FASTER": "open", "improved": "good", "added": "good", "same": "good",
}  # fmt: skip
_CELL_TONES = {"worse": "bad", "inconclusive": "open", "better": "good"}


@dataclass(frozen=True)
class Effect:
    """One cell: its words, and its interval as a drawing where it has one."""

    quantity: str
    verdict: str
    tone: str
    estimate: str
    detectable: str
    note: str
    drawing: Drawing | None


@dataclass(frozen=True)
class Difference:
    """One milestone on both sides."""

    title: str
    verdict: str
    tone: str
    headline: str
    bits: str
    facts: tuple[Fact, ...]
    effects: tuple[Effect, ...]
    reproduce: str
    # One line that says it all where nothing has changed; "" where something has.
    worth: str


@dataclass(frozen=True)
class Differences:
    """The whole comparison, worst first."""

    base: str
    verdict: str
    sides: str
    problem: str
    created: str
    engine: tuple[Fact, ...]
    rows: tuple[Difference, ...]
    notes: tuple[str, ...]


def section(material: Material) -> Differences | None:
    """What the comparison says; None without one."""
    comparison = material.comparison
    if comparison is None:
        return None
    return Differences(
        base=cut(comparison.base.name, 80),
        verdict=cut(capital(verdict(comparison))),
        sides=cut(sides(comparison)),
        problem=cut(comparison.problem),
        created=day(comparison.created),
        engine=tuple(_cut(fact) for fact in engine_facts(comparison)),
        rows=tuple(_difference(row) for row in ordered(comparison)),
        notes=tuple(_notes(comparison)),
    )


def tone(row: MilestoneComparison) -> str:
    """How good its verdict is: "good", "bad", or "open" for what people must look at."""
    return _TONES[row.verdict]


def _notes(comparison: Comparison) -> Iterator[str]:
    yield from (cut(note) for note in comparison.notes[:_MOST_NOTES])
    if len(comparison.notes) > _MOST_NOTES:
        yield f"and {count(len(comparison.notes) - _MOST_NOTES, 'more note')}"


def _difference(row: MilestoneComparison) -> Difference:
    quantities = {cell.quantity for cell in row.cells}
    return Difference(
        title=cut(row.title, 120),
        verdict=row.verdict,
        tone=tone(row),
        headline=cut(row.headline),
        bits=cut(bits(row.divergence), 160),
        facts=tuple(_cut(fact) for fact in facts(row) if fact.label not in quantities),
        effects=tuple(_effect(cell) for cell in row.cells),
        reproduce=cut(row.reproduce, 400),
        worth=_worth(row) if is_quiet(row) else "",
    )


def _worth(row: MilestoneComparison) -> str:
    """What it says, and what "same" is worth: which effects would have been seen."""
    return cut("; ".join(text for text in (row.headline, could_have_seen(row)) if text))


def _cut(fact: Fact) -> Fact:
    return Fact(fact.label, cut(fact.text), cut(fact.place, 200))


def _effect(cell: Cell) -> Effect:
    is_measured = cell.verdict != "not measured"
    return Effect(
        quantity=cell.quantity,
        verdict=cell.verdict,
        tone=_CELL_TONES.get(cell.verdict, ""),
        estimate=effect(cell) if is_measured else "",
        detectable=smallest(cell) if is_measured and cell.detectable is not None else "",
        note=cut(cell.note, 200),
        drawing=_drawing(cell),
    )


def _drawing(cell: Cell) -> Drawing | None:
    """The interval about no effect, worse to the right; None where there is no number."""
    middle = _margins(cell, cell.estimate)
    if middle is None:
        return None
    ends = [_margins(cell, end) for end in (cell.low, cell.high)]
    low, high = sorted(end if end is not None else middle for end in ends)
    style = _CELL_TONES.get(cell.verdict, "same")
    marks = [
        *([Mark("margin", cells([(_AXIS.at(-1), _AXIS.at(1))]))] if cell.margin else []),
        Mark("nothing", upright(_AXIS.at(0))),
        Mark(f"interval {style}", _interval(_AXIS.at(low), _AXIS.at(high))),
        *(Mark(f"beyond {style}", _arrow(end)) for end in (low, high) if abs(end) > _REACH),
    ]
    if abs(middle) <= _REACH:
        marks.append(Mark(f"estimate {style}", dots([(_AXIS.at(middle), 500.0)])))
    said = f"{cell.quantity}: {effect(cell)}, {cell.verdict}."
    return Drawing(said, tuple(marks))


def _margins(cell: Cell, value: float | None) -> float | None:
    """An effect in units of the margin, more is worse; None where it is no number."""
    if value is None or not math.isfinite(value) or (cell.unit == "x" and value <= 0):
        return None
    away = math.log2(value) if cell.unit == "x" else -value
    unit = cell.margin or cell.detectable or 1.0
    return away / (math.log2(1.0 + unit) if cell.unit == "x" else unit)


def _interval(low: float, high: float) -> str:
    return f"M{coordinate(low)} 500H{coordinate(high)}"


def _arrow(end: float) -> str:
    """A tip at the edge that says that it goes on."""
    return "M985 300L999 500L985 700" if end > 0 else "M15 300L1 500L15 700"
