"""`Objective`: the harness's own loss of a few examples as a function of a model's tensors."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from harness.backends.base import EngineTensor
from harness.model import Model
from harness.probes.models.specimen import Specimen

# The gradient of every tensor by label, None where none arrived.
Gradients = dict[str, np.ndarray | None]


class Objective:
    """A specimen's model in float64, away from its start, with some examples, in one mode.

    A model that draws at random (dropout) is built anew for every look at it, so that every
    forward pass draws the same.
    """

    def __init__(self, specimen: Specimen, x: np.ndarray, y: np.ndarray, training: bool) -> None:
        self.specimen = specimen
        self.training = training
        self.x, self.y = x, y
        self._model = self._fresh()
        self.is_random = specimen.draws(self._model, x[:2])
        arrays = specimen.backend.arrays(list(self._model.parameters.values()))
        copies = (array.copy() for array in arrays)
        self.values = dict(zip(self._model.parameters, copies, strict=True))

    @property
    def mode(self) -> str:
        """The name of the mode."""
        return "training" if self.training else "evaluation"

    def model(self) -> Model:
        """The model; whoever changes it changes it back."""
        return self._fresh() if self.is_random else self._model

    def _fresh(self) -> Model:
        model = self.specimen.wide_model()
        model.set_training(self.training)
        return model

    def moved(self, moves: Mapping[str, np.ndarray]) -> float:
        """The loss when some tensors are moved by so much."""
        model, backend = self.model(), self.specimen.backend
        for label, shift in moves.items():
            backend.set_value(model.parameters[label], self.values[label] + shift)
        loss = self.specimen.loss(self.specimen.outputs(model, self.x), self.y)
        for label in moves:
            backend.set_value(model.parameters[label], self.values[label].copy())
        return loss

    def moved_together(self, shift: np.ndarray) -> float:
        """The loss when all tensors, end to end, are moved by a vector."""
        ends = np.cumsum([each.size for each in self.values.values()])[:-1]
        parts = zip(self.values.items(), np.split(shift, ends), strict=True)
        return self.moved({label: part.reshape(at.shape) for (label, at), part in parts})

    def gradients(self) -> Gradients:
        """The engine's gradient of every tensor."""
        return gradients(self.specimen, self.model(), self.x, self.y)

    def end_to_end(self, found: Gradients) -> np.ndarray:
        """All gradients in one vector, zeros where none arrived."""
        every = ((found[label], at) for label, at in self.values.items())
        parts = [np.zeros(at.size) if each is None else each.ravel() for each, at in every]
        return np.concatenate(parts)


def gradients(specimen: Specimen, model: Model, x: np.ndarray, y: np.ndarray) -> Gradients:
    """The gradient of the engine's loss for every tensor of a model."""
    backend = specimen.backend
    for parameter in model.parameters.values():
        backend.set_gradient(parameter, None)
    backend.backward(engine_loss(specimen, model, x, y))
    found = {label: backend.gradient(tensor) for label, tensor in model.parameters.items()}
    return {label: None if each is None else each.copy() for label, each in found.items()}


def engine_loss(specimen: Specimen, model: Model, x: np.ndarray, y: np.ndarray) -> EngineTensor:
    """The engine's own loss of some examples, with its graph."""
    return specimen.engine_loss(model(specimen.input(x)), y)
