"""`scores` of logits, accuracy and loss, answer by answer, beside those that were reported."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from harness.backends.base import Backend
from harness.measurement import Measurement
from harness.metrics import targets_for
from harness.model import Model
from harness.oracles.losses import VALUES
from harness.probes.comparing import compared

EVALUATION = "the evaluation"
ACCURACY = "accuracy"


def scores(
    name: str,
    when: str,
    got: tuple[float, float],
    logits: np.ndarray,
    y: np.ndarray,
    scored: np.ndarray,
) -> Iterator[Measurement]:
    """Accuracy and loss, beside what they are of these logits, number by number."""
    share = _share_right(name, logits, y, scored)
    loss = VALUES[name](logits.astype(np.float64), targets_for(name, logits, y))
    yield from beside(when, got, (share, loss), int(scored.sum()))


def beside(
    when: str, got: tuple[float, float], expected: tuple[float, float], answers: int
) -> Iterator[Measurement]:
    """Accuracy of so many answers, right to the last one, and loss."""
    (share, loss), (share_due, loss_due) = got, expected
    answers_off = abs(share - share_due) * max(answers, 1)
    yield Measurement(ACCURACY, f"accuracy {when}", share, share_due, answers_off)
    yield compared(EVALUATION, f"loss {when}", np.array(loss), np.array(loss_due))


def _share_right(name: str, logits: np.ndarray, y: np.ndarray, scored: np.ndarray) -> float:
    """Answer by answer: the largest logit, or the side of the threshold that a number is on."""
    if name == "CrossEntropyLoss":
        answers = [row.index(max(row)) for row in logits.tolist()]
    else:
        threshold = 0.5 if name == "MSELoss" else 0.0  # of a probability of one half: logit 0
        answers = [int(number > threshold) for number in logits.ravel().tolist()]
    pairs = zip(answers, y.ravel().tolist(), scored.ravel().tolist(), strict=True)
    right = [int(answer == target) for answer, target, counts in pairs if counts]
    return sum(right) / max(len(right), 1)


def put(backend: Backend, model: Model, values: Sequence[np.ndarray]) -> None:
    """Set all parameters of a model to these values."""
    for parameter, value in zip(model.parameters.values(), values, strict=True):
        backend.set_value(parameter, value.copy())
