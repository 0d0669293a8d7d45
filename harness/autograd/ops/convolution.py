"""conv2d: cross-correlation of images with kernels, as one matrix product."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.kernels import window_views
from harness.autograd.opcase import OpCase
from harness.autograd.windows import Pair, Windows, batch_last

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


def _columns(x: np.ndarray, windows: Windows, extra: int) -> np.ndarray:
    """Every window of x as a column: (N, C, H, W) -> (C*KH*KW + extra, H', W'*N).

    There may be one extra row, of ones: what it is multiplied by is a bias.
    """
    (count, channels), (rows, columns) = x.shape[:2], windows.out
    size = windows.kernel[0] * windows.kernel[1]
    shape = (channels * size + extra, rows, columns * count)
    out = np.empty_like(x, shape=shape, order="C")
    if extra:
        out[-1] = 1.0
    places = out[: channels * size].reshape(channels, size, rows, columns, count)
    images = windows.pad(batch_last(x))
    views = window_views(images, windows.kernel, windows.stride, windows.out)
    for place, view in enumerate(views):
        places[:, place] = view.transpose(1, 2, 3, 0)
    return out


def _by_rows(matrix: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """matrix @ columns, (F, K) (K, H', P) -> (F, H', P), one product for each row of windows.

    BLAS is several times faster with these than with one product that is very long.
    """
    dtype = np.result_type(matrix, columns)
    out = np.empty_like(columns, shape=(len(matrix), *columns.shape[1:]), dtype=dtype, order="C")
    np.matmul(matrix, columns.transpose(1, 0, 2), out=out.transpose(1, 0, 2))
    return out


def _images(columns: np.ndarray, shape: tuple[int, ...], windows: Windows) -> np.ndarray:
    """The way back: add every column up where it was taken from, giving (N, C, H, W)."""
    count, channels, height, width = shape
    places = columns.reshape(channels, *windows.kernel, *windows.out, count)
    (top, left), (high, wide) = windows.padding, windows.kernel
    # First along the rows of windows, for all rows at once; then these across.
    rows = _laid_over(
        [places[:, :, j] for j in range(wide)], 3, width + 2 * left, windows.stride[1]
    )
    images = _laid_over([rows[:, i] for i in range(high)], 1, height + 2 * top, windows.stride[0])
    return windows.crop(images.transpose(3, 0, 1, 2))


def _laid_over(parts: list[np.ndarray], axis: int, length: int, stride: int) -> np.ndarray:
    """The sum of parts, each put one further along an axis of that length, in steps of a stride."""
    first, count = parts[0], parts[0].shape[axis]
    before = (slice(None),) * axis
    total = np.empty_like(first, shape=(*first.shape[:axis], length, *first.shape[axis + 1 :]),
                          order="C")  # fmt: skip
    # What the first part covers needs no zeros to be added to.
    total[(*before, slice(count if stride == 1 else 0, None))] = 0.0
    total[(*before, slice(0, stride * (count - 1) + 1, stride))] = first
    for j, part in enumerate(parts[1:], 1):
        place = total[(*before, slice(j, j + stride * (count - 1) + 1, stride))]
        place += part
    return total


class Conv2dBackward(Function):
    """With X the columns of x: y = W X + b, so dW = G X^T, db = row sums of G, dX = W^T G."""

    def __init__(
        self,
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        columns: np.ndarray,
        windows: Windows,
    ) -> None:
        if bias is None:
            super().__init__(x, weight)
        else:
            super().__init__(x, weight, bias)
        self.columns = columns
        self.windows = windows

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray | None, ...]:
        x, weight = self.saved_tensors[:2]
        kernels = weight.data.reshape(len(weight), -1)  # (F, C*KH*KW)
        images = grad_output.transpose(1, 2, 3, 0)
        g = images.reshape(len(weight), self.windows.out[0], -1)  # (F, H', W'*N)
        grad_x = _images(_by_rows(kernels.T, g), x.shape, self.windows) if x.in_graph else None
        # X G^T, as there are more columns than kernels: BLAS is up to twice as fast this way round.
        by_row = np.matmul(self.columns.transpose(1, 0, 2), g.transpose(1, 2, 0))
        grad = np.add.reduce(by_row, axis=0).T  # of the kernels and, last, of the bias
        grad_weight = grad[:, : kernels.shape[1]].reshape(weight.shape)
        if len(self.saved_tensors) == 2:
            return grad_x, grad_weight
        return grad_x, grad_weight, grad[:, -1]


def conv2d(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
) -> Tensor:
    """Slide `weight` over `x` (cross-correlation, as every deep-learning library does).

    Shapes: x (N, C, H, W); weight (F, C, KH, KW); bias (F,) or None.
    Returns (N, F, H', W') with H' = (H + 2*padding - KH) // stride + 1.
    Raises ShapeError when the channels disagree or the window does not fit.
    Source: LeCun et al. 1998, section II; im2col after Chellapilla et al. 2006.
    """
    if weight.ndim != 4 or (bias is not None and bias.shape != weight.shape[:1]):
        shape = None if bias is None else bias.shape
        raise ShapeError(
            f"conv2d: weight {weight.shape} and bias {shape} are not (F, C, KH, KW) and (F,)"
        )
    *_, height, width = weight.shape
    windows = Windows.fit("conv2d", x.shape, (height, width), stride, padding)
    if x.shape[1] != weight.shape[1]:
        raise ShapeError(
            f"conv2d: x {x.shape} has {x.shape[1]} channels, weight {weight.shape} takes "
            f"{weight.shape[1]}"
        )
    kernels = weight.data.reshape(len(weight), -1)
    if bias is not None:
        kernels = np.concatenate((kernels, bias.data[:, None]), axis=1)
    columns = _columns(x.data, windows, extra=bias is not None)
    images = (
        _by_rows(kernels, columns).reshape(len(weight), *windows.out, len(x)).transpose(3, 0, 1, 2)
    )
    return x.from_op(images, Conv2dBackward(x, weight, bias, columns, windows))


CASES = [
    OpCase(conv2d, [(2, 3, 5, 6), (4, 3, 3, 3), (4,)]),
    OpCase(conv2d, [(2, 3, 5, 6), (4, 3, 3, 3)], {"padding": 1}),
    OpCase(conv2d, [(2, 2, 7, 5), (3, 2, 3, 2), (3,)], {"stride": 2}),
    OpCase(conv2d, [(1, 1, 6, 6), (1, 1, 3, 3), (1,)], {"stride": 2, "padding": 1}),
    OpCase(conv2d, [(2, 2, 6, 7), (3, 2, 2, 3), (3,)], {"stride": (2, 1), "padding": (0, 2)}),
    OpCase(conv2d, [(2, 3, 4, 4), (5, 3, 1, 1), (5,)]),
    OpCase(conv2d, [(1, 2, 3, 3), (2, 2, 3, 3), (2,)]),
    OpCase(conv2d, [(0, 2, 3, 3), (2, 2, 3, 3), (2,)]),
]
