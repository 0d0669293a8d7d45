"""Specimens for tests of probes: milestones as shipped, and miniatures of a few lines."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from typing import Any

import numpy as np

from harness import config_files, datasets
from harness.autograd.function import Function
from harness.backends import load
from harness.backends.base import Backend
from harness.checks.measured import WIDE
from harness.config import Expectations, LayerSpec
from harness.datasets.base import Dataset
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.models.specimen import Specimen
from tests.examples import small_config

# What comes of an op, and its gradients -> the gradients that are sent instead.
Change = Callable[[np.ndarray, list[np.ndarray | None]], Sequence[np.ndarray | None]]


def shipped(milestone: str, backend: Backend | None = None, seed: int = 0) -> Specimen:
    """A milestone as the harness ships it."""
    found = config_files.load(config_files.find(milestone))
    return Specimen(found, backend or load("numpy"), datasets.load(found), seed)


def miniature(
    layers: dict[str, LayerSpec],
    x: np.ndarray,
    y: np.ndarray,
    loss: str = "CrossEntropyLoss",
    backend: Backend | None = None,
    seed: int = 0,
    **expectations: Any,
) -> Specimen:
    """A model of these layers with these examples."""
    made = small_config()
    training = made.training.model_copy(update={"loss": loss})
    expected = Expectations(**{"tensors": 1, **expectations})
    changes = {"layers": layers, "training": training, "expectations": expected}
    dataset = Dataset(x, y, x, y)
    return Specimen(made.model_copy(update=changes), backend or load("numpy"), dataset, seed)


# `Any` because every layer has arguments of its own.
def layer(kind: str, layers: dict[str, LayerSpec] | None = None, **arguments: Any) -> LayerSpec:
    """One layer of a config."""
    return LayerSpec(type=kind, layers=layers, **arguments)


def perceptrons(*sizes: int, activation: str = "Tanh") -> dict[str, LayerSpec]:
    """Linear layers of these sizes with an activation between them."""
    found = {}
    for i, (inputs, outputs) in enumerate(pairwise(sizes)):
        if i:
            found[f"act{i}"] = layer(activation)
        found[f"linear{i}"] = layer("Linear", in_features=inputs, out_features=outputs)
    return found


def vectors(
    rng: np.random.Generator, count: int = 8, size: int = 3, classes: int = 3
) -> tuple[np.ndarray, np.ndarray]:
    """Random inputs and classes."""
    x = rng.standard_normal((count, size)).astype(np.float32)
    return x, rng.integers(0, classes, count)


def sequences(
    rng: np.random.Generator, count: int = 8, length: int = 5, tokens: int = 6
) -> tuple[np.ndarray, np.ndarray]:
    """Random tokens, and for every one another that is to be said."""
    return rng.integers(0, tokens, (count, length)), rng.integers(0, tokens, (count, length))


def reader(*, causal: bool = True, tokens: int = 6, width: int = 4) -> dict[str, LayerSpec]:
    """A small model of sequences, with an answer for every place."""
    return {
        "embedding": layer("Embedding", num_embeddings=tokens, embedding_dim=width),
        "positions": layer("SinusoidalPositions", embedding_dim=width, max_len=8),
        "attend": layer(
            "Residual",
            layers={
                "norm": layer("LayerNorm", normalized_shape=width),
                "attention": layer(
                    "MultiHeadAttention", embed_dim=width, num_heads=2, is_causal=causal
                ),
            },
        ),
        "head": layer("Linear", in_features=width, out_features=tokens),
        "places": layer("Flatten", start_dim=0, end_dim=1),
    }


def of_two_layers(rng: np.random.Generator, backend: Backend | None = None) -> Specimen:
    """Two linear layers that tell vectors apart."""
    return miniature(perceptrons(3, 4, 3), *vectors(rng), backend=backend)


@contextmanager
def swapped(kind: str, name: str, factory: Callable[..., Any]) -> Iterator[Backend]:
    """The engine with another factory for one name."""
    ground = Ground(load("numpy"))
    ground.swap(kind, name, factory)
    yield ground.backend


@contextmanager
def backwards(function: type[Function], change: Change) -> Iterator[Backend]:
    """The engine while the gradients of one op are changed on their way."""
    right, ground = function.apply, Ground(load("numpy"))

    def apply(self: Function, grad_output: np.ndarray) -> tuple[np.ndarray | None, ...]:
        return tuple(change(grad_output, list(right(self, grad_output))))

    ground.patch(function, "apply", apply)
    try:
        yield ground.backend
    finally:
        ground.restore()


def times(factor: float, position: int) -> Change:
    """The gradient of one input times a factor."""

    def change(_: np.ndarray, grads: list[np.ndarray | None]) -> list[np.ndarray | None]:
        found = grads[position]
        grads[position] = None if found is None else factor * found
        return grads

    return change


def wrong(rows: Sequence[Measurement]) -> list[Measurement]:
    """The rows that a check would not let pass, worst offenders as they come."""
    return [row for row in rows if not row.error <= WIDE]


def culprits(rows: Sequence[Measurement]) -> list[str]:
    """Whom these rows blame, in order, each once."""
    return list(dict.fromkeys(row.subject for row in wrong(rows)))
