"""A few real steps of the harness's own training, and all that they did to every tensor."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, cast

import numpy as np

from harness import training
from harness.backends.base import Backend, Parameter
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.probes.models.specimen import Specimen, spread
from harness.probes.runs.declared import declared_rates
from harness.probes.runs.stepping import Recorder, Steps
from harness.record import RunRecord

# A batch is of so many examples at most, and a held-out set of so many.
BATCH = 8
HELD_OUT = 4

Batch = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True)
class ShortRun:
    """What a training did: `batches` are those that it should have seen, `taken` its steps.

    `steps` has the numbers of those steps that were to be taken, as long as they begin with
    finite values, and the learning rates that are declared for them. `starts` (steps, numbers)
    are the values that backward left behind: those of the step before, unless something came
    between.
    """

    config: MilestoneConfig
    labels: list[str]
    batches: list[Batch]
    taken: int
    steps: Steps
    starts: np.ndarray

    @cached_property
    def epoch(self) -> int:
        """How many batches one has."""
        return len(self.batches) // self.config.training.epochs


def few_examples(specimen: Specimen) -> Dataset:
    """One and a half batches, a dozen examples at most: spread over all, neighbours are alike.

    They are varied already, so that every epoch has the same.
    """
    size = min(specimen.config.training.batch_size, BATCH)
    few = fewer(specimen.dataset, max(size + size // 2, 2))
    x, y = few.epoch(specimen.rng("data"))
    return replace(few, train_x=x, train_y=y, vary=None)


def fewer(dataset: Dataset, count: int) -> Dataset:
    """So many training examples and HELD_OUT others, spread over all; they vary as before."""
    rows, others = spread(count, len(dataset.train_x)), spread(HELD_OUT, len(dataset.held_out_x))
    return replace(
        dataset,
        train_x=dataset.train_x[rows],
        train_y=dataset.train_y[rows],
        held_out_x=dataset.held_out_x[others],
        held_out_y=dataset.held_out_y[others],
    )


# `Any` because every setting has a type of its own.
def changed(config: MilestoneConfig, **settings: Any) -> MilestoneConfig:
    """The config with some settings of its training section changed."""
    section = config.training.model_copy(update=settings)
    return config.model_copy(update={"training": section})


def shortened(config: MilestoneConfig, dataset: Dataset, epochs: int) -> MilestoneConfig:
    """The config for few examples, the last batch smaller, evaluated in the middle and after."""
    size = min(config.training.batch_size, -(-2 * len(dataset.train_x) // 3))
    return changed(config, batch_size=size, epochs=epochs, evaluate_every=4, evaluate_rows=HELD_OUT)


def trained(specimen: Specimen, config: MilestoneConfig, dataset: Dataset) -> ShortRun:
    """What `harness.training.train` did, step by step."""
    batches = list(training.batches(config, dataset, specimen.seed))
    watched = Watched(specimen.backend)
    record = training.train(config, cast(Backend, watched), dataset, specimen.seed)
    recorder = watched.recorded(record)
    rates = declared_rates(config, dataset)
    steps = recorder.steps(rates) if record.steps else _no_steps(specimen, record.labels)
    return run_of(config, record, batches, steps, watched.moved)


def run_of(
    config: MilestoneConfig,
    record: RunRecord,
    batches: list[Batch],
    steps: Steps,
    moved: Mapping[int, np.ndarray],
) -> ShortRun:
    """A training with the steps of it that can be held against anything."""
    usable = _usable(steps, min(len(steps.rates), len(batches)))
    begun = usable.values[: len(usable.gradients)].copy()
    for step in range(len(begun)):
        begun[step] = moved.get(step, begun[step])
    return ShortRun(config, record.labels, batches, record.steps, usable, begun)


def _usable(steps: Steps, count: int) -> Steps:
    """The first steps, so many at most and none that begins with values that are not finite."""
    usable = np.isfinite(steps.values[:-1]).all(axis=1)[:count]
    count = len(usable) if usable.all() else int(usable.argmin())
    return first_of(steps, count)


def first_of(steps: Steps, count: int) -> Steps:
    """The first steps, so many."""
    return replace(
        steps,
        values=steps.values[: count + 1],
        gradients=steps.gradients[:count],
        arrived=steps.arrived[:count],
        rates=list(steps.rates[:count]),
    )


def _no_steps(specimen: Specimen, labels: Sequence[str]) -> Steps:
    """What is left of a training that took none."""
    arrays = copies(specimen.backend, list(specimen.model().parameters.values()))
    values = np.concatenate([array.ravel() for array in arrays])[None]
    nothing = np.zeros((0, values.shape[1]))
    shapes = tuple(array.shape for array in arrays)
    return Steps(shapes, values, nothing, np.zeros((0, len(labels)), dtype=bool), [])


def copies(backend: Backend, parameters: Sequence[Parameter]) -> list[np.ndarray]:
    """The numbers of each parameter now, to keep."""
    return [array.copy() for array in backend.arrays(parameters)]


class Watched:
    """A backend that keeps every gradient and every value that the training loop looks at.

    `moved` are the values at those looks at the gradients, counted from 0, at which they were
    others than at the last look at values.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend
        self.recorder: Recorder | None = None
        # At the values, at the gradients.
        self.looks = [0, 0]
        self.moved: dict[int, np.ndarray] = {}

    def __getattr__(self, name: str) -> Any:  # whatever a backend has
        return getattr(self._backend, name)

    def copy_values(self, parameters: Sequence[Parameter], out: np.ndarray) -> None:
        self._backend.copy_values(parameters, out)
        self.looks[0] += 1
        if self.recorder is None:
            self.recorder = Recorder(self._backend, parameters)
        else:
            self.recorder.stepped()

    def copy_gradients(self, parameters: Sequence[Parameter], out: np.ndarray) -> list[int]:
        missing = self._backend.copy_gradients(parameters, out)
        self.looks[1] += 1
        if self.recorder is not None:
            self.recorder.given([self._backend.gradient(each) for each in parameters])
            now = self.recorder.look()
            if now.tobytes() != self.recorder.latest.tobytes():
                self.moved[self.looks[1] - 1] = now
        return missing

    def now(self) -> np.ndarray:
        """The values of all parameters that training looked at."""
        return np.zeros(0) if self.recorder is None else self.recorder.look()

    def recorded(self, record: RunRecord) -> Recorder:
        """What was kept of a training; raises when it did not look at every step."""
        if self.recorder is None or self.looks != [record.steps + 1, record.steps]:
            raise RuntimeError("training did not look at the gradients and values of every step")
        return self.recorder
