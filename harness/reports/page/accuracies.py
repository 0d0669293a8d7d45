"""Accuracy by seed: each seed's, the target, the best control, and the base's seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.reports.page.drawing import Axis, Drawing, Mark, dots, line, upright
from harness.reports.page.material import Material
from harness.reports.page.words import count, cut, finite, middle, share
from harness.reports.summary import why_not_run

_AXIS = Axis(0.0, 1.0)
_ALONE, _HEAD, _BASE = 500.0, 720.0, 280.0


@dataclass(frozen=True)
class AccuracyRow:
    """One milestone: the drawing, and the same in words."""

    milestone: str
    title: str
    drawing: Drawing
    seeds: str
    target: str
    reached: str
    is_short: bool
    control: str


@dataclass(frozen=True)
class Accuracies:
    """All milestones, and which marks the drawings have."""

    rows: tuple[AccuracyRow, ...]
    has_base: bool
    has_control: bool


def section(material: Material) -> Accuracies | None:
    """The accuracies of the scorecard, else of the comparison's head; None where there are none."""
    rows = [_of_results(material, name) for name in material.results]
    if not material.scorecard and material.comparison:
        rows = [
            _row(material, each.milestone, each.title, each.head_accuracy, each.target)
            for each in material.comparison.milestones
            if each.head_accuracy or each.base_accuracy
        ]
    if not rows:
        return None
    return Accuracies(
        tuple(rows),
        has_base=any(mark.style == "base-dots" for row in rows for mark in row.drawing.marks),
        has_control=any(row.control for row in rows),
    )


def _of_results(material: Material, name: str) -> AccuracyRow:
    results = material.results[name]
    values = [result.accuracy.held_out for result in results if not why_not_run(result)]
    return _row(material, name, results[0].title, values, results[0].accuracy.target)


def _row(
    material: Material,
    name: str,
    title: str,
    values: Sequence[float | None],
    target: float | None,
) -> AccuracyRow:
    known = finite(values)
    compared = material.compared(name)
    base = finite(compared.base_accuracy) if compared else []
    control = _control(material, name)
    is_measured = target is not None and len(values) > 0
    reached = sum(value >= target for value in known) if target is not None else 0
    marks = [
        *([Mark("control", upright(_AXIS.at(control[1])))] if control else []),
        *([Mark("target", upright(_AXIS.at(target)))] if target is not None else []),
        *_seeds("base", base, _BASE),
        *_seeds("head", known, _HEAD if base else _ALONE),
    ]
    return AccuracyRow(
        milestone=name,
        title=title,
        drawing=Drawing(_said(title, known, base, target, control), tuple(marks)),
        seeds=_spread(known),
        target=f"{target:g}" if target is not None else "",
        reached=f"{reached} of {count(len(values), 'seed')}" if is_measured else "",
        is_short=is_measured and reached < len(values),
        control=f"{cut(control[0], 60)} {share(control[1])}" if control else "",
    )


def _seeds(style: str, values: Sequence[float], height: float) -> list[Mark]:
    if not values:
        return []
    places = sorted({round(_AXIS.at(value), 1) for value in values})
    return [
        Mark(f"{style}-span", line([(places[0], height), (places[-1], height)])),
        Mark(f"{style}-dots", dots((x, height) for x in places)),
    ]


def _control(material: Material, name: str) -> tuple[str, float] | None:
    """What must fail beside it: the best of the controls, and its best accuracy."""
    controls = material.calibrations.get(name, {}).get("controls") or {}
    found = [(label, float(each["accuracy"]["highest"])) for label, each in controls.items()]
    return max(found, key=lambda each: each[1], default=None)


def _spread(values: Sequence[float]) -> str:
    if not values:
        return "none measured"
    return " to ".join(dict.fromkeys(map(share, (min(values), max(values)))))


def _said(
    title: str,
    values: Sequence[float],
    base: Sequence[float],
    target: float | None,
    control: tuple[str, float] | None,
) -> str:
    parts = [f"Accuracy of {title} on {count(len(values), 'seed')}: {_spread(values)}"]
    if len(values) > 1:
        parts.append(f"median {share(middle(values))}")
    if base:
        parts.append(f"the base's {_spread(base)}")
    if target is not None:
        parts.append(f"target {target:g}")
    if control:
        parts.append(f"best control ({control[0]}) {share(control[1])}")
    return "; ".join(parts) + "."
