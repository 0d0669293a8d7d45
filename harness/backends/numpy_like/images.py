"""Ops on images of shape (N, C, H, W), made of numpy's functions as an engine offers them."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np

from harness.backends.base import EngineTensor

Pair = int | tuple[int, int]


def as_pair(value: Pair) -> tuple[int, int]:
    """3 -> (3, 3): one number stands for both axes."""
    return (value, value) if isinstance(value, int) else value


def windows_along(length: int, kernel: int, stride: int, padding: int) -> int:
    """How many windows fit along an axis."""
    return (length + 2 * padding - kernel) // stride + 1


class ImageOps(ABC):
    """conv2d and the pools; an engine gives its own where it has them."""

    # A module of somebody else's functions: no narrower type exists.
    lib: Any

    def conv2d(
        self,
        x: EngineTensor,
        weight: EngineTensor,
        bias: EngineTensor | None = None,
        stride: Pair = 1,
        padding: Pair = 0,
    ) -> EngineTensor:
        """Slide `weight` over `x`; (N, C, H, W) -> (N, F, H', W')."""
        if x.shape[1] != weight.shape[1]:
            raise ValueError(
                f"conv2d: x {x.shape} has {x.shape[1]} channels, weight {weight.shape} takes "
                f"{weight.shape[1]}"
            )
        y = self._convolved(x, weight, as_pair(stride), as_pair(padding))
        return y if bias is None else y + self.lib.reshape(bias, (-1, 1, 1))

    @abstractmethod
    def _convolved(
        self,
        x: EngineTensor,
        weight: EngineTensor,
        stride: tuple[int, int],
        padding: tuple[int, int],
    ) -> EngineTensor:
        """conv2d without a bias."""

    def max_pool2d(
        self, x: EngineTensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
    ) -> EngineTensor:
        """Largest number of each window; padding is -inf."""
        kernel = as_pair(kernel_size)
        step = kernel if stride is None else as_pair(stride)
        return self._max_pooled(self._bordered(x, kernel, padding, -math.inf), kernel, step)

    @abstractmethod
    def _max_pooled(
        self, x: EngineTensor, kernel: tuple[int, int], stride: tuple[int, int]
    ) -> EngineTensor:
        """max_pool2d without padding."""

    def avg_pool2d(
        self, x: EngineTensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
    ) -> EngineTensor:
        """Mean of each window; padding counts as zeros."""
        kernel = as_pair(kernel_size)
        step = kernel if stride is None else as_pair(stride)
        first, *others = self.taps(self._bordered(x, kernel, padding, 0.0), kernel, step)
        for tap in others:
            first = first + tap
        return first / x.dtype.type(kernel[0] * kernel[1])

    def _bordered(
        self, x: EngineTensor, kernel: tuple[int, int], padding: Pair, value: float
    ) -> EngineTensor:
        border = as_pair(padding)
        if 2 * border[0] > kernel[0] or 2 * border[1] > kernel[1]:
            raise ValueError(f"padding {border} may be at most half of kernel_size {kernel}")
        return self.pad(x, border, value)

    def pad(self, x: EngineTensor, border: tuple[int, int], value: float) -> EngineTensor:
        """`x` with a border of `value` around its last two axes."""
        for axis, width in zip((-2, -1), border, strict=True):
            if width:
                shape = list(x.shape)
                shape[axis] = width
                edge = np.full(shape, value, dtype=x.dtype)
                x = self.lib.concatenate([edge, x, edge], axis=axis)
        return x

    def taps(
        self, x: EngineTensor, kernel: tuple[int, int], stride: tuple[int, int]
    ) -> list[EngineTensor]:
        """For each place in a window the numbers that stand there in all windows."""
        (down, right), (height, width) = stride, kernel
        rows = windows_along(x.shape[-2], height, down, 0)
        columns = windows_along(x.shape[-1], width, right, 0)
        if rows < 1 or columns < 1:
            raise ValueError(f"a {kernel} window does not fit on {x.shape[-2:]}")
        return [
            x[..., i : i + rows * down : down, j : j + columns * right : right]
            for i in range(height)
            for j in range(width)
        ]
