"""Watches the gradient and the movement of every tensor at every step.

A step only copies what it saw into a row of a buffer; the norms of a whole block of rows
are taken at once, which keeps watching cheap beside training.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.backends.base import Backend, Parameter

# A block of rows is to stay in the cache of a processor.
_BLOCK_BYTES = 1 << 19
_MOST_ROWS = 64
_FEWEST_ROWS = 4
# Squares below this may have lost digits to underflow in float32.
_TINY = 1e-30


class GradientWatch:
    """Call `after_backward` and `after_step` once a step, then `finish`."""

    def __init__(self, backend: Backend, parameters: Sequence[Parameter]) -> None:
        self._backend = backend
        self._parameters = list(parameters)
        arrays = backend.arrays(self._parameters)
        sizes = [array.size for array in arrays]
        ends = np.cumsum(sizes).tolist()
        self._slices = [slice(end - size, end) for end, size in zip(ends, sizes, strict=True)]
        dtype = np.result_type(*arrays)
        fitting = _BLOCK_BYTES // max(sum(sizes) * dtype.itemsize, 1)
        self._rows = min(max(fitting, _FEWEST_ROWS), _MOST_ROWS)
        self._gradients = np.zeros((self._rows, sum(sizes)), dtype)
        # One row more: movement is the difference of neighbours.
        self._values = np.zeros((self._rows + 1, sum(sizes)), dtype)
        self._missing: list[tuple[int, int]] = []
        self._row = 0
        self._norms: list[np.ndarray] = []
        self._moves: list[np.ndarray] = []
        backend.copy_values(self._parameters, self._values[0])

    def after_backward(self) -> None:
        """Copy the gradients of this step."""
        row = self._gradients[self._row]
        for column in self._backend.copy_gradients(self._parameters, row):
            self._missing.append((self._row, column))

    def after_step(self) -> bool:
        """Copy the parameters after this step; True when a block was just summed up."""
        self._row += 1
        self._backend.copy_values(self._parameters, self._values[self._row])
        if self._row < self._rows:
            return False
        self._sum_up()
        return True

    def _sum_up(self) -> None:
        rows = self._row
        norms = self._norm(self._gradients[:rows])
        norms[np.isnan(norms)] = np.inf
        for row, column in self._missing:
            norms[row, column] = np.nan
        self._norms.append(norms)
        change = self._gradients[:rows]  # no longer needed: its memory is used again
        with np.errstate(invalid="ignore"):  # inf - inf after a step that went astray
            np.subtract(self._values[1 : rows + 1], self._values[:rows], out=change)
        self._moves.append(self._norm(change))
        self._values[0] = self._values[rows]
        self._missing.clear()
        self._row = 0

    def _norm(self, block: np.ndarray) -> np.ndarray:
        """Euclidean norm per row and tensor."""
        squares = np.empty((len(block), len(self._slices)), block.dtype)
        with np.errstate(all="ignore"):
            for column, place in enumerate(self._slices):
                np.vecdot(block[:, place], block[:, place], out=squares[:, column])
            wide = squares.astype(np.float64)
            # What float32 would lose; of no other row, as norms must not hang on neighbours.
            odd = (squares < _TINY) | ~np.isfinite(squares)
            for column in np.flatnonzero(odd.any(axis=0)).tolist():
                rows = odd[:, column]
                numbers = block[rows, self._slices[column]].astype(np.float64)
                wide[rows, column] = np.vecdot(numbers, numbers)
        return np.asarray(np.sqrt(wide))

    def finish(self) -> tuple[np.ndarray, np.ndarray]:
        """(gradient_norm, movement), each (steps, tensors); NaN where no gradient arrived.

        A gradient that arrived but is not finite has the norm inf.
        """
        if self._row:
            self._sum_up()
        if not self._norms:
            return np.zeros((0, len(self._slices))), np.zeros((0, len(self._slices)))
        return np.concatenate(self._norms), np.concatenate(self._moves)
