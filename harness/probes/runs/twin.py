"""Training's parts, each handled directly: a `Twin` of the model, and its optimizer `by_hand`.

What the training loop makes of them is held against what they do by themselves.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.config import MilestoneConfig
from harness.probes.models.specimen import Specimen
from harness.probes.runs.declared import declared_options
from harness.probes.runs.short_run import Batch, ShortRun
from harness.probes.runs.stepping import Steps


class Twin:
    """A fresh model of the same seed, put at any weights to take the gradient of a batch.

    One that draws at random (dropout) draws what training draws, if it is asked for the same
    batches in the same order.
    """

    def __init__(self, specimen: Specimen) -> None:
        self._specimen = specimen
        self._model = specimen.model()
        self._model.set_training(True)
        self._parameters = list(self._model.parameters.values())

    def gradient(self, steps: Steps, values: np.ndarray, batch: Batch) -> np.ndarray:
        """The gradient of the mean loss at these values, end to end; zeros where none arrives."""
        backend = self._specimen.backend
        places = zip(self._parameters, steps.slices, steps.shapes, strict=True)
        for parameter, place, shape in places:
            backend.set_value(parameter, values[place].reshape(shape).copy())
            backend.set_gradient(parameter, None)
        x, y = batch
        backend.backward(self._specimen.engine_loss(self._model(backend.tensor(x)), y))
        out = np.empty(values.shape, values.dtype)
        backend.copy_gradients(self._parameters, out)
        return out


def gradients_of(
    specimen: Specimen, steps: Steps, values: Sequence[np.ndarray], batches: Sequence[Batch]
) -> np.ndarray:
    """(batches, numbers) the gradient of each batch at its values, by a new twin."""
    twin = Twin(specimen)
    pairs = zip(values, batches, strict=True)
    found = [twin.gradient(steps, each, batch) for each, batch in pairs]
    return np.array(found, steps.values.dtype).reshape(len(found), steps.values.shape[1])


def expected_gradients(specimen: Specimen, run: ShortRun) -> np.ndarray:
    """(steps, numbers) what the gradients of a run should have been."""
    steps = run.steps
    count = len(steps.gradients)
    return gradients_of(specimen, steps, list(steps.values[:count]), run.batches[:count])


def by_hand(specimen: Specimen, config: MilestoneConfig, steps: Steps) -> np.ndarray:
    """(steps, numbers) what the declared optimizer adds when it gets these gradients and rates."""
    backend, section = specimen.backend, config.training
    starts = [steps.values[0, place] for place in steps.slices]
    parameters = [
        backend.leaf(start.reshape(shape).copy())
        for start, shape in zip(starts, steps.shapes, strict=True)
    ]
    options = declared_options(config)
    factory = backend.namespace.optimizers[section.optimizer]
    optimizer = factory(parameters, lr=section.lr, **options)
    changes = np.zeros(steps.gradients.shape)
    out = np.empty(steps.values.shape[1], steps.values.dtype)
    for step, (values, gradients) in enumerate(
        zip(steps.values[:-1], steps.gradients, strict=True)
    ):
        for i, (parameter, place) in enumerate(zip(parameters, steps.slices, strict=True)):
            shape, has_gradient = steps.shapes[i], steps.arrived[step, i]
            gradient = gradients[place].reshape(shape).astype(out.dtype)
            backend.set_value(parameter, values[place].reshape(shape).copy())
            backend.set_gradient(parameter, gradient if has_gradient else None)
        if section.lr_decay is not None:
            backend.set_lr(optimizer, steps.rates[step])
        optimizer.step()
        backend.copy_values(parameters, out)
        changes[step] = np.subtract(out, values, dtype=np.float64)
    return changes
