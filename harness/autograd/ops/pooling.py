"""max_pool2d and avg_pool2d: one number for each window of an image."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.kernels import window_views
from harness.autograd.opcase import OpCase
from harness.autograd.windows import Pair, Windows, as_pair, batch_last

if TYPE_CHECKING:
    from collections.abc import Iterator

    from harness.autograd.tensor import Tensor


def _views(x: np.ndarray, windows: Windows) -> Iterator[np.ndarray]:
    return window_views(x, windows.kernel, windows.stride, windows.out)


def _windows(op: str, x: Tensor, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Windows:
    kernel, border = as_pair(kernel_size), as_pair(padding)
    if 2 * border[0] > kernel[0] or 2 * border[1] > kernel[1]:
        raise ShapeError(f"{op}: padding {border} may be at most half of kernel_size {kernel}")
    return Windows.fit(op, x.shape, kernel, kernel if stride is None else stride, padding)


class MaxPool2dBackward(Function):
    """The gradient of a window goes to its maximum; of equal maxima to the first, once."""

    def __init__(self, x: Tensor, padded: np.ndarray, y: np.ndarray, windows: Windows) -> None:
        super().__init__(x)
        self.padded = padded
        self.y = y
        self.windows = windows

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        grad = np.zeros_like(self.padded)
        grad_output = batch_last(grad_output)
        unclaimed = np.ones_like(self.y, dtype=bool)
        for values, grads in zip(
            _views(self.padded, self.windows), _views(grad, self.windows), strict=True
        ):
            is_maximum = values == self.y
            is_maximum &= unclaimed
            unclaimed ^= is_maximum
            grads += grad_output * is_maximum
        return (self.windows.crop(grad),)


def max_pool2d(
    x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Tensor:
    """Largest number of each window; `stride` defaults to `kernel_size`, padding is -inf.

    Shapes: x (N, C, H, W) -> (N, C, H', W') with H' = (H + 2*padding - K) // stride + 1.
    Raises ShapeError when no window fits or the padding exceeds half a window.
    """
    windows = _windows("max_pool2d", x, kernel_size, stride, padding)
    padded = windows.pad(batch_last(x.data), -np.inf)
    views = _views(padded, windows)
    y = next(views).copy(order="K")
    for view in views:
        np.maximum(y, view, out=y)
    return x.from_op(y, MaxPool2dBackward(x, padded, y, windows))


class AvgPool2dBackward(Function):
    """Every number of a window of K gets 1/K of its gradient."""

    def __init__(self, x: Tensor, windows: Windows) -> None:
        super().__init__(x)
        self.windows = windows

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        kernel = self.windows.kernel
        grad = self.windows.blank(x.shape, 0.0, grad_output.dtype)
        share = batch_last(grad_output) / (kernel[0] * kernel[1])
        for grads in _views(grad, self.windows):
            grads += share
        return (self.windows.crop(grad),)


def avg_pool2d(
    x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Tensor:
    """Mean of each window; padding counts as zeros, as PyTorch does by default.

    Shapes and errors as for max_pool2d.
    """
    windows = _windows("avg_pool2d", x, kernel_size, stride, padding)
    views = _views(windows.pad(batch_last(x.data)), windows)
    y = next(views).copy(order="K")
    for view in views:
        y += view
    y /= windows.kernel[0] * windows.kernel[1]
    return x.from_op(y, AvgPool2dBackward(x, windows))


_SAMPLES: list[tuple[tuple[int, ...], dict[str, Any]]] = [
    ((2, 3, 4, 6), {"kernel_size": 2}),
    ((2, 3, 5, 5), {"kernel_size": 2}),
    ((1, 2, 5, 6), {"kernel_size": 3, "stride": 1}),
    ((2, 2, 6, 5), {"kernel_size": 3, "stride": 2, "padding": 1}),
    ((1, 1, 4, 6), {"kernel_size": (2, 3), "stride": (1, 2)}),
    ((0, 1, 4, 4), {"kernel_size": 2}),
]
CASES = [OpCase(op, [shape], extra) for op in (max_pool2d, avg_pool2d) for shape, extra in _SAMPLES]
