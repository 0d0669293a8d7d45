"""Where weights start, and what dropout lets pass: the same draws as the built-in engine's."""

from __future__ import annotations

import math

import numpy as np


def fresh(rng: np.random.Generator | None) -> np.random.Generator:
    """`rng`, or one with entropy of its own."""
    return np.random.default_rng() if rng is None else rng


def uniform_fan_in(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
    """Uniform in +-1/sqrt(fan_in), float32."""
    bound = 1.0 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    return rng.uniform(-bound, bound, shape).astype(np.float32)


def normal(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Normal with mean 0 and variance 1, float32."""
    return rng.standard_normal(shape).astype(np.float32)


def dropout_factors(
    shape: tuple[int, ...], p: float, dtype: np.dtype, rng: np.random.Generator
) -> np.ndarray:
    """0 with probability p, else 1/(1-p)."""
    keep = (rng.random(shape, dtype=np.float32) >= p).astype(dtype)
    return keep / (1.0 - p) if p < 1.0 else keep * 0.0


def positions(max_len: int, embedding_dim: int) -> np.ndarray:
    """Sines and cosines of the position, interleaved: (max_len, embedding_dim), float32.

    Source: Vaswani et al. 2017, section 3.5.
    """
    position = np.arange(max_len)[:, None]
    angle = position / 10000.0 ** (np.arange(0, embedding_dim, 2) / embedding_dim)
    table = np.empty((max_len, embedding_dim), dtype=np.float32)
    table[:, 0::2] = np.sin(angle)
    table[:, 1::2] = np.cos(angle)
    return table
