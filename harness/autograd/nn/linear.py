"""Linear: every output a weighted sum of every input."""

from __future__ import annotations

import numpy as np

from harness.autograd import init, ops
from harness.autograd.nn.module import Module, Parameter
from harness.autograd.tensor import Tensor


class Linear(Module):
    """y = x W^T + b. weight (out_features, in_features), bias (out_features,) or None."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = init.fresh(rng)
        shape = (out_features, in_features)
        self.weight = Parameter(init.uniform_fan_in(shape, in_features, rng))
        self.bias = (
            Parameter(init.uniform_fan_in((out_features,), in_features, rng)) if bias else None
        )

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) -> (..., out_features)."""
        return ops.linear(x, self.weight, self.bias)
