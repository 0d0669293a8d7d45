"""Backward formulas of matrix products, softmax and shapes with something wrong in them."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn
from harness.autograd.kernels import as_matrix
from harness.autograd.ops.matmul import LinearBackward, MatmulBackward
from harness.autograd.ops.reductions import SumBackward
from harness.autograd.ops.shaping import PermuteBackward, ReshapeBackward, TransposeBackward
from harness.autograd.ops.softmax import LogSoftmaxBackward, softmax_gradient
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_LINEAR = ("linear", "Linear", "MultiHeadAttention")
_SOFTMAX = ("softmax", "Softmax", "scaled_dot_product_attention", "MultiHeadAttention")
_OP_GRADIENT = ("ops_differentiate_right",)
_GRADIENTS = ("ops_differentiate_right", "gradients_agree")

Array = np.ndarray
Gradients = tuple[Array | None, ...]


# --- layers ---------------------------------------------------------------------------------


@fault(*_ALL, component=("Linear", "linear"), seen_by=("forward_agrees",))
def linear_bias_twice(ground: Ground) -> None:
    """The linear layer adds its bias twice, and learns accordingly."""

    class BiasTwice(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y if self.bias is None else y + self.bias

    ground.swap("layers", "Linear", BiasTwice)


@fault(
    "transformer",
    component=("LayerNorm", "Residual", "layer_norm"),
    seen_by=("forward_agrees", "graph_is_whole"),
)
def ln2_noop(ground: Ground) -> None:
    """The second layer norm is computed and its result not used."""

    class SecondNormUnused(nn.Residual):
        def forward(self, x: Tensor) -> Tensor:
            first, *others = self.layers
            attends = any(isinstance(layer, nn.MultiHeadAttention) for layer in others)
            if attends or not isinstance(first, nn.LayerNorm):
                return super().forward(x)
            first(x)
            return x + nn.Sequential(*others)(x)

    ground.swap("layers", "Residual", SecondNormUnused)


@fault("transformer", component=("Residual", "add"), seen_by=("forward_agrees",))
def residual_added_inside(ground: Ground) -> None:
    """The residual block adds what its first layer gave instead of its input."""

    class SkipsAfterFirst(nn.Residual):
        def forward(self, x: Tensor) -> Tensor:
            first, *others = self.layers
            start = first(x)
            return start + nn.Sequential(*others)(start)

    ground.swap("layers", "Residual", SkipsAfterFirst)


# --- matrix products ------------------------------------------------------------------------


@fault("transformer", component=_LINEAR, seen_by=_GRADIENTS)
def matmul_da_not_transposed(ground: Ground) -> None:
    """Linear: a square weight is on its way back not transposed against the way forward."""
    right = LinearBackward.apply

    def apply(self: LinearBackward, grad_output: Array) -> Gradients:
        x, weight = self.saved_tensors[:2]
        grads = right(self, grad_output)
        if weight.shape[0] != weight.shape[1] or grads[0] is None:
            return grads
        return (as_matrix(grad_output) @ weight.data.T).reshape(x.shape), *grads[1:]

    ground.patch(LinearBackward, "apply", apply)


@fault(component=("matmul",), seen_by=_OP_GRADIENT)
def bmm_da_wrong_swap(ground: Ground) -> None:
    """Batched a @ b: for square b the gradient of a is g @ b, without the swap of axes."""
    right = MatmulBackward.apply

    def apply(self: MatmulBackward, grad_output: Array) -> tuple[Array, Array]:
        a, b = (tensor.data for tensor in self.saved_tensors)
        grad_a, grad_b = right(self, grad_output)
        is_square = b.ndim >= 3 and b.shape[-1] == b.shape[-2]
        if is_square and (grad_output @ b).shape == a.shape:
            grad_a = grad_output @ b
        return grad_a, grad_b

    ground.patch(MatmulBackward, "apply", apply)


@fault(component=("matmul",), seen_by=_OP_GRADIENT)
def matmul_dot_own_factor(ground: Ground) -> None:
    """The product of two vectors gives each its own numbers as gradient, not the other's."""
    right = MatmulBackward.apply

    def apply(self: MatmulBackward, grad_output: Array) -> tuple[Array, Array]:
        a, b = (tensor.data for tensor in self.saved_tensors)
        if a.ndim == b.ndim == 1:
            return grad_output * a, grad_output * b
        return right(self, grad_output)

    ground.patch(MatmulBackward, "apply", apply)


@fault(component=("matmul",), seen_by=_OP_GRADIENT)
def matmul_db_first_of_batch(ground: Ground) -> None:
    """(B, N, K) @ (K, M): the gradient of the matrix comes from the first of the batch."""
    right = MatmulBackward.apply

    def apply(self: MatmulBackward, grad_output: Array) -> tuple[Array, Array]:
        a, b = (tensor.data for tensor in self.saved_tensors)
        grad_a, grad_b = right(self, grad_output)
        if a.ndim == 3 and b.ndim == 2 and len(a):
            grad_b = a[0].T @ grad_output[0]
        return grad_a, grad_b

    ground.patch(MatmulBackward, "apply", apply)


# --- softmax --------------------------------------------------------------------------------


@fault("transformer", component=_SOFTMAX, seen_by=_GRADIENTS)
def softmax_bwd_no_mean(ground: Ground) -> None:
    """The gradient of softmax lacks the weighted mean: y g instead of y (g - sum(g y))."""
    ground.replace(softmax_gradient, lambda y, grad_output, axis: y * grad_output)


@fault("transformer", component=_SOFTMAX, seen_by=_GRADIENTS)
def softmax_bwd_wrong_axis(ground: Ground) -> None:
    """The gradient of softmax takes its weighted mean over another axis."""

    def other_axis(y: Array, grad_output: Array, axis: int) -> Array:
        if y.ndim > 1:
            axis = -2 if axis in (-1, y.ndim - 1) else -1
        weighted: Array = y * grad_output
        return np.asarray(weighted - y * weighted.sum(axis=axis, keepdims=True))

    ground.replace(softmax_gradient, other_axis)


@fault(component=("log_softmax",), seen_by=_OP_GRADIENT)
def log_softmax_bwd_no_sum(ground: Ground) -> None:
    """The gradient of log-softmax is g - softmax, right only where g adds up to 1."""

    def apply(self: LogSoftmaxBackward, grad_output: Array) -> tuple[Array]:
        return (grad_output - np.exp(self.y),)

    ground.patch(LogSoftmaxBackward, "apply", apply)


# --- shapes ---------------------------------------------------------------------------------


@fault("transformer", component=("reshape", "flatten", "Flatten"), seen_by=_GRADIENTS)
def reshape_bwd_orderF(ground: Ground) -> None:  # noqa: N802  (numpy's name for the order)
    """The gradient of a reshape takes its shape back column by column."""

    def apply(self: ReshapeBackward, grad_output: Array) -> tuple[Array]:
        return (grad_output.reshape(self.saved_tensors[0].shape, order="F"),)

    ground.patch(ReshapeBackward, "apply", apply)


@fault(component=("permute",), seen_by=_OP_GRADIENT)
def transpose_bwd_same_axes(ground: Ground) -> None:
    """Permute goes back by the same permutation instead of its inverse, where shapes agree."""
    right = PermuteBackward.apply

    def apply(self: PermuteBackward, grad_output: Array) -> tuple[Array]:
        forward_again = grad_output.transpose(self.dims)
        fits = forward_again.shape == self.saved_tensors[0].shape
        return (forward_again,) if fits else right(self, grad_output)

    ground.patch(PermuteBackward, "apply", apply)


@fault(component=("transpose",), seen_by=_OP_GRADIENT)
def transpose_bwd_last_axes(ground: Ground) -> None:
    """Transpose goes back by swapping the last two axes, whichever were swapped, if they fit."""
    right = TransposeBackward.apply

    def apply(self: TransposeBackward, grad_output: Array) -> tuple[Array]:
        last = grad_output.swapaxes(-1, -2)
        fits = last.shape == self.saved_tensors[0].shape
        return (last,) if fits else right(self, grad_output)

    ground.patch(TransposeBackward, "apply", apply)


@fault(component=("sum",), seen_by=_OP_GRADIENT)
def sum_bwd_axis_lost(ground: Ground) -> None:
    """The gradient of a sum is broadcast without its axis back, where the shapes allow it."""
    right = SumBackward.apply

    def apply(self: SumBackward, grad_output: Array) -> tuple[Array]:
        try:
            return (np.broadcast_to(grad_output, self.saved_tensors[0].shape),)
        except ValueError:
            return right(self, grad_output)

    ground.patch(SumBackward, "apply", apply)
