"""Shapes that broadcast where they should not, and broadcasting that is undone wrongly."""

from __future__ import annotations

import numpy as np

from harness.autograd import kernels
from harness.autograd.kernels import as_matrix, unbroadcast
from harness.autograd.ops.activations import stable_sigmoid
from harness.autograd.ops.losses import (
    BinaryCrossEntropyWithLogitsBackward,
    CrossEntropyBackward,
    Reduction,
    _reduced,
    binary_cross_entropy_with_logits,
    cross_entropy,
)
from harness.autograd.ops.matmul import LinearBackward
from harness.autograd.tensor import Tensor
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_BROADCASTING = ("add", "sub", "mul", "div", "pow", "matmul", "scaled_dot_product_attention")
_OP_GRADIENT = ("ops_differentiate_right",)

Array = np.ndarray
Shape = tuple[int, ...]


# --- losses ---------------------------------------------------------------------------------


@fault(
    "perceptron",
    "xor",
    component=("binary_cross_entropy_with_logits", "BCEWithLogitsLoss"),
    seen_by=("gradients_agree", "loss_is_honest"),
)
def bce_target_broadcast(ground: Ground) -> None:
    """Targets (N,) meet logits (N, 1) and broadcast: every logit is held against all targets."""

    class SquareBackward(BinaryCrossEntropyWithLogitsBackward):
        def apply(self, grad_output: Array) -> tuple[Array, Array | None]:
            x, target = self.saved_tensors
            difference = stable_sigmoid(x.data) - _flat(target.data)
            return unbroadcast(difference * (grad_output * self.factor), x.shape), None

    def square(x: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        z, y = x.data, _flat(target.data)
        losses = np.maximum(z, 0) - z * y + np.log1p(np.exp(-np.abs(z)))
        loss, factor = _reduced(losses, reduction)
        return x.from_op(loss, SquareBackward(x, target, np.logaddexp(z, 0.0), factor))

    ground.replace(binary_cross_entropy_with_logits, square)


def _flat(column: Array) -> Array:
    """(N, 1) -> (N,); other shapes stay."""
    return column[:, 0] if column.ndim == 2 and column.shape[1] == 1 else column


@fault(component=("cross_entropy", "CrossEntropyLoss"), seen_by=("ops_compute_right",))
def logsumexp_keepdim(ground: Ground) -> None:
    """The log-sum-exp (N, 1) meets the picked logits (N,) and broadcasts to (N, N).

    The mean of these is the right mean; the sum is N times too large.
    """
    right = cross_entropy

    def keeping(
        logits: Tensor, target: Tensor | np.ndarray, reduction: Reduction = "mean"
    ) -> Tensor:
        if reduction == "mean":
            return right(logits, target, reduction)
        classes = (target if isinstance(target, np.ndarray) else target.data).reshape(-1)
        rows = as_matrix(np.moveaxis(logits.data, 1, -1))
        shifted = rows - rows.max(axis=1, keepdims=True)
        e = np.exp(shifted)
        totals = e.sum(axis=1, keepdims=True)
        losses = np.log(totals) - shifted[np.arange(len(rows)), classes]  # (N, 1) - (N,)
        loss, factor = _reduced(losses, reduction)
        function = CrossEntropyBackward(logits, e / totals, classes, factor * len(rows))
        return logits.from_op(loss, function)

    ground.replace(right, keeping)


# --- undoing broadcasting -------------------------------------------------------------------


@fault(component=_BROADCASTING, seen_by=_OP_GRADIENT)
def unb_first_slice(ground: Ground) -> None:
    """Where a leading axis was added by broadcasting, its first slice is taken, not the sum."""

    def first_slice(grad: Array, shape: Shape) -> Array:
        while grad.ndim > len(shape):
            grad = grad[0] if len(grad) else grad.sum(axis=0)
        return unbroadcast(grad, shape)

    ground.replace(kernels.unbroadcast, first_slice)


@fault(component=_BROADCASTING, seen_by=_OP_GRADIENT)
def unb_only_one_axis(ground: Ground) -> None:
    """Where several leading axes were added, only the first is summed; the others take index 0."""

    def one_axis(grad: Array, shape: Shape) -> Array:
        if grad.ndim > len(shape):
            grad = grad.sum(axis=0)
        while grad.ndim > len(shape):
            grad = grad[0] if len(grad) else grad.sum(axis=0)
        return unbroadcast(grad, shape)

    ground.replace(kernels.unbroadcast, one_axis)


@fault(component=_BROADCASTING, seen_by=_OP_GRADIENT)
def unb_size_one_mean(ground: Ground) -> None:
    """An axis of length 1 that was stretched gets the mean of the gradients instead of the sum."""

    def by_mean(grad: Array, shape: Shape) -> Array:
        stretched = grad.size // max(int(np.prod(shape)), 1)
        is_padded = grad.ndim == len(shape)
        return unbroadcast(grad, shape) / (max(stretched, 1) if is_padded else 1)

    ground.replace(kernels.unbroadcast, by_mean)


@fault(*_ALL, component=("linear", "Linear"), seen_by=(*_OP_GRADIENT, "gradients_agree"))
def linear_bias_first_row(ground: Ground) -> None:
    """Linear: the gradient of the bias is that of the first row, not the sum over all rows."""
    right = LinearBackward.apply

    def apply(self: LinearBackward, grad_output: Array) -> tuple[Array | None, ...]:
        grad_x, grad_weight, *bias = right(self, grad_output)
        return grad_x, grad_weight, *(as_matrix(grad_output)[:1].sum(axis=0) for _ in bias)

    ground.patch(LinearBackward, "apply", apply)


@fault("transformer", component=("linear", "Linear"), seen_by=(*_OP_GRADIENT, "gradients_agree"))
def linear_bias_first_place(ground: Ground) -> None:
    """Linear on (N, T, D): the bias adds up its gradient over N only and takes the first of T."""
    right = LinearBackward.apply

    def apply(self: LinearBackward, grad_output: Array) -> tuple[Array | None, ...]:
        grad_x, grad_weight, *bias = right(self, grad_output)
        if grad_output.ndim == 3:
            bias = [grad_output[:, :1].sum(axis=(0, 1)) for _ in bias]
        return grad_x, grad_weight, *bias

    ground.patch(LinearBackward, "apply", apply)
