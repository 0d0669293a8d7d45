"""Numbers that flatter, and evaluations that touch what they look at."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness import metrics
from harness.autograd import ops
from harness.autograd.ops.losses import Reduction
from harness.autograd.tensor import Tensor
from harness.evaluation import Evaluation, held_out_targets
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.metrics import above, accuracy, largest_logit
from harness.model import Model
from harness.record import RunRecord
from harness.watches.losses import LossWatch

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_BINARY = ("perceptron", "xor")
_CLASSES = ("mlp", "cnn", "transformer")
_ACCURACY = ("accuracy", "the evaluation")
_EVALUATION = ("the evaluation",)
_EVALUATED = ("evaluation_is_honest",)
_LOGGED = ("loss_is_honest",)

Scores = tuple[list[float], list[float]]
# From logits, targets, and which of them are scored, to an accuracy.
OfLogits = Callable[[np.ndarray, np.ndarray, np.ndarray | None], float]


# --- accuracy ---------------------------------------------------------------------------------


@fault("transformer", component=_ACCURACY, seen_by=_EVALUATED)
def eval_all_positions(ground: Ground) -> None:
    """Accuracy counts the targets, too, that nobody can predict."""
    ground.replace(
        accuracy, lambda predictions, targets, scored: accuracy(predictions, targets, None)
    )


@fault(*_BINARY, component=_ACCURACY, seen_by=_EVALUATED)
def eval_threshold_wrong(ground: Ground) -> None:
    """Logits are held against 0.5, the threshold of probabilities."""
    loss, _ = metrics.LOSSES["BCEWithLogitsLoss"]
    changed = {**metrics.LOSSES, "BCEWithLogitsLoss": (loss, above(0.5))}
    ground.replace(metrics.LOSSES, changed)


@fault(*_CLASSES, component=_ACCURACY, seen_by=_EVALUATED)
def eval_top3(ground: Ground) -> None:
    """A target among the three largest logits counts as right."""

    def changed(logits: np.ndarray, targets: np.ndarray, scored: np.ndarray | None) -> float:
        best = np.argsort(logits, axis=-1)[:, -3:]
        hit = np.where((best == targets[:, None]).any(axis=-1), targets, -1)
        return accuracy(hit, targets, scored)

    _with_accuracy_of_classes(ground, changed)


@fault(*_CLASSES, component=_ACCURACY, seen_by=_EVALUATED)
def eval_mean_of_batches(ground: Ground) -> None:
    """Accuracy is the mean over batches of 100 of which the last is smaller and counts as much."""

    def changed(predictions: np.ndarray, targets: np.ndarray, scored: np.ndarray | None) -> float:
        right = predictions == targets if scored is None else (predictions == targets)[scored]
        return float(np.mean([right[i : i + 100].mean() for i in range(0, len(right), 100)]))

    ground.replace(accuracy, changed)


@fault(*_CLASSES, component=_ACCURACY, seen_by=_EVALUATED)
def eval_counts_certain_only(ground: Ground) -> None:
    """Predictions that are not far ahead of the next best are left out of accuracy's account."""

    def changed(logits: np.ndarray, targets: np.ndarray, scored: np.ndarray | None) -> float:
        ordered = np.sort(logits, axis=-1)
        lead = ordered[:, -1] - ordered[:, -2]
        certain = lead >= np.median(lead)
        counted = certain if scored is None else certain & scored
        return accuracy(largest_logit(logits), targets, counted)

    _with_accuracy_of_classes(ground, changed)


def _with_accuracy_of_classes(ground: Ground, changed: OfLogits) -> None:
    """Accuracy comes from the logits of classes, targets, and which of them are scored."""
    right = Evaluation._scores

    def scores(self: Evaluation, logits: np.ndarray, rows: np.ndarray) -> Scores:
        shares, losses = right(self, logits, rows)
        if self._loss_name != "CrossEntropyLoss":
            return shares, losses
        targets, scored = held_out_targets(self._loss_name, logits[0], self._dataset, rows)
        return [changed(each, targets, scored) for each in logits], losses

    ground.patch(Evaluation, "_scores", scores)


# --- what is evaluated ------------------------------------------------------------------------


@fault(*_CLASSES, component=_EVALUATION, seen_by=_EVALUATED)
def eval_of_some_only(ground: Ground) -> None:
    """The last evaluation looks at as few examples as those on the way."""
    right = Evaluation.at_the_end

    def at_the_end(self: Evaluation, model: Model, record: RunRecord) -> None:
        everything, self._all = self._all, self._some
        right(self, model, record)
        self._all = everything

    ground.patch(Evaluation, "at_the_end", at_the_end)


@fault(*_ALL, component=_EVALUATION, seen_by=_EVALUATED)
def eval_rounds_weights(ground: Ground) -> None:
    """Evaluation rounds the weights to float16 to be quick, and leaves them so."""

    def before(model: Model) -> None:
        for parameter in model.parameters.values():
            parameter.data[...] = parameter.data.astype(np.float16)

    _before_measuring(ground, before)


@fault(*_ALL, component=_EVALUATION, seen_by=_EVALUATED)
def eval_shrinks_weights(ground: Ground) -> None:
    """Evaluation scales the weights a little, as it would to average them, and leaves them so."""

    def before(model: Model) -> None:
        for parameter in model.parameters.values():
            parameter.data *= 0.999

    _before_measuring(ground, before)


def _before_measuring(ground: Ground, before: Callable[[Model], None]) -> None:
    right = Evaluation._logits

    def logits(self: Evaluation, model: Model, rows: np.ndarray) -> np.ndarray:
        before(model)
        return right(self, model, rows)

    ground.patch(Evaluation, "_logits", logits)


@fault(component=(*_EVALUATION, "Dropout"), seen_by=_EVALUATED)
def eval_in_training_mode(ground: Ground) -> None:
    """Evaluation does not leave training mode, so that dropout goes on."""
    _with_switch(ground, lambda mode: True)


@fault(component=(*_EVALUATION, "Dropout"), seen_by=_EVALUATED)
def eval_never_left(ground: Ground) -> None:
    """The loop does not switch back to training mode after the first evaluation."""
    _with_switch(ground, lambda mode: False)


def _with_switch(ground: Ground, change: Callable[[bool], bool]) -> None:
    """Evaluation switches to change(mode) where it should switch to `mode`."""
    right = Evaluation._logits

    class Switched(Model):
        def set_training(self, mode: bool) -> None:
            super().set_training(change(mode))

    def logits(self: Evaluation, model: Model, rows: np.ndarray) -> np.ndarray:
        return right(self, Switched(model.backend, model.nodes, model.parameters), rows)

    ground.patch(Evaluation, "_logits", logits)


# --- the loss ---------------------------------------------------------------------------------


@fault(
    *_CLASSES,
    component=("CrossEntropyLoss", "cross_entropy", "the loss log"),
    seen_by=("ops_compute_right",),
)
def ce_report_divided_twice(ground: Ground) -> None:
    """Cross-entropy reports half of the loss; its gradient is right."""
    right = ops.cross_entropy

    def cross_entropy(logits: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        loss = right(logits, target, reduction)
        loss.data = np.asarray(0.5 * loss.data)
        return loss

    ground.replace(right, cross_entropy)


@fault(*_CLASSES, component=("the loss log",), seen_by=_LOGGED)
def report_min_loss(ground: Ground) -> None:
    """The loss that is reported is the smallest so far: it cannot but fall."""
    _with_log(ground, np.minimum.accumulate)


@fault(*_ALL, component=("the loss log",), seen_by=_LOGGED)
def report_smoothed_loss(ground: Ground) -> None:
    """The loss that is reported is a running mean."""
    _with_log(ground, lambda losses: np.cumsum(losses) / np.arange(1, len(losses) + 1))


@fault(*_ALL, component=("the loss log",), seen_by=_LOGGED)
def report_late_loss(ground: Ground) -> None:
    """The loss that is reported is that of the step before."""
    _with_log(ground, lambda losses: np.concatenate([losses[:1], losses[:-1]]))


def _with_log(ground: Ground, change: Callable[[np.ndarray], np.ndarray]) -> None:
    right = LossWatch.finish
    ground.patch(LossWatch, "finish", lambda self: change(right(self)))
