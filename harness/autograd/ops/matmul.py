"""Matrix products: matmul (1-D, 2-D, batched, broadcast) and linear (with its bias)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.kernels import as_matrix, column_sums, unbroadcast
from harness.autograd.opcase import OpCase, Shape

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


class MatmulBackward(Function):
    """dA = G B^T, dB = A^T G; a 1-D input is a row on the left, a column on the right."""

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = (tensor.data for tensor in self.saved_tensors)
        left = a[None, :] if a.ndim == 1 else a
        right = b[:, None] if b.ndim == 1 else b
        g = grad_output[..., None, :] if a.ndim == 1 and b.ndim > 1 else grad_output
        g = g[..., None] if b.ndim == 1 else g
        g = g[None] if g.ndim == 1 else g
        grad_a = unbroadcast(g @ right.swapaxes(-1, -2), left.shape)
        grad_b = unbroadcast(left.swapaxes(-1, -2) @ g, right.shape)
        return grad_a.reshape(a.shape), grad_b.reshape(b.shape)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """Matrix product with numpy's and PyTorch's rules.

    Shapes: (..., N, K) @ (..., K, M) -> (..., N, M), leading axes broadcast; a 1-D input
    is a vector and its axis is gone from the result.
    Raises ShapeError when K disagrees or the leading axes do not broadcast.
    """
    try:
        y = np.matmul(a.data, b.data)
    except ValueError as error:
        raise ShapeError(f"matmul: shapes {a.shape} and {b.shape} do not fit") from error
    return a.from_op(y, MatmulBackward(a, b))


class LinearBackward(Function):
    """y = x W^T + b: dx = g W, dW = g^T x, db = sum of g over the rows."""

    def __init__(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> None:
        if bias is None:
            super().__init__(x, weight)
        else:
            super().__init__(x, weight, bias)

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray | None, ...]:
        x, weight = self.saved_tensors[:2]
        g = as_matrix(grad_output)
        grad_x = np.dot(g, weight.data).reshape(x.shape) if x.in_graph else None
        grad_weight = np.dot(g.T, as_matrix(x.data))
        if len(self.saved_tensors) == 2:
            return grad_x, grad_weight
        return grad_x, grad_weight, column_sums(g)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b over the last axis.

    Shapes: x (..., I), weight (O, I), bias (O,) or None. Returns (..., O).
    Raises ShapeError when the inputs disagree on I.
    """
    if weight.ndim != 2 or x.ndim == 0 or x.shape[-1] != weight.shape[1]:
        raise ShapeError(f"linear: the last axis of x {x.shape} does not fit weight {weight.shape}")
    if bias is not None and bias.shape != weight.shape[:1]:
        raise ShapeError(f"linear: bias {bias.shape} does not fit weight {weight.shape}")
    y = np.dot(as_matrix(x.data), weight.data.T)  # for two matrices, faster than @
    if bias is not None:
        y += bias.data
    return x.from_op(y.reshape(*x.shape[:-1], len(weight)), LinearBackward(x, weight, bias))


_PAIRS: list[tuple[Shape, Shape]] = [
    ((3, 4), (4, 5)),
    ((4,), (4,)),
    ((4,), (4, 2)),
    ((3, 4), (4,)),
    ((2, 3, 4), (4,)),
    ((4,), (2, 4, 3)),
    ((2, 3, 4), (2, 4, 5)),
    ((3, 4), (2, 4, 5)),
    ((2, 1, 3, 4), (5, 4, 2)),
    ((0, 3), (3, 2)),
]
_TRIPLES: list[list[Shape]] = [
    [(3, 4), (5, 4), (5,)],
    [(3, 4), (5, 4)],
    [(2, 3, 4), (4, 4), (4,)],
    [(4,), (5, 4), (5,)],
    [(1, 1), (1, 1), (1,)],
    [(0, 4), (5, 4), (5,)],
]
CASES = [
    *[OpCase(matmul, pair) for pair in _PAIRS],
    *[OpCase(linear, shapes) for shapes in _TRIPLES],
]
