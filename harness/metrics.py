"""Loss and accuracy as the harness computes them: from logits, in float64, without an engine."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

# (..., batch of logits), (..., batch of targets) -> (...,) mean loss of each batch
LossFunction = Callable[[np.ndarray, np.ndarray], np.ndarray]


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mean of -log softmax(logits)[target].

    Shapes: logits (..., N, C), targets (..., N) of classes. Returns (...).
    """
    # Classes first: numpy reduces a long last axis far faster than a short one.
    z = np.array(np.moveaxis(logits, -1, 0), dtype=np.float64, order="C")
    z -= z.max(axis=0)
    picked = np.take_along_axis(z, targets[None], axis=0)[0]
    np.exp(z, out=z)
    losses = np.log(z.sum(axis=0)) - picked
    return np.asarray(losses.mean(axis=-1))


def binary_cross_entropy_with_logits(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mean of -y log s(z) - (1-y) log(1-s(z)). Shapes: both (..., N, K). Returns (...)."""
    z = logits.astype(np.float64)
    losses = np.maximum(z, 0) - z * targets + np.log1p(np.exp(-np.abs(z)))
    return np.asarray(losses.mean(axis=(-2, -1)))


def mean_squared_error(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Mean of (z - y)^2. Shapes: both (..., N, K). Returns (...)."""
    difference = logits.astype(np.float64) - targets
    return np.asarray((difference * difference).mean(axis=(-2, -1)))


def largest_logit(logits: np.ndarray) -> np.ndarray:
    """The predicted class of each row: (..., C) -> (...). NaN is never a class: -1."""
    best, finite = logits.argmax(axis=-1), np.isfinite(logits)
    return np.asarray(best if finite.all() else np.where(finite.all(axis=-1), best, -1))


def above(threshold: float) -> Callable[[np.ndarray], np.ndarray]:
    """The predicted 0 or 1 of each number; NaN is neither, whatever the target."""

    def predict(logits: np.ndarray) -> np.ndarray:
        return np.asarray(np.where(np.isfinite(logits), logits > threshold, np.nan))

    return predict


# By the name of the loss in a config: how the harness computes it, and what it predicts.
LOSSES: dict[str, tuple[LossFunction, Callable[[np.ndarray], np.ndarray]]] = {
    "CrossEntropyLoss": (cross_entropy, largest_logit),
    "BCEWithLogitsLoss": (binary_cross_entropy_with_logits, above(0.0)),
    "MSELoss": (mean_squared_error, above(0.5)),
}


def accuracy(predictions: np.ndarray, targets: np.ndarray, scored: np.ndarray | None) -> float:
    """Share of right predictions, among `scored` (a mask like the targets) or all."""
    right = predictions == targets
    counted = right if scored is None else right[scored]
    return float(np.divide(np.count_nonzero(counted), counted.size))


def targets_for(loss: str, logits: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Targets in the shape and type that a loss takes for these logits.

    Classes, one a row, for cross-entropy; numbers like the logits for all others. Raises
    ValueError when there are not as many targets as the logits call for.
    """
    shape = logits.shape[:-1] if loss == "CrossEntropyLoss" else logits.shape
    if y.size != math.prod(shape):
        raise ValueError(
            f"the model's output {logits.shape} and the targets {y.shape} do not fit {loss}"
        )
    return y.reshape(shape) if loss == "CrossEntropyLoss" else y.reshape(shape).astype(logits.dtype)


def require_targets(loss: str, outputs: int, y: np.ndarray) -> None:
    """Raise ValueError when a loss of a model with so many outputs cannot take these targets."""
    if loss == "CrossEntropyLoss":
        if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= outputs:
            raise ValueError(
                f"{loss} takes classes from 0 to {outputs - 1} for {outputs} outputs, got "
                f"{y.dtype} from {y.min()} to {y.max()}"
            )
    elif loss == "BCEWithLogitsLoss" and (y.min() < 0 or y.max() > 1):
        raise ValueError(f"{loss} takes targets from 0 to 1, got {y.min()} to {y.max()}")
