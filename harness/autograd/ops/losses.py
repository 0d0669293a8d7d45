"""Losses, each fused with its last activation so that no logit overflows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.kernels import constant_vector, outside
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor

Reduction = Literal["mean", "sum"]


def _reduced(losses: np.ndarray, reduction: Reduction) -> tuple[np.ndarray, float]:
    """The total of `losses` and the factor that each of them has in it."""
    if reduction not in ("mean", "sum"):
        raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
    if losses.size == 0:
        raise ShapeError("the loss of an empty batch is not defined")
    factor = 1.0 / losses.size if reduction == "mean" else 1.0
    weights = constant_vector(losses.size, factor, losses.dtype.str)
    return np.asanyarray(np.dot(losses.reshape(-1), weights)), factor


class CrossEntropyBackward(Function):
    """d/dlogits = softmax(logits) - onehot(target), times the factor of the reduction."""

    def __init__(self, logits: Tensor, probabilities: np.ndarray, classes: np.ndarray,
                 factor: float) -> None:  # fmt: skip
        super().__init__(logits)
        self.probabilities = probabilities  # (N, C)
        self.classes = classes  # (N,)
        self.factor = factor

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (logits,) = self.saved_tensors
        is_target = np.arange(self.probabilities.shape[1])[:, None] == self.classes
        grad = self.probabilities - is_target.T
        grad *= grad_output * self.factor
        moved = grad.reshape(logits.shape[0], *logits.shape[2:], logits.shape[1])
        return (np.moveaxis(moved, -1, 1),)


def cross_entropy(
    logits: Tensor, target: Tensor | np.ndarray, reduction: Reduction = "mean"
) -> Tensor:
    """Mean (or sum) of -log softmax(logits)[target], computed from the logits at once.

    Shapes: logits (N, C) or (N, C, d1, ...); target (N,) or (N, d1, ...) of classes.
    Raises ShapeError when they disagree, TypeError or IndexError for bad classes.
    """
    classes = target if isinstance(target, np.ndarray) else target.data
    if logits.ndim < 2 or classes.shape != (logits.shape[0], *logits.shape[2:]):
        raise ShapeError(
            f"cross_entropy: logits {logits.shape} and target {classes.shape} do not fit; "
            "expected (N, C, ...) and (N, ...)"
        )
    if classes.dtype.kind not in "iu":
        raise TypeError(f"cross_entropy: target must be integer classes, got {classes.dtype}")
    count = logits.shape[1]
    if outside(classes, count):
        raise IndexError(
            f"cross_entropy: classes from {classes.min()} to {classes.max()} with {count} logits"
        )
    # Classes first in memory: reducing over them then runs along all examples at once.
    shifted = np.moveaxis(logits.data, 1, 0).reshape(count, -1).copy()
    classes = classes.reshape(-1)
    shifted -= np.maximum.reduce(shifted, axis=0)
    e = np.exp(shifted)
    totals = np.add.reduce(e, axis=0)
    losses = np.log(totals) - shifted[classes, np.arange(len(classes))]
    loss, factor = _reduced(losses, reduction)
    e /= totals
    return logits.from_op(loss, CrossEntropyBackward(logits, e.T, classes, factor))


def _same_shape(op: str, x: Tensor, target: Tensor) -> None:
    if x.shape != target.shape:
        raise ShapeError(f"{op}: input {x.shape} and target {target.shape} must be the same shape")


class BinaryCrossEntropyWithLogitsBackward(Function):
    """d/dx = sigmoid(x) - y and d/dy = -x, times the factor of the reduction."""

    def __init__(self, x: Tensor, target: Tensor, softplus: np.ndarray, factor: float) -> None:
        super().__init__(x, target)
        self.softplus = softplus
        self.factor = factor

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
        x, target = self.saved_tensors
        share = grad_output * self.factor
        grad_target = -x.data * share if target.in_graph else None
        # sigmoid(x) = exp(x - log(1 + exp(x))): the exponent is never positive.
        grad = np.exp(x.data - self.softplus)
        grad -= target.data
        grad *= share
        return grad, grad_target


def binary_cross_entropy_with_logits(
    x: Tensor, target: Tensor, reduction: Reduction = "mean"
) -> Tensor:
    """Mean (or sum) of -y log s(x) - (1-y) log(1 - s(x)), with s the sigmoid.

    As log(1 + exp(x)) - x y, the logarithm by `logaddexp`, which overflows for no logit.
    Shapes: x and target the same. Raises ShapeError when they differ.
    """
    _same_shape("binary_cross_entropy_with_logits", x, target)
    z, y = x.data, target.data
    softplus = np.logaddexp(z, 0.0)
    loss, factor = _reduced(softplus - z * y, reduction)
    return x.from_op(loss, BinaryCrossEntropyWithLogitsBackward(x, target, softplus, factor))


class MSELossBackward(Function):
    """d/dx = 2 (x - y), times the factor of the reduction; the opposite for y."""

    def __init__(self, x: Tensor, target: Tensor, difference: np.ndarray, factor: float) -> None:
        super().__init__(x, target)
        self.difference = difference
        self.factor = factor

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        grad = self.difference * (grad_output * (2.0 * self.factor))
        return grad, -grad


def mse_loss(x: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
    """Mean (or sum) of (x - target)^2. Raises ShapeError when the shapes differ."""
    _same_shape("mse_loss", x, target)
    difference = x.data - target.data
    loss, factor = _reduced(difference * difference, reduction)
    return x.from_op(loss, MSELossBackward(x, target, difference, factor))


_LABELS = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
CASES = [
    OpCase(cross_entropy, [(3, 5), np.array([0, 4, 4])]),
    OpCase(cross_entropy, [(3, 5), np.array([0, 4, 4])], {"reduction": "sum"}),
    OpCase(cross_entropy, [(2, 3, 4), np.array([[0, 1, 2, 2], [1, 1, 0, 2]])]),
    OpCase(cross_entropy, [(1, 2), np.array([1])]),
    OpCase(binary_cross_entropy_with_logits, [(3, 2), _LABELS]),
    OpCase(binary_cross_entropy_with_logits, [(3, 2), _LABELS], {"reduction": "sum"}),
    OpCase(mse_loss, [(3, 2), (3, 2)]),
    OpCase(mse_loss, [(3, 2), (3, 2)], {"reduction": "sum"}),
    OpCase(mse_loss, [(), ()]),
]
