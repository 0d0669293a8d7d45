"""Same numbers, other shape: reshape, flatten, transpose, permute, index, concatenate."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor

# Whatever numpy takes as an index, with tensors in place of arrays: no narrower type exists.
Key = Any


class ReshapeBackward(Function):
    """The gradient takes the shape back."""

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        return (grad_output.reshape(x.shape),)


def reshape(x: Tensor, shape: tuple[int, ...]) -> Tensor:
    """The same numbers in row-major order in another shape; one length may be -1."""
    try:
        y = x.data.reshape(shape)
    except ValueError as error:
        raise ShapeError(f"reshape: {x.shape} has {x.size} numbers, {shape} does not") from error
    return x.from_op(y, ReshapeBackward(x))


def flatten(x: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Make one axis of the axes from `start_dim` to `end_dim`, both included."""
    if x.ndim == 0:
        return reshape(x, (1,))
    if not all(-x.ndim <= dim < x.ndim for dim in (start_dim, end_dim)):
        raise ShapeError(f"flatten: {x.shape} has no axes {start_dim} to {end_dim}")
    start, end = start_dim % x.ndim, end_dim % x.ndim
    if start > end:
        raise ShapeError(f"flatten: start_dim {start_dim} comes after end_dim {end_dim}")
    merged = int(np.prod(x.shape[start : end + 1]))
    return reshape(x, (*x.shape[:start], merged, *x.shape[end + 1 :]))


class PermuteBackward(Function):
    """The gradient goes back through the inverse permutation."""

    def __init__(self, x: Tensor, dims: tuple[int, ...]) -> None:
        super().__init__(x)
        self.dims = dims

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output.transpose(np.argsort(self.dims)),)


def permute(x: Tensor, dims: tuple[int, ...]) -> Tensor:
    """Axes in another order: axis i of the result is axis `dims[i]` of x."""
    axes = tuple(dim + x.ndim if dim < 0 else dim for dim in dims)
    if sorted(axes) != list(range(x.ndim)):
        raise ShapeError(f"permute: {dims} does not order the axes of shape {x.shape}")
    return x.from_op(x.data.transpose(axes), PermuteBackward(x, axes))


class TransposeBackward(Function):
    """Swapping two axes is its own inverse."""

    def __init__(self, x: Tensor, dim0: int, dim1: int) -> None:
        super().__init__(x)
        self.dim0, self.dim1 = dim0, dim1

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output.swapaxes(self.dim0, self.dim1),)


def transpose(x: Tensor, dim0: int = -2, dim1: int = -1) -> Tensor:
    """Swap two axes."""
    try:
        y = x.data.swapaxes(dim0, dim1)
    except ValueError as error:
        raise ShapeError(
            f"transpose: a tensor of shape {x.shape} has no axes {dim0} and {dim1}"
        ) from error
    return x.from_op(y, TransposeBackward(x, dim0, dim1))


class IndexBackward(Function):
    """Every number goes back where it was taken from; taken twice, it adds up."""

    def __init__(self, x: Tensor, key: Key) -> None:
        super().__init__(x)
        self.key = key

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        parts = self.key if isinstance(self.key, tuple) else (self.key,)
        if not any(isinstance(part, (np.ndarray, list, tuple)) for part in parts):
            grad = np.zeros(x.shape, dtype=grad_output.dtype)
            grad[self.key] = grad_output
            return (grad,)
        taken = np.arange(x.size).reshape(x.shape)[self.key]
        grad = np.bincount(taken.ravel(), weights=grad_output.ravel(), minlength=x.size)
        return (grad.reshape(x.shape).astype(grad_output.dtype),)


def index(x: Tensor, key: Key) -> Tensor:
    """x[key] with numpy's rules: integers, slices, masks, index arrays or tensors."""
    plain = tuple(map(_plain, key)) if isinstance(key, tuple) else _plain(key)
    try:
        y = x.data[plain]
    except IndexError as error:
        raise ShapeError(f"index: {error} (tensor of shape {x.shape})") from error
    return x.from_op(y, IndexBackward(x, plain))


def _plain(part: Key) -> Key:
    """A tensor in a key stands for its array."""
    return part.data if hasattr(part, "_grad_fn") else part


class ConcatenateBackward(Function):
    """Each input gets its own piece of the gradient."""

    def __init__(self, *tensors: Tensor, dim: int) -> None:
        super().__init__(*tensors)
        self.dim = dim

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, ...]:
        lengths = [tensor.shape[self.dim] for tensor in self.saved_tensors]
        return tuple(np.split(grad_output, np.cumsum(lengths[:-1]), axis=self.dim))


def concatenate(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """Join tensors along an axis that they have; the other axes must agree."""
    if len(tensors) == 0:
        raise ShapeError("concatenate: got no tensors")
    try:
        y = np.concatenate([tensor.data for tensor in tensors], axis=dim)
    except ValueError as error:
        shapes = ", ".join(str(tensor.shape) for tensor in tensors)
        raise ShapeError(f"concatenate: shapes {shapes} do not fit along dim {dim}") from error
    return tensors[0].from_op(y, ConcatenateBackward(*tensors, dim=dim))


def _listed(*tensors: Tensor, dim: int = 0) -> Tensor:
    return concatenate(tensors, dim)


CASES = [
    OpCase(reshape, [(3, 4)], {"shape": (2, 6)}),
    OpCase(reshape, [(2, 3, 4)], {"shape": (-1, 4)}),
    OpCase(reshape, [()], {"shape": (1, 1)}),
    OpCase(permute, [(2, 3, 4)], {"dims": (2, 0, 1)}),
    OpCase(permute, [(3, 4)], {"dims": (-1, 0)}),
    OpCase(transpose, [(2, 3, 4)], {"dim0": 0, "dim1": 2}),
    OpCase(transpose, [(3, 4)]),
    OpCase(index, [(4, 5)], {"key": 1}),
    OpCase(index, [(4, 5)], {"key": (slice(1, 3), slice(None, None, 2))}),
    OpCase(index, [(4, 5)], {"key": (..., None, -1)}),
    OpCase(index, [(4, 5)], {"key": np.array([2, 0, 2, 2])}),
    OpCase(index, [(4, 5)], {"key": (np.array([0, 0, 3]), np.array([1, 1, 4]))}),
    OpCase(index, [(2, 3, 4)], {"key": (slice(None), np.array([[0, 2], [2, 2]]))}),
    OpCase(index, [(2, 2)], {"key": np.array([[True, False], [True, True]])}),
    OpCase(concatenate, [(2, 3), (1, 3), (4, 3)], adapt=_listed),
    OpCase(concatenate, [(2, 3), (2, 1), (2, 0)], {"dim": -1}, adapt=_listed),
]
