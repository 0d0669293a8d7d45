"""A milestone before it is trained: history, layers with shapes, target and controls."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np

from harness.preparation import Outline


def render(outline: Outline, calibration: dict[str, Any] | None) -> str:
    """Text for `harness show NAME`; `calibration` is what is on record, if anything."""
    return "\n".join(
        [*_history(outline), "", *_layers(outline), "", *_results(outline, calibration)]
    )


def _history(outline: Outline) -> list[str]:
    config = outline.config
    return [
        f"{config.title} ({config.year})",
        *textwrap.wrap(config.summary, 96),
        *textwrap.wrap(f"{', '.join(config.people)}: {config.paper}", 96),
    ]


def _layers(outline: Outline) -> list[str]:
    rows = [("layer", "type", "output", "tensors")]
    first = ("input", "", _shape(outline.dataset.epoch(np.random.default_rng(0))[0].shape), "")
    rows.append(first)
    for row in outline.rows:
        tensors = ", ".join(
            f"{label.removeprefix(row.label + '.')} {'x'.join(map(str, shape)) or '1'}"
            for label, shape in row.parameters.items()
        )
        rows.append(("  " * row.depth + row.label, row.type, _shape(row.out_shape), tensors))
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return [
        "  ".join([*(cell.ljust(w) for cell, w in zip(row, widths, strict=False)), row[3]]).rstrip()
        for row in rows
    ]


def _shape(shape: tuple[int, ...]) -> str:
    """A batch's shape with N for the examples; a first axis that is not examples shows too."""
    return f"({', '.join(['N', *map(str, shape[1:])])})"


def _results(outline: Outline, calibration: dict[str, Any] | None) -> list[str]:
    config, parameters = outline.config, outline.parameters
    weights = sum(int(np.prod(shape)) for shape in parameters.values())
    epochs = config.training.epochs
    plural = "s" if epochs > 1 else ""
    trained = f"{epochs} epoch{plural} of {len(outline.dataset.train_x)} examples"
    lines = [
        f"{len(parameters)} tensors, {weights} weights; {config.training.optimizer}, {trained}"
    ]
    for label, why in config.expectations.null_gradients.items():
        lines.append(f"null gradient: {label} ({why})")
    lines.append(
        f"target: accuracy {config.targets.accuracy:g} on {len(outline.dataset.held_out_x)} "
        f"held-out examples; always the same answer: {outline.dataset.majority_accuracy:.3f}"
    )
    if calibration is None or calibration["config"] != config.digest:
        return [*lines, "not calibrated: `harness calibrate` measures what to expect"]
    band = calibration["accuracy"]
    lines.append(
        f"on record: {band['lowest']:.3f} to {band['highest']:.3f}, median {band['median']:.3f}, "
        f"on {calibration['seeds']} seeds"
    )
    for label, control in calibration["controls"].items():
        lines.append(
            f"control {label}: at most {control['accuracy']['highest']:.3f} ({control['why']})"
        )
    return lines
