"""Watches the loss: computed by the harness from the logits, not taken from the engine."""

from __future__ import annotations

import numpy as np

from harness.metrics import LossFunction


class LossWatch:
    """Call `after_forward` once a step; `finish` gives the loss of every step.

    Logits are kept as they are and judged in blocks of equal shape, in float64.
    """

    def __init__(self, loss: LossFunction) -> None:
        self._loss = loss
        self._pending: list[tuple[np.ndarray, np.ndarray]] = []
        self._losses: list[np.ndarray] = []

    def after_forward(self, logits: np.ndarray, targets: np.ndarray) -> None:
        """Keep the logits and targets of this step."""
        if self._pending and self._pending[-1][0].shape != logits.shape:
            self.sum_up()
        self._pending.append((logits.copy(), targets))

    def sum_up(self) -> float:
        """Judge what is pending; the last loss."""
        if self._pending:
            logits, targets = zip(*self._pending, strict=True)
            self._losses.append(self._loss(np.stack(logits), np.stack(targets)))
            self._pending.clear()
        return float(self._losses[-1][-1]) if self._losses else 0.0

    def finish(self) -> np.ndarray:
        """(steps,) mean loss of each batch."""
        self.sum_up()
        return np.concatenate(self._losses) if self._losses else np.zeros(0)
