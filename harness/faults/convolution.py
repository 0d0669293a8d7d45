"""Convolutions whose windows, kernels or borders stand in the wrong place."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np

from harness.autograd.ops import convolution
from harness.autograd.ops.convolution import Conv2dBackward
from harness.autograd.windows import Pair, Windows
from harness.faults.base import fault
from harness.faults.ground import Ground

_CONV = ("conv2d", "Conv2d")
_WINDOWS = ("conv2d", "Conv2d", "max_pool2d", "MaxPool2d", "avg_pool2d", "AvgPool2d")
_OP_GRADIENT = ("ops_differentiate_right",)
_GRADIENTS = ("ops_differentiate_right", "gradients_agree")

Array = np.ndarray
Gradients = tuple[Array | None, ...]


def _with_weight_gradient(
    ground: Ground, formula: Callable[[Conv2dBackward, Array, Array], Array]
) -> None:
    """Another gradient of the weight: a formula of the node, grad_output and the right one."""
    right = Conv2dBackward.apply

    def apply(self: Conv2dBackward, grad_output: Array) -> Gradients:
        grad_x, grad_weight, *bias = right(self, grad_output)
        assert grad_weight is not None
        return grad_x, formula(self, grad_output, grad_weight), *bias

    ground.patch(Conv2dBackward, "apply", apply)


@fault("cnn", component=_CONV, seen_by=_GRADIENTS)
def conv_dw_first_sample(ground: Ground) -> None:
    """The gradient of the kernels comes from the first example of the batch only."""

    def first_only(self: Conv2dBackward, grad_output: Array, grad_weight: Array) -> Array:
        g = grad_output.transpose(1, 2, 3, 0).reshape(grad_output.shape[1], -1)
        step = max(len(grad_output), 1)  # the batch runs fastest
        columns = self.columns.reshape(len(self.columns), -1)[: grad_weight[0].size]
        return np.asarray(g[:, ::step] @ columns[:, ::step].T).reshape(grad_weight.shape)

    _with_weight_gradient(ground, first_only)


@fault("cnn", component=_CONV, seen_by=_GRADIENTS)
def conv_dw_transposed_hw(ground: Ground) -> None:
    """The gradient of square kernels has height and width exchanged."""

    def exchanged(self: Conv2dBackward, grad_output: Array, grad_weight: Array) -> Array:
        height, width = grad_weight.shape[2:]
        return grad_weight.swapaxes(2, 3) if height == width else grad_weight

    _with_weight_gradient(ground, exchanged)


@fault("cnn", component=_CONV, seen_by=_GRADIENTS)
def conv_dx_kernel_flipped(ground: Ground) -> None:
    """The gradient of the images is made with the kernels turned by half a circle."""
    right = Conv2dBackward.apply

    def apply(self: Conv2dBackward, grad_output: Array) -> Gradients:
        grads = right(self, grad_output)
        x, weight = self.saved_tensors[:2]
        kernels = weight.data[:, :, ::-1, ::-1].reshape(len(weight), -1)
        g = grad_output.transpose(1, 2, 3, 0).reshape(len(weight), -1)
        grad_x = convolution._images(kernels.T @ g, x.shape, self.windows) if x.in_graph else None
        return grad_x, *grads[1:]

    ground.patch(Conv2dBackward, "apply", apply)


@fault("cnn", component=_CONV, seen_by=_GRADIENTS)
def conv_dx_first_filter(ground: Ground) -> None:
    """The gradient of the images comes through half of the filters only."""
    right = Conv2dBackward.apply

    def apply(self: Conv2dBackward, grad_output: Array) -> Gradients:
        half = grad_output.copy()
        half[:, (half.shape[1] + 1) // 2 :] = 0.0
        return right(self, half)[0], *right(self, grad_output)[1:]

    ground.patch(Conv2dBackward, "apply", apply)


@fault(component=_CONV, seen_by=("ops_compute_right",))
def conv_hw_swapped(ground: Ground) -> None:
    """The number of windows in a row is counted from the height of the image, where they fit."""
    right = Windows.fit

    def fit(op: str, image: tuple[int, ...], kernel: tuple[int, int], stride: Pair, padding: Pair
            ) -> Windows:  # fmt: skip
        windows = right(op, image, kernel, stride, padding)
        if op != "conv2d":
            return windows
        height = image[2] + 2 * windows.padding[0]
        counted = (height - kernel[1]) // windows.stride[1] + 1
        return replace(windows, out=(windows.out[0], max(min(counted, windows.out[1]), 1)))

    ground.patch(Windows, "fit", fit)


@fault(component=_CONV, seen_by=_OP_GRADIENT)
def conv_stride_bwd(ground: Ground) -> None:
    """The gradient of the images is put together as if the stride were 1."""
    right = convolution._images

    def images(columns: Array, shape: tuple[int, ...], windows: Windows) -> Array:
        return right(columns, shape, replace(windows, stride=(1, 1)))

    ground.patch(convolution, "_images", images)


@fault(component=_WINDOWS, seen_by=("ops_compute_right",))
def conv_pad_one_side(ground: Ground) -> None:
    """All of the padding stands below and to the right of the image."""

    def crop(self: Windows, padded: Array) -> Array:
        (top, left), (height, width) = self.padding, padded.shape[-2:]
        return padded[..., : height - 2 * top, : width - 2 * left]

    ground.patch(Windows, "crop", crop)


@fault(component=_CONV, seen_by=("ops_compute_right",))
def conv_stride_first_axis(ground: Ground) -> None:
    """The vertical stride is used for both axes."""
    right = Windows.fit

    def fit(op: str, image: tuple[int, ...], kernel: tuple[int, int], stride: Pair, padding: Pair
            ) -> Windows:  # fmt: skip
        vertical = stride[0] if isinstance(stride, tuple) and op == "conv2d" else stride
        return right(op, image, kernel, vertical, padding)

    ground.patch(Windows, "fit", fit)
