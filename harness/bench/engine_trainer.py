"""A backend in the bench: trained by the same Learner that trains the milestones."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Any, cast

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend
from harness.bench.trainer import Apart, Clock, Trainer
from harness.bench.workload import Step, Workload, require_offered
from harness.metrics import LOSSES, targets_for
from harness.model import Model, build
from harness.training import Learner

# PyTorch's optimizers do the same in three ways, and which is fastest depends on the model.
_OPTIMIZER_WAYS: dict[str, dict[str, bool]] = {
    "foreach=False": {"foreach": False},
    "foreach=True": {"foreach": True},
    "fused=True": {"fused": True},
}

# What an engine that replays a step may need to see of it first.
_CALLS_TO_LEARN = 15

Pass = Callable[..., tuple[np.ndarray, ...]]


class EngineTrainer(Trainer):
    """See `Trainer` for what each function does."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.version = backend.version
        self._workload: Workload
        self._model: Model
        self._learner: Learner
        self._ahead: Pass | None = None

    def prepare(self, workload: Workload) -> None:
        require_offered(workload, self._backend)
        self._workload = workload
        factory = self._backend.namespace.optimizers[workload.config.training.optimizer]
        ways = [way for way, given in _OPTIMIZER_WAYS.items()
                if all(accepts(factory, name) for name in given)]  # fmt: skip
        self.ways = tuple(ways) or ("",)

    def begin(self, way: str) -> None:
        workload, backend = self._workload, self._backend
        self._model = model = build(workload.config.layers, backend, 0)
        for label, array in workload.weights.items():
            backend.set_value(model.parameters[label], array.copy())
        # A Learner asks for factories once, when it is made.
        model.backend = _seen_through(backend, namespace=_namespace(backend, way))
        self._learner = Learner(workload.config, model)
        model.backend = backend
        self._ahead = None

    def take(self, steps: Sequence[Step]) -> None:
        learner = self._learner
        for step in steps:
            learner.backward(step.x, step.y)
            learner.step(step.done)

    def losses(self, steps: Sequence[Step]) -> list[float]:
        loss, found = LOSSES[self._workload.config.training.loss][0], []
        for step in steps:
            found.append(float(loss(*self._learner.backward(step.x, step.y))))
            self._learner.step(step.done)
        return found

    def apart(self, steps: Sequence[Step], clock: Clock) -> list[Apart]:
        """Forward is a pass without gradients, the loss included; backward is what one with them
        takes longer: an engine that replays a step does both at once.
        """
        if self._ahead is None:
            self._ahead = self._forward()
            for step in list(steps[:1]) * _CALLS_TO_LEARN:
                self._ahead(step.x, step.y)
        return [self._step_apart(step, self._ahead, clock) for step in steps]

    def _forward(self) -> Pass:
        """From a batch to its loss, as fast as the engine can do it again and again."""
        backend, loss = self._backend, self._workload.config.training.loss
        measure = backend.namespace.losses[loss]()

        def forward(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
            logits = self._model(backend.tensor(x))
            targets = targets_for(loss, backend.array(logits), y)
            return (backend.array(measure(logits, backend.tensor(targets))),)

        parameters = list(self._model.parameters.values())
        return backend.replayed(forward, parameters, sends_gradients=False)

    def _step_apart(self, step: Step, ahead: Pass, clock: Clock) -> Apart:
        start = clock()
        ahead(step.x, step.y)
        there = clock()
        self._learner.backward(step.x, step.y)
        back = clock()
        self._learner.step(step.done)
        forward = there - start
        return forward, back - there - forward, clock() - back


def _namespace(backend: Backend, way: str) -> object:
    """The factories of an engine, with its optimizers told to go one way."""
    space, given = backend.namespace, _OPTIMIZER_WAYS.get(way, {})
    optimizers = {name: partial(factory, **given) for name, factory in space.optimizers.items()}
    return replace(space, optimizers=optimizers) if given else space


class _SeenThrough:
    """A backend with something else in the place of some attributes."""

    def __init__(self, backend: Backend, changed: dict[str, Any]) -> None:
        self._backend = backend
        self.__dict__.update(changed)

    def __getattr__(self, name: str) -> Any:  # whatever the backend has
        return getattr(self._backend, name)


def _seen_through(backend: Backend, **changed: Any) -> Backend:
    return cast(Backend, _SeenThrough(backend, changed))
