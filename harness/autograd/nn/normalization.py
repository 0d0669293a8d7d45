"""LayerNorm: every example at mean 0 and variance 1, then scaled and shifted."""

from __future__ import annotations

import numpy as np

from harness.autograd import ops
from harness.autograd.nn.module import Module, Parameter
from harness.autograd.tensor import Tensor


class LayerNorm(Module):
    """Normalises over the last axes. weight and bias have `normalized_shape`."""

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5) -> None:
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(shape)
        self.weight = Parameter(np.ones(self.normalized_shape, dtype=np.float32))
        self.bias = Parameter(np.zeros(self.normalized_shape, dtype=np.float32))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """(..., *normalized_shape) -> the same."""
        return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias, self.eps)
