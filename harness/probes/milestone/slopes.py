"""Every tensor's gradient against finite differences of the harness's own loss, in float64."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

import numpy as np

from harness.measurement import Measurement
from harness.probes.differences import AGREES, random_directions, slope_row
from harness.probes.models.blame import wrong_parts
from harness.probes.models.objective import Gradients, Objective
from harness.probes.models.specimen import Specimen

EXAMPLES = 4
# Gradients that are one multiple of the slopes agree about it that well.
ONE_FACTOR = 1e-4
# A slope this small beside the largest says nothing about a factor.
TOO_SMALL = 1e-4


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """One row per tensor and mode: the slope along a random direction of unit length.

    Where some disagree, the parts that are to blame come first. Where evaluation has the very
    gradients of training, it is measured along one direction through all tensors at once.
    """
    x, y = specimen.examples(EXAMPLES)
    training = Objective(specimen, x, y, training=True)
    known = training.gradients()
    yield from _judged(training, list(_rows(training, known)))
    evaluation = Objective(specimen, x, y, training=False)
    gradients = evaluation.gradients()
    if not _equal(gradients, known):
        yield from _judged(evaluation, list(_rows(evaluation, gradients)))
        return
    all_at_once = _together(evaluation, gradients)
    yield all_at_once
    if not all_at_once.error <= AGREES:
        yield from _judged(evaluation, list(_rows(evaluation, gradients)))


def _rows(objective: Objective, gradients: Gradients) -> Iterator[Measurement]:
    rng = objective.specimen.rng("slopes", objective.mode)
    for label, gradient in gradients.items():
        directions = random_directions(objective.values[label].shape, rng)
        moved = partial(_moved_one, objective, label)
        yield slope_row(label, f"slope in {objective.mode}", moved, gradient, directions)


def _moved_one(objective: Objective, label: str, shift: np.ndarray) -> float:
    return objective.moved({label: shift})


def _together(objective: Objective, gradients: Gradients) -> Measurement:
    """The slope along one direction through all tensors at once."""
    rng = objective.specimen.rng("slopes", "together")
    gradient = objective.end_to_end(gradients)
    what = f"slope of all tensors at once in {objective.mode}"
    directions = random_directions(gradient.shape, rng)
    return slope_row("the model", what, objective.moved_together, gradient, directions)


def _equal(some: Gradients, others: Gradients) -> bool:
    pairs = zip(some.values(), others.values(), strict=True)
    return all(
        one is other if one is None or other is None else np.array_equal(one, other)
        for one, other in pairs
    )


def _judged(objective: Objective, rows: list[Measurement]) -> Iterator[Measurement]:
    """The rows; before them, where some disagree, what is to blame."""
    wrong = [row for row in rows if not row.error <= AGREES]
    if wrong:
        yield from _common_factor(objective, rows)
        yield from wrong_parts(objective)
    yield from rows


def _common_factor(objective: Objective, rows: list[Measurement]) -> Iterator[Measurement]:
    """One row that blames the loss when all gradients are one multiple of the slopes."""
    largest = max(abs(row.expected) for row in rows)
    factors = [row.got / row.expected for row in rows if abs(row.expected) > TOO_SMALL * largest]
    if not factors or not np.isfinite(factors).all() or any(np.isinf(row.error) for row in rows):
        return
    factor = float(np.median(factors))
    spread = max(abs(each - factor) for each in factors)
    error = abs(factor - 1.0)
    if spread <= ONE_FACTOR * abs(factor) and error > ONE_FACTOR:
        name = objective.specimen.config.training.loss
        what = f"all gradients in {objective.mode}, as a multiple of the slopes"
        yield Measurement(name, what, factor, 1.0, error)
