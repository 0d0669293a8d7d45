"""Array helpers that several ops share, each faster here than numpy's obvious way.

Reductions over a short last axis are numpy's worst case; a product with a vector of ones
is BLAS and several times faster at the sizes of the milestones.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

import numpy as np

# Up to so many rows of a table, a product with zeros and ones costs less than sorting.
_FEW = 64


@lru_cache(maxsize=256)
def constant_vector(length: int, value: float, dtype: str) -> np.ndarray:
    """A read-only vector of one value; shared, as the same few sizes recur at every step."""
    vector = np.full(length, value, dtype=dtype)
    vector.flags.writeable = False
    return vector


def column_sums(matrix: np.ndarray) -> np.ndarray:
    """Sum of every column: (N, D) -> (D,)."""
    sums: np.ndarray = np.dot(constant_vector(len(matrix), 1.0, matrix.dtype.str), matrix)
    return sums


def row_means(x: np.ndarray) -> np.ndarray:
    """Mean over the last axis, which stays with length 1: (..., D) -> (..., 1)."""
    width = x.shape[-1]
    means: np.ndarray = np.dot(x, constant_vector(width, 1.0 / width, x.dtype.str))
    return means[..., None]


def as_matrix(x: np.ndarray) -> np.ndarray:
    """All leading axes as rows: (..., D) -> (N, D)."""
    return x.reshape(-1, x.shape[-1])


def unbroadcast(grad: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Undo broadcasting: add up `grad` over the axes along which `shape` was stretched."""
    if grad.shape == shape:
        return grad
    leading = grad.ndim - len(shape)
    stretched = tuple(
        axis
        for axis in range(grad.ndim)
        if axis < leading or (shape[axis - leading] == 1 and grad.shape[axis] != 1)
    )
    summed: np.ndarray = np.add.reduce(grad, axis=stretched)
    return summed.reshape(shape)


def outside(indices: np.ndarray, length: int) -> bool:
    """Whether one of these whole numbers is not in [0, length)."""
    # To unsigned eyes a negative number is a huge one, so that one look does for both ends.
    unsigned = indices.view(f"u{indices.itemsize}")
    return bool(np.maximum.reduce(unsigned, axis=None, initial=0) >= length)


def sum_rows_by_index(rows: np.ndarray, indices: np.ndarray, length: int) -> np.ndarray:
    """Row i of the result is the sum of `rows[j]` over all j with `indices[j] == i`.

    Shapes: rows (N, D), indices (N,) in [0, length). Returns (length, D).
    A short table is a matrix product away; for a long one, sorting brings equal indices
    together, so that one reduceat adds every run.
    """
    if length <= _FEW:
        chosen: np.ndarray = np.arange(length)[:, None] == indices
        return np.asanyarray(chosen.astype(rows.dtype) @ rows)
    out = np.zeros_like(rows, shape=(length, rows.shape[1]))
    if len(indices) == 0:
        return out
    order = np.argsort(indices, kind="stable")
    ordered = indices[order]
    starts = np.flatnonzero(np.concatenate(([True], ordered[1:] != ordered[:-1])))
    out[ordered[starts]] = np.add.reduceat(rows[order], starts, axis=0)
    return out


def window_views(
    x: np.ndarray, kernel: tuple[int, int], stride: tuple[int, int], out: tuple[int, int]
) -> Iterator[np.ndarray]:
    """For each place in a window, row by row, the numbers of all windows at that place.

    Shapes: x (..., H, W); yields views (..., H', W') with `out` = (H', W'). Working on
    kH * kW large views instead of H' * W' small windows is what makes windows fast here.
    """
    for i in range(kernel[0]):
        for j in range(kernel[1]):
            rows = slice(i, i + stride[0] * (out[0] - 1) + 1, stride[0])
            columns = slice(j, j + stride[1] * (out[1] - 1) + 1, stride[1])
            yield x[..., rows, columns]
