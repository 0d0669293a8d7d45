"""softmax and log_softmax over one axis, stable for logits of any size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


def softmax_array(x: np.ndarray, axis: int) -> np.ndarray:
    """softmax of an array; the largest logit is subtracted first, so exp cannot overflow."""
    e: np.ndarray = x - np.maximum.reduce(x, axis=axis, keepdims=True)
    e = np.exp(e, out=e if e.dtype.kind == "f" else None)
    e /= np.add.reduce(e, axis=axis, keepdims=True)
    return e


def softmax_gradient(y: np.ndarray, grad_output: np.ndarray, axis: int) -> np.ndarray:
    """Gradient of softmax with output y: y (g - sum(g y))."""
    weighted: np.ndarray = y * grad_output
    weighted -= y * np.add.reduce(weighted, axis=axis, keepdims=True)
    return weighted


def _require_axis(name: str, x: Tensor, dim: int) -> None:
    if not -x.ndim <= dim < x.ndim:
        raise ShapeError(f"{name}: a tensor of shape {x.shape} has no dim {dim}")


class SoftmaxBackward(Function):
    """dx = y (g - sum(g y)) along the axis."""

    def __init__(self, x: Tensor, y: np.ndarray, dim: int) -> None:
        super().__init__(x)
        self.y = y
        self.dim = dim

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (softmax_gradient(self.y, grad_output, self.dim),)


def softmax(x: Tensor, dim: int = -1) -> Tensor:
    """exp(x) / sum(exp(x)) along `dim`."""
    _require_axis("softmax", x, dim)
    y = softmax_array(x.data, dim)
    return x.from_op(y, SoftmaxBackward(x, y, dim))


class LogSoftmaxBackward(Function):
    """dx = g - softmax(x) sum(g) along the axis."""

    def __init__(self, x: Tensor, y: np.ndarray, dim: int) -> None:
        super().__init__(x)
        self.y = y
        self.dim = dim

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        total = np.add.reduce(grad_output, axis=self.dim, keepdims=True)
        return (grad_output - np.exp(self.y) * total,)


def log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    """x - log(sum(exp(x))) along `dim`."""
    _require_axis("log_softmax", x, dim)
    shifted = x.data - np.maximum.reduce(x.data, axis=dim, keepdims=True)
    y = shifted - np.log(np.add.reduce(np.exp(shifted), axis=dim, keepdims=True))
    return x.from_op(y, LogSoftmaxBackward(x, y, dim))


CASES = [
    OpCase(op, [shape], {"dim": dim})
    for op in (softmax, log_softmax)
    for shape, dim in [
        ((4,), 0),
        ((3, 5), -1),
        ((3, 5), 0),
        ((2, 3, 4), 1),
        ((2, 1), 1),
        ((0, 3), 1),
    ]
]
