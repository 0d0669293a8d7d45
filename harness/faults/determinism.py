"""Random numbers that do not repeat, always repeat, or depend on one another."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from harness.autograd import init
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.streams import stream
from harness.training import batches

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_DIGITS = ("mlp", "cnn")
_PLACES = ("random streams", "the batches", "the data")
_REPEAT = ("runs_repeat",)


@fault(*_ALL, component=("random streams", "the batches"), seen_by=_REPEAT)
def nondeterministic(ground: Ground) -> None:
    """The order of examples comes from a generator without a seed: no run is like another."""

    def changed(
        config: MilestoneConfig, dataset: Dataset, seed: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        return batches(config, dataset, int(np.random.default_rng().integers(2**31)))

    ground.replace(batches, changed)


@fault(
    *_ALL,
    component=("random streams", "Linear", "Conv2d", "Embedding", "MultiHeadAttention"),
    seen_by=_REPEAT,
)
def init_unseeded(ground: Ground) -> None:
    """Weights are drawn from a generator without a seed: no run is like another."""
    ground.replace(init.fresh, lambda rng: np.random.default_rng())


@fault(*_ALL, component=("random streams",), seen_by=_REPEAT)
def seed_same_all_runs(ground: Ground) -> None:
    """Every run has the same seed, whatever it was given: repeats repeat one another."""
    ground.replace(stream, lambda seed, *name: stream(1, *name))


@fault(*_ALL, component=("random streams",), seen_by=_REPEAT)
def stream_is_shared(ground: Ground) -> None:
    """All random numbers come from one generator, so that each depends on all before it."""
    shared = np.random.default_rng(0)
    ground.replace(stream, lambda seed, *name: shared)


@fault(
    *_ALL,
    component=("random streams", "Linear", "Conv2d", "MultiHeadAttention"),
    seen_by=("starts_are_plausible",),
)
def stream_same_for_layers(ground: Ground) -> None:
    """The streams of all layers collide: layers of equal size start with equal weights."""
    ground.replace(stream, lambda seed, *name: stream(seed, *name[:1]))


@fault(*_DIGITS, component=_PLACES, seen_by=("batches_are_sound",))
def worker_same_aug(ground: Ground) -> None:
    """The generator of placements starts anew in every epoch: a digit stands where it stood."""

    def vary(right: Callable[..., np.ndarray], x: np.ndarray) -> np.ndarray:
        return right(x, np.random.default_rng(0))

    _with_placement(ground, vary)


@fault(*_DIGITS, component=_PLACES, seen_by=("batches_are_sound",))
def one_place_for_all(ground: Ground) -> None:
    """Every training digit is placed by the same random number: all stand in one corner."""

    # Any: only placed digits have places.
    def vary(right: Any, x: np.ndarray) -> np.ndarray:
        return np.asarray(right.at(np.zeros(len(x), dtype=np.int64), x))

    _with_placement(ground, vary)


def _with_placement(
    ground: Ground, vary: Callable[[Callable[..., np.ndarray], np.ndarray], np.ndarray]
) -> None:
    """Inputs that vary are made by vary(the right way, images), which brings its own numbers."""

    def change(dataset: Dataset) -> Dataset:
        right = dataset.vary
        if right is None:
            return dataset
        return replace(dataset, vary=lambda x, rng: vary(right, x))

    ground.change_data(change)
