"""Gradient flow: a heat map for each milestone, with a row for each tensor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.reports.page.drawing import SIZE, Drawing, Mark, cells, coordinate, pieces
from harness.reports.page.material import Material
from harness.reports.page.palette import COLOURS, HIGHEST, LOWEST
from harness.reports.page.words import count, cut, number
from harness.scorecard import ParameterRow, Result

_CELLS = 60
# Of a model with more tensors, the healthy ones are folded away.
MOST_ROWS = 40
_HEALTHY = ("OK", "NULL")


@dataclass(frozen=True)
class TensorFlow:
    """One tensor: its strip, its verdict and what is to be said of it."""

    label: str
    verdict: str
    word: str
    drawing: Drawing

    @property
    def is_healthy(self) -> bool:
        """Whether its gradient is as it must be."""
        return self.verdict in _HEALTHY


@dataclass(frozen=True)
class Flow:
    """One milestone on one seed: its tensors in their order; `missing` says why there are none."""

    milestone: str
    title: str
    seed: int
    steps: int = 0
    shown: tuple[TensorFlow, ...] = ()
    folded: tuple[TensorFlow, ...] = ()
    missing: str = ""

    @property
    def is_healthy(self) -> bool:
        """Whether all gradients are as they must be."""
        return all(each.is_healthy for each in self.shown)


def section(material: Material) -> list[Flow]:
    """A heat map for each milestone: of its first failing seed, else of its first."""
    return [_flow(material, _chosen(material, results)) for results in material.results.values()]


def _chosen(material: Material, results: Sequence[Result]) -> Result:
    name = results[0].milestone
    kept = [r for r in results if material.curve(name, r.seed, "gradient_norm", 2) is not None]
    results = kept or results
    sick = [r for r in results if any(p.verdict not in _HEALTHY for p in r.parameters)]
    failing = [result for result in results if result.status != "pass"]
    return [*sick, *failing, *results][0]


def _flow(material: Material, result: Result) -> Flow:
    norms = material.curve(result.milestone, result.seed, "gradient_norm", 2)
    of = (result.milestone, result.title, result.seed)
    if norms is None or len(norms) == 0:
        return Flow(*of, missing=material.no_curves or "No gradients were kept of it.")
    if norms.shape[1] != len(result.parameters):
        return Flow(*of, missing="The curves beside the scorecard are of another model.")
    rows = _rows(result.parameters, norms)
    if len(rows) <= MOST_ROWS:
        return Flow(*of, steps=len(norms), shown=tuple(rows))
    sick = [row for row in rows if not row.is_healthy]
    shown = sick[:MOST_ROWS] or rows[:MOST_ROWS]
    folded = tuple(row for row in rows if row not in shown)
    return Flow(*of, steps=len(norms), shown=tuple(shown), folded=folded)


def _rows(parameters: Sequence[ParameterRow], norms: np.ndarray) -> list[TensorFlow]:
    parts = list(pieces(len(norms), _CELLS))
    starts = np.array([start for start, _ in parts])
    lengths = np.array([end - start for start, end in parts])[:, None]
    lost = ~np.isfinite(norms)
    clipped = np.clip(np.where(lost, 0.0, norms), 10.0**LOWEST, 10.0**HIGHEST)
    logs = np.add.reduceat(np.log10(clipped), starts, axis=0) / lengths
    # (cells, tensors)
    colours = ((logs - LOWEST) / (HIGHEST - LOWEST) * COLOURS).astype(int).clip(0, COLOURS - 1)
    is_lost = np.logical_or.reduceat(lost, starts, axis=0)
    is_zero = np.logical_and.reduceat(norms == 0.0, starts, axis=0)
    return [
        _row(row, norms[:, i], colours[:, i], is_lost[:, i], is_zero[:, i])
        for i, row in enumerate(parameters)
    ]


def _row(
    row: ParameterRow, norms: np.ndarray, colours: np.ndarray, lost: np.ndarray, zero: np.ndarray
) -> TensorFlow:
    word = _word(row)
    if row.verdict == "NULL":
        said = f"{row.label}: hatched, no gradient by mathematics."
        return TensorFlow(
            cut(row.label, 120), row.verdict, word, Drawing(said, (Mark("null", ""),))
        )
    plain = ~lost & ~zero
    marks = [
        Mark(f"heat-{colour}", cells(_runs(plain & (colours == colour))))
        for colour in range(COLOURS)
        if (plain & (colours == colour)).any()
    ]
    if zero.any():
        marks.append(Mark("zero", cells(_runs(zero))))
    if lost.any():
        marks += [Mark("lost", cells(_runs(lost))), Mark("strokes", _strokes(lost))]
    drawing = Drawing(_said(row.label, norms), tuple(marks))
    return TensorFlow(cut(row.label, 120), row.verdict, word, drawing)


def _word(row: ParameterRow) -> str:
    if row.verdict == "OK":
        return ""
    return cut(row.reason, 200)


def _said(label: str, norms: np.ndarray) -> str:
    finite = norms[np.isfinite(norms)]
    lost = len(norms) - len(finite)
    if len(finite) == 0:
        return f"{label}: no gradient at any of {count(len(norms), 'step')}."
    ends = (
        f"{label}: gradient norm {number(float(finite[0]))} first, {number(float(finite[-1]))} last"
    )
    return f"{ends}; none at {count(lost, 'step')}." if lost else f"{ends}."


def _runs(mask: np.ndarray) -> list[tuple[float, float]]:
    """From where to where neighbouring cells are chosen, on the width of a drawing."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    width = SIZE / len(mask)
    return [
        (float(start) * width, float(end) * width)
        for start, end in zip(edges[::2], edges[1::2], strict=True)
    ]


def _strokes(mask: np.ndarray) -> str:
    """A stroke across each chosen cell: red alone is not seen by everybody."""
    width = SIZE / len(mask)
    places = [(coordinate(i * width), coordinate((i + 1) * width)) for i in np.flatnonzero(mask)]
    return "".join(f"M{left} 1000L{right} 0" for left, right in places)
