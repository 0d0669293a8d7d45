"""Loss and accuracy on held-out examples, computed by the harness from the model's logits."""

from __future__ import annotations

import numpy as np

from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.metrics import LOSSES, accuracy, targets_for
from harness.model import Model
from harness.record import RunRecord

# So many examples at most go through the model at once: more would only take more memory.
_AT_ONCE = 512


class Evaluation:
    """Looks at some of the held-out examples on the way, and at all of them at the end.

    At the end they go through the model in slices as large as those on the way.
    """

    def __init__(self, config: MilestoneConfig, dataset: Dataset) -> None:
        self._loss_name = config.training.loss
        self._dataset = dataset
        total = len(dataset.held_out_x)
        some = min(config.training.evaluate_rows or total, total)
        # Spread over all rows: neighbours are often alike.
        self._some = np.arange(some) * total // some
        self._all = np.arange(total)

    def on_the_way(self, model: Model, step: int, record: RunRecord) -> None:
        """Add a point to the record's curves."""
        share, loss = self._measure(model, self._some)
        record.evaluated_at = np.append(record.evaluated_at, step)
        record.accuracy = np.append(record.accuracy, share)
        record.held_out_loss = np.append(record.held_out_loss, loss)

    def at_the_end(self, model: Model, record: RunRecord) -> None:
        """Write what the training came to."""
        record.final_accuracy, record.final_loss = self._measure(model, self._all)

    def _measure(self, model: Model, rows: np.ndarray) -> tuple[float, float]:
        dataset = self._dataset
        loss_function, predict = LOSSES[self._loss_name]
        model.set_training(False)
        logits = self._logits(model, rows)
        model.set_training(True)
        targets = targets_for(self._loss_name, logits, dataset.held_out_y[rows])
        mask = dataset.scored_mask
        scored = None if mask is None else mask[rows].reshape(targets.shape)
        share = accuracy(predict(logits), targets, scored)
        return share, float(loss_function(logits, targets))

    def _logits(self, model: Model, rows: np.ndarray) -> np.ndarray:
        """What the model makes of these rows, a slice at a time."""
        size = min(len(self._some), _AT_ONCE)
        slices = [rows[start : start + size] for start in range(0, len(rows), size)]
        parts = [model.outputs(self._dataset.held_out_x[some]) for some in slices]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)
