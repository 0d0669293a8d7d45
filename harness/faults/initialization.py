"""Weights that start where training does not begin well, or all at one place."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.autograd import init
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_LAYERS = ("Linear", "Conv2d", "MultiHeadAttention")
_START = ("weights_start_right",)

uniform_fan_in = init.uniform_fan_in


def _with_weights(ground: Ground, change: Callable[[np.ndarray], np.ndarray]) -> None:
    """Matrices and kernels start as change(what they should); biases stay."""

    def changed(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        right = uniform_fan_in(shape, fan_in, rng)
        return change(right).astype(right.dtype) if len(shape) > 1 else right

    ground.replace(uniform_fan_in, changed)


@fault(*_ALL, component=_LAYERS, seen_by=_START)
def init_zero(ground: Ground) -> None:
    """All weights start at zero: hidden units are all alike."""
    _with_weights(ground, np.zeros_like)


@fault(*_ALL, component=_LAYERS, seen_by=_START)
def init_x001(ground: Ground) -> None:
    """Weights start 100 times too small."""
    _with_weights(ground, lambda weights: 0.01 * weights)


@fault(*_ALL, component=_LAYERS, seen_by=_START)
def init_x10(ground: Ground) -> None:
    """Weights start 10 times too large."""
    _with_weights(ground, lambda weights: 10.0 * weights)


@fault(*_ALL, component=_LAYERS, seen_by=_START)
def init_std1(ground: Ground) -> None:
    """Weights start normal with variance 1, however many inputs are added up."""

    def changed(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        if len(shape) == 1:
            return uniform_fan_in(shape, fan_in, rng)
        return rng.standard_normal(shape).astype(np.float32)

    ground.replace(uniform_fan_in, changed)


@fault(*_ALL, component=_LAYERS, seen_by=_START)
def init_mean_shifted(ground: Ground) -> None:
    """Weights start with a mean of half their bound instead of 0."""
    _with_weights(ground, lambda weights: weights + 0.5 * np.abs(weights).max(initial=0.0))


@fault(*_ALL, component=_LAYERS, seen_by=_START)
def init_positive(ground: Ground) -> None:
    """Weights start as positive numbers: a range from 0 was taken for one around 0."""
    _with_weights(ground, np.abs)


@fault("xor", "mlp", "cnn", "transformer", component=_LAYERS, seen_by=_START)
def init_rows_alike(ground: Ground) -> None:
    """One row of weights is drawn and repeated: all units of a layer start alike."""
    _with_weights(ground, lambda weights: np.broadcast_to(weights[:1], weights.shape).copy())


@fault(*_ALL, component=("random streams", *_LAYERS, "Embedding"), seen_by=_START)
def init_same_seed(ground: Ground) -> None:
    """Each layer makes its own generator with seed 0: equal shapes start with equal weights."""
    ground.replace(init.fresh, lambda rng: np.random.default_rng(0))


@fault("transformer", component=("Embedding", "embedding.weight"), seen_by=_START)
def init_embedding_tiny(ground: Ground) -> None:
    """Embeddings start 100 times too small: positions drown the tokens."""
    right = init.normal

    def normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
        return np.float32(0.01) * right(shape, rng)

    ground.replace(right, normal)
