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


def _places(x: np.ndarray, windows: Windows) -> np.ndarray:
    """The numbers at each place of all windows, contiguous: (KH*KW, N, C, H', W'), batch last."""
    size = windows.kernel[0] * windows.kernel[1]
    count, channels = x.shape[:2]
    places = np.empty_like(x, shape=(size, channels, *windows.out, count), order="C")
    places = places.transpose(0, 4, 1, 2, 3)
    for place, view in zip(places, _views(x, windows), strict=True):
        np.copyto(place, view)
    return places


def _windows(op: str, x: Tensor, kernel_size: Pair, stride: Pair | None, padding: Pair) -> Windows:
    kernel, border = as_pair(kernel_size), as_pair(padding)
    if 2 * border[0] > kernel[0] or 2 * border[1] > kernel[1]:
        raise ShapeError(f"{op}: padding {border} may be at most half of kernel_size {kernel}")
    return Windows.fit(op, x.shape, kernel, kernel if stride is None else stride, padding)


class MaxPool2dBackward(Function):
    """The gradient of a window goes to its maximum; of equal maxima to the first, once."""

    def __init__(
        self, x: Tensor, padded: np.ndarray, places: np.ndarray, y: np.ndarray, windows: Windows
    ) -> None:
        super().__init__(x)
        self.padded = padded
        self.places = places  # (KH*KW, *y.shape): what stands at each place of all windows
        self.y = y
        self.windows = windows

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        # Where every number is written once, there is nothing to be added to.
        is_whole = self.windows.tile(self.padded.shape)
        grad = np.empty_like(self.padded) if is_whole else np.zeros_like(self.padded)
        # What no place has claimed yet; the last one gets what the others have left.
        unclaimed = batch_last(grad_output).copy(order="K")
        *others, last = _views(grad, self.windows)
        for values, grads in zip(self.places, others, strict=False):
            claimed = unclaimed * (values == self.y)
            unclaimed -= claimed
            self._add(grads, claimed)
        self._add(last, unclaimed)
        return (self.windows.crop(grad),)

    def _add(self, grads: np.ndarray, claimed: np.ndarray) -> None:
        if self.windows.overlap:
            grads += claimed
        else:
            np.copyto(grads, claimed)


def max_pool2d(
    x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Tensor:
    """Largest number of each window; `stride` defaults to `kernel_size`, padding is -inf.

    Shapes: x (N, C, H, W) -> (N, C, H', W') with H' = (H + 2*padding - K) // stride + 1.
    Raises ShapeError when no window fits or the padding exceeds half a window.
    """
    windows = _windows("max_pool2d", x, kernel_size, stride, padding)
    padded = windows.pad(batch_last(x.data), -np.inf)
    places = _places(padded, windows)
    y = np.maximum.reduce(places, axis=0)
    return x.from_op(y, MaxPool2dBackward(x, padded, places, y, windows))


class AvgPool2dBackward(Function):
    """Every number of a window of K gets 1/K of its gradient."""

    def __init__(self, x: Tensor, windows: Windows) -> None:
        super().__init__(x)
        self.windows = windows

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        kernel = self.windows.kernel
        grad = self.windows.blank(grad_output, x.shape, 0.0)
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
