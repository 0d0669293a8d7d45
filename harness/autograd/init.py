"""Where weights start: PyTorch's default distributions, drawn from a given generator."""

from __future__ import annotations

import math

import numpy as np


def fresh(rng: np.random.Generator | None) -> np.random.Generator:
    """`rng`, or one with entropy of its own: numpy's global state is never touched."""
    return np.random.default_rng() if rng is None else rng


def uniform_fan_in(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform in +-1/sqrt(fan_in), float32: PyTorch's start for Linear and Conv2d.

    Source: kaiming_uniform with a = sqrt(5), after LeCun et al. 1998, "Efficient BackProp".
    """
    bound = 1.0 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Normal with mean 0 and variance 1, float32: PyTorch's start for Embedding."""
    return rng.standard_normal(shape).astype(np.float32)
