"""Loss and accuracy on held-out examples, computed by the harness from the model's logits."""

from __future__ import annotations

import numpy as np

from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.metrics import LOSSES, accuracy, targets_for
from harness.model import Model
from harness.record import RunRecord

# So many examples at most go through the model at once: more would only take more memory.
AT_ONCE = 512
# Logits of evaluations on the way are judged together, which is cheaper, until they are so many.
_HELD = 1 << 16


class Evaluation:
    """Looks at some of the held-out examples on the way, and at all of them at the end.

    At the end they go through the model in slices as large as those on the way. What the looks
    come to stands in the record after `at_the_end` or `sum_up`.
    """

    def __init__(self, config: MilestoneConfig, dataset: Dataset) -> None:
        self._loss_name = config.training.loss
        self._dataset = dataset
        total = len(dataset.held_out_x)
        some = min(config.training.evaluate_rows or total, total)
        # Spread over all rows: neighbours are often alike.
        self._some = np.arange(some) * total // some
        self._all = np.arange(total)
        self._pending: list[tuple[int, np.ndarray]] = []

    def on_the_way(self, model: Model, step: int, record: RunRecord) -> None:
        """Add a point to the record's curves."""
        logits = self._logits(model, self._some)
        self._pending.append((step, logits.copy()))
        if len(self._pending) * logits.size >= _HELD:
            self.sum_up(record)

    def at_the_end(self, model: Model, record: RunRecord) -> None:
        """Write what the training came to."""
        self.sum_up(record)
        logits = self._logits(model, self._all)
        (record.final_accuracy,), (record.final_loss,) = self._scores(logits[None], self._all)

    def sum_up(self, record: RunRecord) -> None:
        """Judge the looks on the way that are pending."""
        if not self._pending:
            return
        steps, logits = zip(*self._pending, strict=True)
        shares, losses = self._scores(np.stack(logits), self._some)
        record.evaluated_at = np.append(record.evaluated_at, steps)
        record.accuracy = np.append(record.accuracy, shares)
        record.held_out_loss = np.append(record.held_out_loss, losses)
        self._pending.clear()

    def _logits(self, model: Model, rows: np.ndarray) -> np.ndarray:
        """What the model makes of these rows, a slice at a time."""
        size = min(len(self._some), AT_ONCE)
        slices = [rows[start : start + size] for start in range(0, len(rows), size)]
        model.set_training(False)
        parts = [model.outputs(self._dataset.held_out_x[some]) for some in slices]
        model.set_training(True)
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def _scores(self, logits: np.ndarray, rows: np.ndarray) -> tuple[list[float], list[float]]:
        """The accuracy and the loss of each of several looks at these rows, (k, ...) logits."""
        loss_function, predict = LOSSES[self._loss_name]
        targets, scored = held_out_targets(self._loss_name, logits[0], self._dataset, rows)
        shares = [accuracy(each, targets, scored) for each in predict(logits)]
        everywhere = np.broadcast_to(targets, (len(logits), *targets.shape))
        return shares, loss_function(logits, everywhere).tolist()


def held_out_targets(
    loss: str, logits: np.ndarray, dataset: Dataset, rows: np.ndarray
) -> tuple[np.ndarray, np.ndarray | None]:
    """What a loss takes for the logits of these rows, and a mask of what counts for accuracy.

    None where all of it does.
    """
    targets, mask = targets_for(loss, logits, dataset.held_out_y[rows]), dataset.scored_mask
    return targets, None if mask is None else mask[rows].reshape(targets.shape)
