"""Every tensor's gradient against finite differences of the harness's own loss, in float64."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from harness.measurement import Measurement
from harness.metrics import targets_for
from harness.model import Model
from harness.probes.specimen import Specimen

EXAMPLES = 4
# Central differences are off by h^2 f'''/6 + eps |f| / h: least near eps^(1/3) = 6e-6.
STEP = 1e-5


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """One row per tensor and mode: the slope along a random direction of unit length."""
    x, y = specimen.examples(EXAMPLES)
    for training in (True, False):
        model = specimen.wide_model()
        model.set_training(training)
        yield from _slopes(specimen, model, x, y, "training" if training else "evaluation")


def _slopes(
    specimen: Specimen, model: Model, x: np.ndarray, y: np.ndarray, mode: str
) -> Iterator[Measurement]:
    backend, name = specimen.backend, specimen.config.training.loss
    logits = model(specimen.input(x))
    targets = targets_for(name, backend.array(logits), y)
    loss = backend.namespace.losses[name]()
    backend.backward(loss(logits, backend.tensor(targets)))
    gradients = [backend.gradient(parameter) for parameter in model.parameters.values()]
    rng = specimen.rng("slopes", mode)
    for (label, parameter), gradient in zip(model.parameters.items(), gradients, strict=True):
        (at,) = backend.arrays([parameter])
        direction = rng.standard_normal(at.shape)
        direction /= np.linalg.norm(direction)
        values = []
        for sign in (1.0, -1.0):
            backend.set_value(parameter, at + sign * STEP * direction)
            values.append(specimen.loss(specimen.outputs(model, x), y))
        backend.set_value(parameter, at)
        slope = (values[0] - values[1]) / (2.0 * STEP)
        got = 0.0 if gradient is None else float(np.vdot(gradient, direction))
        size = max(1e-3, abs(slope), abs(got))
        yield Measurement(label, f"slope while {mode}", got, slope, abs(got - slope) / size)
