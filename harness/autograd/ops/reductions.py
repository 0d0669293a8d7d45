"""Reductions over any axes: sum, mean, max. `dim` is PyTorch's name for numpy's axis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor

Dims = int | tuple[int, ...] | None


def _axes(name: str, dim: Dims, x: Tensor) -> tuple[int, ...]:
    """`dim` as non-negative axes; None means all of them."""
    if dim is None:
        return tuple(range(x.ndim))
    given = (dim,) if isinstance(dim, int) else tuple(dim)
    axes = tuple(axis + x.ndim if axis < 0 else axis for axis in given)
    if len(set(axes)) < len(axes) or any(axis not in range(x.ndim) for axis in axes):
        raise ShapeError(f"{name}: dim {dim} does not fit a tensor of shape {x.shape}")
    return axes


def _kept_shape(shape: tuple[int, ...], axes: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(1 if axis in axes else length for axis, length in enumerate(shape))


def _reduce(ufunc: np.ufunc, x: np.ndarray, axes: tuple[int, ...], keepdim: bool) -> np.ndarray:
    return np.asarray(ufunc.reduce(x, axis=axes, keepdims=keepdim))


class SumBackward(Function):
    """Every summand gets the gradient of its sum."""

    def __init__(self, x: Tensor, axes: tuple[int, ...]) -> None:
        super().__init__(x)
        self.axes = axes

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        return (np.broadcast_to(grad_output.reshape(_kept_shape(x.shape, self.axes)), x.shape),)


def sum(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Sum over `dim` (all axes when None); `keepdim` leaves them with length 1."""
    axes = _axes("sum", dim, x)
    return x.from_op(_reduce(np.add, x.data, axes, keepdim), SumBackward(x, axes))


class MeanBackward(Function):
    """Every one of n numbers gets 1/n of the gradient of their mean."""

    def __init__(self, x: Tensor, axes: tuple[int, ...], count: int) -> None:
        super().__init__(x)
        self.axes = axes
        self.count = count

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        share = (grad_output / self.count).reshape(_kept_shape(x.shape, self.axes))
        return (np.broadcast_to(share, x.shape),)


def mean(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Mean over `dim` (all axes when None); `keepdim` leaves them with length 1.

    Raises ShapeError for the mean of nothing.
    """
    axes = _axes("mean", dim, x)
    count = int(np.prod([x.shape[axis] for axis in axes]))
    if count == 0:
        raise ShapeError(f"mean: dim {dim} of a tensor of shape {x.shape} holds no number")
    total = _reduce(np.add, x.data, axes, keepdim)
    return x.from_op(np.true_divide(total, count, dtype=total.dtype), MeanBackward(x, axes, count))


class MaxBackward(Function):
    """The gradient goes to the maximum; equal maxima share it evenly (PyTorch's amax)."""

    def __init__(self, x: Tensor, axes: tuple[int, ...], y: np.ndarray) -> None:
        super().__init__(x)
        self.axes = axes
        self.y = y

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        kept = _kept_shape(x.shape, self.axes)
        is_max = (x.data == self.y.reshape(kept)).astype(x.dtype)
        is_max /= np.add.reduce(is_max, axis=self.axes, keepdims=True)
        return (is_max * grad_output.reshape(kept),)


def max(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Largest value over `dim` (all axes when None); the value only, like PyTorch's amax.

    Raises ShapeError for the maximum of nothing.
    """
    axes = _axes("max", dim, x)
    if any(x.shape[axis] == 0 for axis in axes):
        raise ShapeError(f"max: dim {dim} of a tensor of shape {x.shape} holds no number")
    y = _reduce(np.maximum, x.data, axes, keepdim)
    return x.from_op(y, MaxBackward(x, axes, y))


_DIMS: list[tuple[tuple[int, ...], Dims]] = [
    ((3, 4), None), ((3, 4), 0), ((3, 4), -1), ((2, 3, 4), (0, 2)), ((2, 3, 4), 1), ((), None),
    ((5,), 0), ((1, 3), 0),
]  # fmt: skip
CASES = [
    OpCase(op, [shape], {"dim": dim, "keepdim": keepdim})
    for op in (sum, mean, max)
    for shape, dim in _DIMS
    for keepdim in (False, True)
] + [OpCase(sum, [(0, 3)], {"dim": 0})]
