"""The training loop: one run of one milestone, written into a record. Knows no check."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator
from time import perf_counter

import numpy as np

from harness.arguments import as_tuples
from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.evaluation import Evaluation
from harness.metrics import LOSSES, targets_for
from harness.model import Model, build
from harness.record import RunRecord
from harness.streams import stream
from harness.watches.checkpoints import CheckpointWatch
from harness.watches.gradients import GradientWatch
from harness.watches.losses import LossWatch


def train(
    config: MilestoneConfig,
    backend: Backend,
    dataset: Dataset,
    seed: int,
    checkpoints: Collection[int] = (),
) -> RunRecord:
    """Train a milestone once and record every step.

    `checkpoints` are steps, counted from 0, whose arrays leave fingerprints. Stops early only
    when the loss is no longer finite; judging that is left to the checks.
    """
    clock = _Clock()
    model = build(config.layers, backend, seed)
    parameters = list(model.parameters.values())
    record = _empty_record(config, backend, dataset, model, seed)
    learner = Learner(config, model)
    evaluation = Evaluation(config, dataset)
    gradients = GradientWatch(backend, parameters)
    losses = LossWatch(LOSSES[config.training.loss][0])
    closely = CheckpointWatch(model, checkpoints)
    clock.lap("building")
    with np.errstate(all="ignore"):  # overflow is watched for, not printed
        evaluation.on_the_way(model, 0, record)
        clock.lap("evaluating")
        for step, (x, y) in enumerate(batches(config, dataset, seed), start=1):
            closely.before_forward()
            outputs, targets = learner.backward(x, y)
            clock.lap("training")
            losses.after_forward(outputs, targets)
            gradients.after_backward()
            closely.after_backward(x, y)
            clock.lap("watching")
            learner.step((step - 1) / record.planned_steps)
            clock.lap("training")
            closely.after_step()
            is_lost = gradients.after_step() and not np.isfinite(losses.sum_up())
            clock.lap("watching")
            if step % config.training.evaluate_every == 0:
                evaluation.on_the_way(model, step, record)
                clock.lap("evaluating")
            if is_lost:
                break
        evaluation.at_the_end(model, record)
        clock.lap("evaluating")
        record.loss = losses.finish()
    record.gradient_norm, record.movement = gradients.finish()
    record.checkpoints = closely.finish()
    record.digest = _digest(record.loss, backend.arrays(parameters))
    clock.lap("watching")
    record.seconds = clock.seconds
    return record


def _empty_record(
    config: MilestoneConfig, backend: Backend, dataset: Dataset, model: Model, seed: int
) -> RunRecord:
    arrays = backend.arrays(list(model.parameters.values()))
    return RunRecord(
        milestone=config.name,
        seed=seed,
        backend=backend.name,
        labels=list(model.parameters),
        shapes=[array.shape for array in arrays],
        initial_norm=np.array([np.linalg.norm(array.astype(np.float64)) for array in arrays]),
        layers=[node.label for node in model.nodes],
        dtype=str(np.result_type(*arrays)) if arrays else "",
        planned_steps=planned_steps(config, dataset),
        batch_size=config.training.batch_size,
        held_out_examples=len(dataset.held_out_x),
        targets_per_example=dataset.held_out_y[0].size,
        majority_accuracy=dataset.majority_accuracy,
        data_digest=dataset.digest,
    )


def planned_steps(config: MilestoneConfig, dataset: Dataset) -> int:
    """How many steps the training of a milestone takes."""
    return config.training.epochs * -(-len(dataset.train_x) // config.training.batch_size)


class Learner:
    """The model with its loss and its optimizer: one step in two halves, to look between them."""

    def __init__(self, config: MilestoneConfig, model: Model) -> None:
        self._training = config.training
        self._model = model
        self._parameters = list(model.parameters.values())
        space = model.backend.namespace
        given = config.training.optimizer_arguments
        arguments = {name: as_tuples(value) for name, value in given.items()}
        self._loss = space.losses[config.training.loss]()
        self._optimizer = space.optimizers[config.training.optimizer](self._parameters, **arguments)
        self._replayed = model.backend.replayed(self._pass, self._parameters)

    def backward(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Logits and targets of one batch, whose gradients now are with the parameters."""
        self._optimizer.zero_grad()
        # Whoever looks at the layers of a step wants it to run through them.
        is_watched = self._model.seen is not None
        outputs, targets = (self._pass if is_watched else self._replayed)(x, y)
        return outputs, targets

    def _pass(self, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, ...]:
        backend = self._model.backend
        logits = self._model(backend.tensor(x))
        outputs = backend.array(logits)
        targets = targets_for(self._training.loss, outputs, y)
        loss = self._loss(logits, backend.tensor(targets))
        backend.backward(loss)
        return outputs, targets

    def step(self, done: float) -> None:
        """Clip and move; `done` is how much of the training is over, from 0 to 1."""
        training, backend = self._training, self._model.backend
        if training.clip_grad_norm is not None:
            backend.clip_grad_norm(self._parameters, training.clip_grad_norm)
        if training.lr_decay is not None:
            backend.set_lr(self._optimizer, training.lr * (1.0 - done))
        self._optimizer.step()


def batches(
    config: MilestoneConfig, dataset: Dataset, seed: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All batches of all epochs: each example once an epoch, in an order of its own."""
    order, data = stream(seed, "order"), stream(seed, "data")
    size = config.training.batch_size
    for _ in range(config.training.epochs):
        x, y = dataset.epoch(data)
        rows = order.permutation(len(x))
        for start in range(0, len(x), size):
            chosen = rows[start : start + size]
            yield x[chosen], y[chosen]


def _digest(loss: np.ndarray, arrays: list[np.ndarray]) -> str:
    digest = hashlib.sha256(loss.tobytes())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class _Clock:
    """Wall-clock seconds by phase: `lap` books the time since the last one."""

    def __init__(self) -> None:
        self.seconds = {
            "probing": 0.0,
            "building": 0.0,
            "training": 0.0,
            "watching": 0.0,
            "evaluating": 0.0,
        }
        self._last = perf_counter()

    def lap(self, phase: str) -> None:
        now = perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now
