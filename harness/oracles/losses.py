"""What each loss is and what its gradient is, written out: nothing here is shared with training.

The values go number by number, in plain Python, as one would by hand.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np


def _cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    total = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        top = max(row)
        total += top + math.log(sum(math.exp(each - top) for each in row)) - row[target]
    return total / len(logits)


def _cross_entropy_gradient(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(softmax - one-hot) / N."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    hot = np.eye(logits.shape[1])[targets]
    return np.asarray((e / e.sum(axis=1, keepdims=True) - hot) / len(logits))


def _binary_cross_entropy(logits: np.ndarray, targets: np.ndarray) -> float:
    total = 0.0
    for z, y in zip(logits.ravel().tolist(), targets.ravel().tolist(), strict=True):
        # log(1 + exp(z)) with exp of a negative number only
        total += max(z, 0.0) + math.log1p(math.exp(-abs(z))) - z * y
    return total / logits.size


def _binary_cross_entropy_gradient(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """(sigmoid - y) / N."""
    return np.asarray((0.5 * (1.0 + np.tanh(0.5 * logits)) - targets) / logits.size)


def _squared_error(logits: np.ndarray, targets: np.ndarray) -> float:
    pairs = zip(logits.ravel().tolist(), targets.ravel().tolist(), strict=True)
    return float(sum((z - y) ** 2 for z, y in pairs)) / logits.size


def _squared_error_gradient(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """2 (z - y) / N."""
    return np.asarray(2.0 * (logits - targets) / logits.size)


# By PyTorch's name: (logits, targets) -> the mean loss, and its gradient for the logits.
VALUES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "CrossEntropyLoss": _cross_entropy,
    "BCEWithLogitsLoss": _binary_cross_entropy,
    "MSELoss": _squared_error,
}
GRADIENTS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "CrossEntropyLoss": _cross_entropy_gradient,
    "BCEWithLogitsLoss": _binary_cross_entropy_gradient,
    "MSELoss": _squared_error_gradient,
}
