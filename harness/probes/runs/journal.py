"""`Journal`: arrays written one after the other, to be read again in parts."""

from __future__ import annotations

import math
from tempfile import SpooledTemporaryFile
from weakref import finalize

import numpy as np

# More than so many bytes go to a file: all numbers of a long training would fill the memory.
_IN_MEMORY = 1 << 18


class Journal:
    """Copies of arrays, in the order in which they were appended."""

    def __init__(self) -> None:
        self._file = SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115  (see the next line)
        finalize(self, self._file.close)
        self._written: list[tuple[int, np.dtype, tuple[int, ...]]] = []
        self._size = 0

    def __len__(self) -> int:
        return len(self._written)

    def append(self, array: np.ndarray) -> None:
        """Write one more."""
        self._file.seek(self._size)
        self._written.append((self._size, array.dtype, array.shape))
        self._size += self._file.write(np.ascontiguousarray(array).data)

    def read(self, start: int, end: int) -> list[np.ndarray]:
        """Those from one to before another, counted from 0; fewer if there are fewer."""
        some = self._written[start:end]
        if not some:
            return []
        (first, *_), (last, dtype, shape) = some[0], some[-1]
        self._file.seek(first)
        data = self._file.read(last + math.prod(shape) * dtype.itemsize - first)
        return [
            np.frombuffer(data, dtype, math.prod(shape), place - first).reshape(shape)
            for place, dtype, shape in some
        ]
