"""Batches that part pairs, repeat or lose examples, or come in an order that is none."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import chain, repeat

import numpy as np

from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.streams import stream
from harness.training import batches

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_BATCHES = ("the batches", "the data")
_SOUND = ("batches_are_sound",)

Pair = tuple[np.ndarray, np.ndarray]


def _with_batches(ground: Ground, change: Callable[[Iterator[Pair]], Iterator[Pair]]) -> None:
    """`change` of the batches in the place of the batches."""

    def changed(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        return change(batches(config, dataset, seed))

    ground.replace(batches, changed)


def _with_rows(
    ground: Ground, choose: Callable[[np.random.Generator, int], Iterator[np.ndarray]]
) -> None:
    """Epochs in the orders that `choose(generator, examples)` gives, one after the other."""

    def changed(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        data, size = stream(seed, "data"), config.training.batch_size
        orders = choose(stream(seed, "order"), len(dataset.train_x))
        for _, rows in zip(range(config.training.epochs), orders, strict=False):
            x, y = dataset.epoch(data)
            for start in range(0, len(rows), size):
                chosen = rows[start : start + size]
                yield x[chosen], y[chosen]

    ground.replace(batches, changed)


# --- pairs ------------------------------------------------------------------------------------


@fault(*_ALL, component=_BATCHES, seen_by=_SOUND)
def data_batch_offset(ground: Ground) -> None:
    """In every batch the targets are one row late."""
    _with_batches(ground, lambda pairs: ((x, np.roll(y, 1, axis=0)) for x, y in pairs))


@fault(*_ALL, component=_BATCHES, seen_by=_SOUND)
def data_xy_separate_shuffle(ground: Ground) -> None:
    """Inputs and targets are shuffled independently."""

    def changed(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        order, data, size = stream(seed, "order"), stream(seed, "data"), config.training.batch_size
        for _ in range(config.training.epochs):
            x, y = dataset.epoch(data)
            x, y = x[order.permutation(len(x))], y[order.permutation(len(y))]
            for start in range(0, len(x), size):
                yield x[start : start + size], y[start : start + size]

    ground.replace(batches, changed)


# --- which examples ---------------------------------------------------------------------------


@fault(*_ALL, component=_BATCHES, seen_by=_SOUND)
def batch_first_everywhere(ground: Ground) -> None:
    """The first example of the data opens every batch, in the place of another."""

    def changed(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        first_x, first_y = dataset.epoch(stream(seed, "data"))
        for x, y in batches(config, dataset, seed):
            x[0], y[0] = first_x[0], first_y[0]
            yield x, y

    ground.replace(batches, changed)


@fault(*_ALL, component=_BATCHES, seen_by=_SOUND)
def batch_with_replacement(ground: Ground) -> None:
    """Examples are drawn with replacement: some twice an epoch, some not at all."""
    _with_rows(ground, lambda rng, n: (rng.integers(0, n, n) for _ in repeat(None)))


@fault(*_ALL, component=_BATCHES, seen_by=_SOUND)
def batch_always_the_first(ground: Ground) -> None:
    """The loop asks for its batches anew at every step and always gets the first."""

    def changed(pairs: Iterator[Pair]) -> Iterator[Pair]:
        first = next(pairs)
        return chain([first], (first for _ in pairs))

    _with_batches(ground, changed)


@fault(*_ALL, component=_BATCHES, seen_by=_SOUND)
def batch_overlaps(ground: Ground) -> None:
    """Each batch starts with the last example of the one before."""

    def changed(pairs: Iterator[Pair]) -> Iterator[Pair]:
        before: Pair | None = None
        for x, y in pairs:
            if before:
                yield np.concatenate([before[0], x[:-1]]), np.concatenate([before[1], y[:-1]])
            else:
                yield x, y
            before = x[-1:], y[-1:]

    _with_batches(ground, changed)


@fault(component=_BATCHES, seen_by=_SOUND)
def batch_last_dropped(ground: Ground) -> None:
    """The last batch of an epoch is dropped when it is not full."""

    def changed(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        size = min(config.training.batch_size, len(dataset.train_x))
        return (pair for pair in batches(config, dataset, seed) if len(pair[0]) == size)

    ground.replace(batches, changed)


@fault(component=_BATCHES, seen_by=_SOUND)
def batch_last_filled_up(ground: Ground) -> None:
    """The last batch of an epoch is filled up with examples that it holds already."""

    def changed(config: MilestoneConfig, dataset: Dataset, seed: int) -> Iterator[Pair]:
        size = min(config.training.batch_size, len(dataset.train_x))
        for x, y in batches(config, dataset, seed):
            rows = np.arange(size) % len(x)
            yield x[rows], y[rows]

    ground.replace(batches, changed)


# --- their order ------------------------------------------------------------------------------


@fault(*_ALL, component=_BATCHES, seen_by=_SOUND)
def order_of_the_file(ground: Ground) -> None:
    """Examples are never shuffled."""
    _with_rows(ground, lambda rng, n: repeat(np.arange(n)))


@fault("perceptron", "xor", "mlp", "cnn", component=_BATCHES, seen_by=_SOUND)
def order_same_every_epoch(ground: Ground) -> None:
    """Examples are shuffled once, and every epoch has that order."""
    _with_rows(ground, lambda rng, n: repeat(rng.permutation(n)))


@fault("perceptron", "mlp", "cnn", "transformer", component=_BATCHES, seen_by=_SOUND)
def order_small_buffer(ground: Ground) -> None:
    """Examples are shuffled among 32 neighbours only: what is far apart never meets."""

    def choose(rng: np.random.Generator, n: int) -> Iterator[np.ndarray]:
        buffers = np.split(np.arange(n), range(32, n, 32))
        while True:
            yield np.concatenate([rng.permutation(buffer) for buffer in buffers])

    _with_rows(ground, choose)
