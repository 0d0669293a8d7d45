"""`Dataset`: examples to train on and examples held out."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Dataset:
    """Arrays with one example a row.

    `vary` makes an epoch's inputs out of `train_x` (a new placement, say); None leaves them
    as they are. `scored`, a mask like one target, says which held-out targets count for
    accuracy; None means all.
    """

    train_x: np.ndarray
    train_y: np.ndarray
    held_out_x: np.ndarray
    held_out_y: np.ndarray
    vary: Callable[[np.ndarray, np.random.Generator], np.ndarray] | None = None
    scored: np.ndarray | None = None

    def epoch(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """The inputs and targets of one epoch, in file order."""
        return (self.vary(self.train_x, rng) if self.vary else self.train_x), self.train_y

    @property
    def scored_mask(self) -> np.ndarray | None:
        """`scored` for every held-out target."""
        if self.scored is None:
            return None
        return np.broadcast_to(self.scored, self.held_out_y.shape)

    @property
    def majority_accuracy(self) -> float:
        """What always answering with the most frequent held-out class gets."""
        mask = self.scored_mask
        answers = self.held_out_y if mask is None else self.held_out_y[mask]
        return float(np.unique(answers, return_counts=True)[1].max() / answers.size)

    @property
    def digest(self) -> str:
        """sha256 over all arrays with their shapes and types."""
        digest = hashlib.sha256()
        for array in (self.train_x, self.train_y, self.held_out_x, self.held_out_y):
            digest.update(array_digest(array).encode())
        return digest.hexdigest()


def array_digest(array: np.ndarray) -> str:
    """sha256 of one array: its type, shape and numbers in row-major order."""
    digest = hashlib.sha256(f"{array.dtype.str} {array.shape}".encode())
    digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
