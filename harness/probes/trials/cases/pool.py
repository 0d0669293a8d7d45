"""`Pool`: random numbers drawn at once and handed out in pieces, a thousand small arrays."""

from __future__ import annotations

import math
from copy import copy

import numpy as np

Array = np.ndarray
Shape = tuple[int, ...]
SIZE = 1 << 15


class Pool:
    """Arrays of fresh numbers of a kind; the same again for the same seed."""

    def __init__(self, *seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        uniform = self.rng.random(SIZE)
        self._positive = 0.5 + uniform
        self._normal = self.rng.standard_normal(SIZE)
        # From 0.2 to 1.5, of either sign.
        self._signed = np.copysign(0.2 + 1.3 * uniform, self._normal)
        self._at = 0

    def at(self, key: int) -> Pool:
        """Another pool of the same numbers, which begins elsewhere: always there for a key."""
        other = copy(self)
        other.rng = np.random.default_rng(key)
        other._at = key % SIZE
        return other

    def positive(self, shape: Shape) -> Array:
        """Between 0.5 and 1.5."""
        return self._piece(self._positive, shape)

    def signed(self, shape: Shape) -> Array:
        """Of either sign, away from 0."""
        return self._piece(self._signed, shape)

    def normal(self, shape: Shape) -> Array:
        """With mean 0 and variance 1."""
        return self._piece(self._normal, shape)

    def _piece(self, numbers: Array, shape: Shape) -> Array:
        """A copy of the next numbers; from the start again when they are used up."""
        size = math.prod(shape)
        if self._at + size > SIZE:
            self._at = 0
        start, self._at = self._at, self._at + size
        return numbers[start : self._at].copy().reshape(shape)
