"""embedding: rows of a table by index."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.function import Function
from harness.autograd.kernels import as_matrix, outside, sum_rows_by_index
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


class EmbeddingBackward(Function):
    """Each row of the table gets the sum of the gradients of all its uses."""

    def __init__(self, weight: Tensor, indices: Tensor) -> None:
        super().__init__(weight)
        self.indices = indices

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (weight,) = self.saved_tensors
        rows = as_matrix(grad_output)
        return (sum_rows_by_index(rows, self.indices.data.ravel(), len(weight)),)


def embedding(indices: Tensor, weight: Tensor) -> Tensor:
    """Row `weight[i]` for every index i.

    Shapes: indices (...) of integers, weight (V, D). Returns (..., D).
    Raises TypeError for indices that are not integers, IndexError outside [0, V).
    """
    places = indices.data
    if places.dtype.kind not in "iu":
        raise TypeError(f"embedding: indices must be integers, got {places.dtype}")
    if outside(places, len(weight)):
        raise IndexError(
            f"embedding: indices from {places.min()} to {places.max()} do not fit a table of "
            f"{len(weight)} rows"
        )
    return weight.from_op(weight.data.take(places, axis=0), EmbeddingBackward(weight, indices))


CASES = [
    OpCase(embedding, [np.array([[1, 3], [3, 3]]), (5, 2)]),
    OpCase(embedding, [np.array([0, 4, 1]), (5, 3)]),
    OpCase(embedding, [np.array(2), (4, 3)]),
    OpCase(embedding, [np.zeros((0,), dtype=np.int64), (4, 3)]),
]
