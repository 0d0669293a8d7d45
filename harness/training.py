"""The training loop: one run of one milestone, written into a record. Knows no check."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from time import perf_counter

import numpy as np

from harness.arguments import as_tuples
from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.metrics import LOSSES, accuracy, targets_for
from harness.model import Model, build
from harness.probes.gradients import GradientWatch
from harness.probes.losses import LossWatch
from harness.record import RunRecord
from harness.streams import stream


def train(config: MilestoneConfig, backend: Backend, dataset: Dataset, seed: int) -> RunRecord:
    """Train a milestone once and record every step.

    Stops early only when the loss is no longer finite; judging that is left to the checks.
    """
    clock = _Clock()
    model = build(config.layers, backend, seed)
    record = _empty_record(config, backend, dataset, model, seed)
    clock.lap("building")
    gradients = GradientWatch(backend, list(model.parameters.values()))
    losses = LossWatch(LOSSES[config.training.loss][0])
    with np.errstate(all="ignore"):  # overflow is watched for, not printed
        _loop(config, model, dataset, seed, gradients, losses, clock, record)
        record.loss = losses.finish()
    record.gradient_norm, record.movement = gradients.finish()
    record.digest = _digest(record.loss, backend.arrays(list(model.parameters.values())))
    clock.lap("watching")
    record.seconds = clock.seconds
    return record


def _empty_record(
    config: MilestoneConfig, backend: Backend, dataset: Dataset, model: Model, seed: int
) -> RunRecord:
    training = config.training
    steps_per_epoch = -(-len(dataset.train_x) // training.batch_size)
    return RunRecord(
        milestone=config.name,
        seed=seed,
        backend=backend.name,
        labels=list(model.parameters),
        shapes=[array.shape for array in backend.arrays(list(model.parameters.values()))],
        planned_steps=training.epochs * steps_per_epoch,
        batch_size=training.batch_size,
        held_out_examples=len(dataset.held_out_x),
        majority_accuracy=dataset.majority_accuracy,
        data_digest=dataset.digest,
    )


def _loop(
    config: MilestoneConfig,
    model: Model,
    dataset: Dataset,
    seed: int,
    gradients: GradientWatch,
    losses: LossWatch,
    clock: _Clock,
    record: RunRecord,
) -> None:
    backend, training = model.backend, config.training
    parameters = list(model.parameters.values())
    loss_function = backend.namespace.losses[training.loss]()
    arguments = {name: as_tuples(value) for name, value in training.optimizer_arguments.items()}
    optimizer = backend.namespace.optimizers[training.optimizer](parameters, **arguments)
    clock.lap("building")
    _evaluate(config, model, dataset, 0, record)
    clock.lap("evaluating")
    for step, (x, y) in enumerate(batches(config, dataset, seed), start=1):
        logits = model(backend.tensor(x))
        outputs = backend.array(logits)
        targets = targets_for(training.loss, outputs, y)
        loss = loss_function(logits, backend.tensor(targets))
        optimizer.zero_grad()
        backend.backward(loss)
        if training.clip_grad_norm is not None:
            backend.clip_grad_norm(parameters, training.clip_grad_norm)
        clock.lap("training")
        losses.after_forward(outputs, targets)
        gradients.after_backward()
        clock.lap("watching")
        optimizer.step()
        clock.lap("training")
        stop = gradients.after_step() and not np.isfinite(losses.sum_up())
        clock.lap("watching")
        if stop or step % training.evaluate_every == 0 or step == record.planned_steps:
            _evaluate(config, model, dataset, step, record)
            clock.lap("evaluating")
        if stop:
            break


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


def _evaluate(
    config: MilestoneConfig, model: Model, dataset: Dataset, step: int, record: RunRecord
) -> None:
    """Loss and accuracy on the held-out examples, computed from the logits."""
    backend = model.backend
    loss_function, predict = LOSSES[config.training.loss]
    model.set_training(False)
    with backend.no_grad():
        logits = backend.array(model(backend.tensor(dataset.held_out_x)))
    model.set_training(True)
    targets = targets_for(config.training.loss, logits, dataset.held_out_y)
    mask = dataset.scored_mask
    scored = None if mask is None else mask.reshape(targets.shape)
    record.evaluated_at = np.append(record.evaluated_at, step)
    record.accuracy = np.append(record.accuracy, accuracy(predict(logits), targets, scored))
    record.held_out_loss = np.append(record.held_out_loss, loss_function(logits, targets))


def _digest(loss: np.ndarray, arrays: list[np.ndarray]) -> str:
    digest = hashlib.sha256(loss.tobytes())
    for array in arrays:
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


class _Clock:
    """Wall-clock seconds by phase: `lap` books the time since the last one."""

    def __init__(self) -> None:
        self.seconds = {"building": 0.0, "training": 0.0, "watching": 0.0, "evaluating": 0.0}
        self._last = perf_counter()

    def lap(self, phase: str) -> None:
        now = perf_counter()
        self.seconds[phase] += now - self._last
        self._last = now
