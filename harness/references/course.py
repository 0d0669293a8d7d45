"""A few steps of a milestone's training from given weights on given batches, and all they did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.fingerprints import norm, sketch
from harness.metrics import LOSSES, targets_for
from harness.model import Model, build
from harness.training import Learner


@dataclass(frozen=True)
class Start:
    """Where a course begins and what it meets: all that two engines must have in common.

    `weights` are by label; `x` and `y` have one batch for each step. `planned_steps` are those
    of the whole training, by which a schedule goes.
    """

    weights: Mapping[str, np.ndarray]
    x: np.ndarray
    y: np.ndarray
    planned_steps: int

    @property
    def steps(self) -> int:
        """How many there are."""
        return len(self.x)


@dataclass(frozen=True)
class Course:
    """What a model went through; s steps, P numbers of all tensors end to end.

    `logits` and `engine_loss` are of the first step, `loss` (s,) is the harness's own of all.
    `gradients` and `values`, after each step, are (s, P); `missing` lists the tensors that got no
    gradient.
    """

    shapes: Mapping[str, tuple[int, ...]]
    dtype: str
    logits: np.ndarray
    engine_loss: float
    loss: np.ndarray
    gradients: np.ndarray
    values: np.ndarray
    missing: Sequence[Sequence[str]] = field(default_factory=list)


def take(config: MilestoneConfig, backend: Backend, start: Start, dtype: str) -> Course:
    """Every step of a course, by the harness's own training in numbers of this type.

    An engine may keep to another type: the course's own says which. Raises ValueError when the
    model has other tensors than the start.
    """
    model = build(config.layers, backend, 0)
    place(model, {name: array.astype(dtype) for name, array in start.weights.items()})
    parameters = list(model.parameters.values())
    arrays = backend.arrays(parameters)
    shapes = {name: array.shape for name, array in zip(model.parameters, arrays, strict=True)}
    size = sum(array.size for array in arrays)
    gradients, values = np.zeros((start.steps, size)), np.zeros((start.steps, size))
    learner, loss, missing = Learner(config, model), np.zeros(start.steps), []
    for step in range(start.steps):
        x, y = in_dtype(start.x[step], dtype), start.y[step]
        outputs, targets = learner.backward(x, y)
        loss[step] = LOSSES[config.training.loss][0](outputs, targets)
        if not step:
            logits = outputs.copy()
            engine_loss = _engine_loss(config, backend, logits, y)
        lost = backend.copy_gradients(parameters, gradients[step])
        missing.append([[*shapes][i] for i in lost])
        learner.step(step / start.planned_steps)
        backend.copy_values(parameters, values[step])
    kept = str(np.result_type(*arrays))
    return Course(shapes, kept, logits, engine_loss, loss, gradients, values, missing)


def place(model: Model, weights: Mapping[str, np.ndarray]) -> None:
    """Give a model its weights; raises ValueError when it has other tensors than these."""
    backend = model.backend
    if odd := sorted(model.parameters.keys() ^ weights.keys()):
        raise ValueError(f"its tensors are not those of the start: {', '.join(odd)}")
    for label, parameter in model.parameters.items():
        shape, needed = backend.array(parameter).shape, weights[label].shape
        if shape != needed:
            raise ValueError(f"{label} has the shape {shape}, at the start it is {needed}")
        backend.set_value(parameter, weights[label].copy())


def in_dtype(x: np.ndarray, dtype: str) -> np.ndarray:
    """Inputs in a type of numbers; tokens are left as they are."""
    return x.astype(dtype) if x.dtype.kind == "f" else x


def split(flat: np.ndarray, shapes: Mapping[str, tuple[int, ...]]) -> dict[str, np.ndarray]:
    """(..., P) -> by label (..., size of that tensor)."""
    ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
    return dict(zip(shapes, np.split(flat, ends, axis=-1), strict=True))


def prints(
    numbers: np.ndarray, shapes: Mapping[str, tuple[int, ...]]
) -> tuple[np.ndarray, np.ndarray]:
    """(s, P) -> norms (s, t) and sketches (s, t, w) of every tensor at every step."""
    rows = [[*split(row, shapes).values()] for row in numbers]
    norms = np.array([[norm(each) for each in row] for row in rows])
    return norms, np.array([[sketch(each) for each in row] for row in rows])


def _engine_loss(
    config: MilestoneConfig, backend: Backend, logits: np.ndarray, y: np.ndarray
) -> float:
    """What the engine itself makes of its logits."""
    name = config.training.loss
    targets = targets_for(name, logits, y)
    loss = backend.namespace.losses[name]()
    with backend.no_grad():
        found = loss(backend.tensor(logits.copy()), backend.tensor(targets))
    return float(np.mean(backend.array(found)))
