"""Layers for images of shape (N, C, H, W): Conv2d, MaxPool2d, AvgPool2d."""

from __future__ import annotations

import numpy as np

from harness.autograd import init, ops
from harness.autograd.nn.module import Module, Parameter
from harness.autograd.tensor import Tensor
from harness.autograd.windows import Pair, as_pair


class Conv2d(Module):
    """Cross-correlation. weight (out_channels, in_channels, KH, KW), bias (out_channels,)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        rng = init.fresh(rng)
        height, width = as_pair(kernel_size)
        fan_in = in_channels * height * width
        shape = (out_channels, in_channels, height, width)
        self.weight = Parameter(init.uniform_fan_in(shape, fan_in, rng))
        self.bias = Parameter(init.uniform_fan_in((out_channels,), fan_in, rng)) if bias else None
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) -> (N, out_channels, H', W')."""
        return ops.conv2d(x, self.weight, self.bias, self.stride, self.padding)


class MaxPool2d(Module):
    """Largest number of each window; `stride` defaults to `kernel_size`."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return ops.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(Module):
    """Mean of each window; `stride` defaults to `kernel_size`."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        self.kernel_size = kernel_size
        self.stride = stride
        self.padding = padding

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding)
