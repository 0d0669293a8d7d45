"""Layers without parameters: activations, Softmax, Dropout, Flatten."""

from __future__ import annotations

from typing import Literal

import numpy as np

from harness.autograd import init, ops
from harness.autograd.nn.module import Module
from harness.autograd.tensor import Tensor


class ReLU(Module):
    """max(x, 0)."""

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return ops.relu(x)


class GELU(Module):
    """x times the normal distribution function of x; `approximate` "none" or "tanh"."""

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        self.approximate = approximate

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return ops.gelu(x, self.approximate)


class Tanh(Module):
    """Hyperbolic tangent."""

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return ops.tanh(x)


class Sigmoid(Module):
    """1 / (1 + exp(-x))."""

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return ops.sigmoid(x)


class Softmax(Module):
    """Probabilities along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        self.dim = dim

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return ops.softmax(x, self.dim)


class Dropout(Module):
    """Zeroes numbers with probability p while training; draws from a stream of its own."""

    def __init__(self, p: float = 0.5, rng: np.random.Generator | None = None) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"Dropout: p must be between 0 and 1, got {p}")
        self.p = p
        self.rng = init.fresh(rng)

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return ops.dropout(x, self.p, self.training, self.rng)


class Flatten(Module):
    """One axis out of the axes from `start_dim` to `end_dim`."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        self.start_dim = start_dim
        self.end_dim = end_dim

    def forward(self, x: Tensor) -> Tensor:
        """(N, a, b, ...) -> (N, a*b*...) by default."""
        return ops.flatten(x, self.start_dim, self.end_dim)
