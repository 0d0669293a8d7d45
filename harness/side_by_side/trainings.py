"""What each engine does in a process of its own: draw weights, or train from given ones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import numpy as np

from harness import backends, datasets
from harness.backends.base import Backend, EngineTensor, Layer, Parameter
from harness.config import MilestoneConfig
from harness.model import build
from harness.probes.models.conventions import other_conventions
from harness.probes.models.specimen import Specimen
from harness.record import RunRecord
from harness.references.course import in_dtype
from harness.training import planned_steps, train
from harness.watches.checkpoints import doubling

# So many first steps all leave fingerprints: as long as rounding can be told from a change.
CLOSELY = 33


@dataclass(frozen=True)
class Drawn:
    """The weights that an engine starts with, the type of numbers that it can be given, and
    its conventions where these are not PyTorch's."""

    weights: Mapping[str, np.ndarray]
    dtype: str
    conventions: tuple[str, ...]

    @property
    def shapes(self) -> dict[str, tuple[int, ...]]:
        """By label."""
        return {label: array.shape for label, array in self.weights.items()}


@dataclass(frozen=True)
class Task:
    """One training: small enough to be sent to a process."""

    config: MilestoneConfig
    backend: str
    weights: Mapping[str, np.ndarray]
    dtype: str
    seed: int


@dataclass(frozen=True)
class Ran:
    """What a training left."""

    record: RunRecord


def draw(config: MilestoneConfig, backend: str, seed: int, dtype: str) -> Drawn:
    """The weights of a milestone by the engine's own start."""
    engine = backends.load(backend)
    model = build(config.layers, engine, seed)
    parameters = list(model.parameters.values())
    arrays = [array.copy() for array in engine.arrays(parameters)]
    weights = dict(zip(model.parameters, arrays, strict=True))
    for parameter, array in zip(parameters, arrays, strict=True):
        engine.set_value(parameter, array.astype(dtype))
    kept = str(np.result_type(*engine.arrays(parameters))) if parameters else dtype
    specimen = Specimen(config, engine, datasets.load(config), seed)
    return Drawn(weights, kept, tuple(other_conventions(specimen)))


def train_from(task: Task) -> Ran:
    """Train a milestone from given weights, in numbers of a type."""
    return Ran(trained(task.config, backends.load(task.backend), task))


def trained(config: MilestoneConfig, backend: Backend, task: Task) -> RunRecord:
    """The record of a whole training by the harness's own loop."""
    dataset = datasets.load(config)
    steps = planned_steps(config, dataset)
    closely = sorted({*range(min(CLOSELY, steps)), *doubling(steps)})
    starting = cast(Backend, Starting(backend, task.weights, task.dtype))
    record = train(config, starting, dataset, task.seed, closely)
    record.backend = backend.name
    return record


class Starting:
    """A backend whose first model has given weights, and whose inputs have their type."""

    def __init__(self, backend: Backend, weights: Mapping[str, np.ndarray], dtype: str) -> None:
        self._backend = backend
        self._left = [array.astype(dtype) for array in weights.values()]
        self._dtype = dtype

    def __getattr__(self, name: str) -> Any:  # whatever a backend has
        return getattr(self._backend, name)

    def parameters(self, layer: Layer) -> Mapping[str, Parameter]:
        """Those of a layer, which get their values: models are built label by label."""
        found = self._backend.parameters(layer)
        for parameter in found.values():
            if self._left:
                self._backend.set_value(parameter, self._left.pop(0))
        return found

    def tensor(self, array: np.ndarray) -> EngineTensor:
        """The engine's tensor for an array; floats in the type of the weights."""
        return self._backend.tensor(in_dtype(array, self._dtype))
