"""Every tensor's gradient against finite differences of the harness's own loss, in float64."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

from harness.measurement import Measurement
from harness.metrics import targets_for
from harness.model import Model
from harness.probes.specimen import Specimen

EXAMPLES = 4
# Central differences are off by h^2 f'''/6 + eps |f| / h: least near eps^(1/3) = 6e-6. A
# kink of a ReLU or a pool within one step is not within another direction's ten times smaller.
STEPS = (1e-5, 1e-6, 3e-6)
# Enough for the noise of the smallest step: 1e-16 / 1e-6 of a loss around 1.
NEGLIGIBLE_SLOPE = 1e-3
AGREES = 1e-6


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """One row per tensor and mode: the slope along a random direction of unit length."""
    x, y = specimen.examples(EXAMPLES)
    for training in (True, False):
        gradients = _gradients(specimen, x, y, training)
        for label, gradient in gradients.items():
            yield _row(specimen, x, y, training, label, gradient)


def _gradients(
    specimen: Specimen, x: np.ndarray, y: np.ndarray, training: bool
) -> Mapping[str, np.ndarray | None]:
    """The engine's gradient of every tensor, None where none arrived."""
    backend, name = specimen.backend, specimen.config.training.loss
    model = specimen.wide_model()
    model.set_training(training)
    logits = model(specimen.input(x))
    targets = targets_for(name, backend.array(logits), y)
    backend.backward(backend.namespace.losses[name]()(logits, backend.tensor(targets)))
    return {label: backend.gradient(tensor) for label, tensor in model.parameters.items()}


def _row(
    specimen: Specimen,
    x: np.ndarray,
    y: np.ndarray,
    training: bool,
    label: str,
    gradient: np.ndarray | None,
) -> Measurement:
    """The disagreement of one tensor: the least of a few steps, as kinks are no faults."""
    mode = "training" if training else "evaluation"
    rng = specimen.rng("slopes", mode, label)
    rows = []
    for step in STEPS:
        rows.append(_compared(specimen, x, y, training, label, gradient, step, rng))
        if rows[-1].error <= AGREES:
            break
    return min(rows, key=lambda row: row.error)


def _compared(
    specimen: Specimen,
    x: np.ndarray,
    y: np.ndarray,
    training: bool,
    label: str,
    gradient: np.ndarray | None,
    step: float,
    rng: np.random.Generator,
) -> Measurement:
    values, got = [], 0.0
    direction = np.zeros(0)
    for sign in (1.0, -1.0):
        # Built anew for each value, so that every forward pass draws the same dropout masks.
        model = specimen.wide_model()
        model.set_training(training)
        if direction.size == 0:
            direction = _unit(specimen, model, label, rng)
        _move(specimen, model, label, sign * step * direction)
        values.append(specimen.loss(specimen.outputs(model, x), y))
    slope = (values[0] - values[1]) / (2.0 * step)
    got = 0.0 if gradient is None else float(np.vdot(gradient, direction))
    size = max(NEGLIGIBLE_SLOPE, abs(slope), abs(got))
    what = "no gradient" if gradient is None else "slope"
    mode = "training" if training else "evaluation"
    return Measurement(label, f"{what} in {mode}", got, slope, abs(got - slope) / size)


def _unit(specimen: Specimen, model: Model, label: str, rng: np.random.Generator) -> np.ndarray:
    (array,) = specimen.backend.arrays([model.parameters[label]])
    direction = rng.standard_normal(array.shape)
    return np.asarray(direction / np.linalg.norm(direction))


def _move(specimen: Specimen, model: Model, label: str, shift: np.ndarray) -> None:
    parameter = model.parameters[label]
    (array,) = specimen.backend.arrays([parameter])
    specimen.backend.set_value(parameter, array + shift)
