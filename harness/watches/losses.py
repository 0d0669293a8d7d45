"""Watches the loss: computed by the harness from the logits, not taken from the engine."""

from __future__ import annotations

import numpy as np

from harness.metrics import LossFunction

# A block is to stay in the cache of a processor.
_BLOCK_BYTES = 1 << 18
_MOST_STEPS = 32


class LossWatch:
    """Call `after_forward` once a step; `finish` gives the loss of every step.

    Logits are kept in float64 and judged in blocks of equal shape.
    """

    def __init__(self, loss: LossFunction) -> None:
        self._loss = loss
        self._shapes: tuple[tuple[int, ...], ...] = ()
        self._logits = self._targets = np.zeros(0)
        self._kept = 0
        self._losses: list[np.ndarray] = []

    def after_forward(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Keep the logits and targets of this step."""
        if self._shapes != (logits.shape, targets.shape):
            self.sum_up()
            self._shapes = logits.shape, targets.shape
            steps = min(max(_BLOCK_BYTES // max(logits.size * 8, 1), 1), _MOST_STEPS)
            self._logits = np.empty((steps, *logits.shape))
            self._targets = np.empty((steps, *targets.shape), targets.dtype)
        self._logits[self._kept] = logits
        self._targets[self._kept] = targets
        self._kept += 1
        if self._kept == len(self._logits):
            self.sum_up()

    def sum_up(self) -> float:
        """Judge what is pending; the last loss."""
        if self._kept:
            self._losses.append(self._loss(self._logits[: self._kept], self._targets[: self._kept]))
            self._kept = 0
        return float(self._losses[-1][-1]) if self._losses else 0.0

    def finish(self) -> np.ndarray:
        """(steps,) mean loss of each batch."""
        self.sum_up()
        return np.concatenate(self._losses) if self._losses else np.zeros(0)
