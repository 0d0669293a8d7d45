"""Pools that take another number than the largest, or send its gradient somewhere else."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn, ops
from harness.autograd.ops import pooling
from harness.autograd.ops.pooling import AvgPool2dBackward, MaxPool2dBackward
from harness.autograd.windows import Pair, Windows, as_pair, batch_last
from harness.faults.base import fault
from harness.faults.ground import Ground

_MAX = ("max_pool2d", "MaxPool2d")
_AVG = ("avg_pool2d", "AvgPool2d")
_OP_GRADIENT = ("ops_differentiate_right",)
_GRADIENTS = ("ops_differentiate_right", "gradients_agree")

Array = np.ndarray


# --- forward --------------------------------------------------------------------------------


@fault("cnn", component=_MAX, seen_by=("forward_agrees",))
def pool_avg_forward(ground: Ground) -> None:
    """The max-pooling layer takes means, and goes back accordingly."""

    class MeanPool2d(nn.MaxPool2d):
        def forward(self, x: Tensor) -> Tensor:
            return ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding)

    ground.swap("layers", "MaxPool2d", MeanPool2d)


@fault("cnn", component=_MAX, seen_by=("forward_agrees",))
def pool_reshape_order(ground: Ground) -> None:
    """Pooling splits H into (K, H/K) instead of (H/K, K): it compares pixels far apart."""

    class FarApart(nn.MaxPool2d):
        def forward(self, x: Tensor) -> Tensor:
            (high, wide), stride = as_pair(self.kernel_size), self.stride
            is_tiled = stride is None or as_pair(stride) == (high, wide)
            rows, columns = x.shape[2] // high, x.shape[3] // wide
            if not is_tiled or as_pair(self.padding) != (0, 0) or not rows * columns:
                return super().forward(x)
            whole = x[:, :, : rows * high, : columns * wide]
            return whole.reshape(*x.shape[:2], high, rows, wide, columns).max((2, 4))

    ground.swap("layers", "MaxPool2d", FarApart)


@fault(component=_MAX, seen_by=("ops_compute_right",))
def pool_pad_zero(ground: Ground) -> None:
    """Max pooling pads with 0 instead of -inf, so that borders are never negative."""
    right = Windows.pad
    ground.patch(Windows, "pad", lambda self, x, value=0.0: right(self, x))


@fault(component=_AVG, seen_by=("ops_compute_right",))
def avg_pool_border_count(ground: Ground) -> None:
    """Average pooling divides a window at the border by the numbers that lie on the image."""
    right, right_apply = pooling.avg_pool2d, AvgPool2dBackward.apply

    def share(windows: Windows, shape: tuple[int, ...]) -> Array:
        """Numbers in a whole window for each number on the image: 1 inside, more at borders."""
        image = windows.pad(np.ones((1, 1, *shape[2:])))
        counts = sum(view for view in pooling._views(image, windows))
        return np.asarray(windows.kernel[0] * windows.kernel[1] / np.maximum(counts, 1.0))

    def avg_pool(x: Tensor, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
                 ) -> Tensor:  # fmt: skip
        y = right(x, kernel_size, stride, padding)
        windows = pooling._windows("avg_pool2d", x, kernel_size, stride, padding)
        y.data *= share(windows, x.shape).astype(x.dtype)
        return y

    def apply(self: AvgPool2dBackward, grad_output: Array) -> tuple[Array]:
        scaled = grad_output * share(self.windows, self.saved_tensors[0].shape)
        return right_apply(self, scaled.astype(grad_output.dtype))

    ground.replace(right, avg_pool)
    ground.patch(AvgPool2dBackward, "apply", apply)


@fault(component=(*_MAX, *_AVG), seen_by=("ops_compute_right",))
def pool_stride_ignored(ground: Ground) -> None:
    """Pools move by a whole window, whatever the stride."""
    right = pooling._windows

    def windows(op: str, x: Tensor, kernel_size: Pair, stride: Pair | None, padding: Pair
                ) -> Windows:  # fmt: skip
        return right(op, x, kernel_size, None, padding)

    ground.patch(pooling, "_windows", windows)


# --- backward -------------------------------------------------------------------------------


@fault("cnn", component=_MAX, seen_by=_GRADIENTS)
def pool_argmax_first(ground: Ground) -> None:
    """The gradient of every window goes to its top left corner, wherever the maximum is."""

    def apply(self: MaxPool2dBackward, grad_output: Array) -> tuple[Array]:
        grad = np.zeros_like(self.padded)
        corner = next(iter(pooling._views(grad, self.windows)))
        corner += grad_output
        return (self.windows.crop(grad),)

    ground.patch(MaxPool2dBackward, "apply", apply)


@fault("cnn", component=_MAX, seen_by=_OP_GRADIENT)
def pool_ties_all(ground: Ground) -> None:
    """Where several numbers of a window are the largest, each gets the whole gradient."""

    def apply(self: MaxPool2dBackward, grad_output: Array) -> tuple[Array]:
        grad = np.zeros_like(self.padded)
        grad_output = batch_last(grad_output)
        for values, grads in zip(
            pooling._views(self.padded, self.windows),
            pooling._views(grad, self.windows),
            strict=True,
        ):
            grads += grad_output * (values == self.y)
        return (self.windows.crop(grad),)

    ground.patch(MaxPool2dBackward, "apply", apply)


@fault(component=_MAX, seen_by=_OP_GRADIENT)
def pool_overlap_assign(ground: Ground) -> None:
    """Where windows overlap, the gradient of one replaces that of another."""

    def apply(self: MaxPool2dBackward, grad_output: Array) -> tuple[Array]:
        grad = np.zeros_like(self.padded)
        grad_output = batch_last(grad_output)
        unclaimed = np.ones_like(self.y, dtype=bool)
        for values, grads in zip(
            pooling._views(self.padded, self.windows),
            pooling._views(grad, self.windows),
            strict=True,
        ):
            is_maximum = (values == self.y) & unclaimed
            unclaimed ^= is_maximum
            np.copyto(grads, grad_output, where=is_maximum)
        return (self.windows.crop(grad),)

    ground.patch(MaxPool2dBackward, "apply", apply)
