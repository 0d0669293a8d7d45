"""`KnownAnswers`: a model whose answers are known, to see what an evaluation makes of them.

It answers from a table by the number of the example, times a weight, and notes who was asked
for, and in which mode.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from harness.backends.base import Backend, EngineTensor, Layer, Parameter
from harness.datasets.base import Dataset
from harness.metrics import targets_for
from harness.model import Model, Node
from harness.probes.models.specimen import Specimen

# Of targets: enough for several batches of any usual size, and a remainder. A prime.
TARGETS = 509
_UNDECIDED = 0.1


@dataclass
class KnownAnswers:
    """Held-out examples that are only their own numbers, and the logits for each of them.

    Training examples have the numbers after theirs. Shape of logits: (examples, targets of
    an example, ...). A negative weight makes the right answers wrong.
    """

    backend: Backend
    dataset: Dataset
    logits: np.ndarray
    asked: list[int] = field(default_factory=list)
    # The mode that was set at each question: False is evaluation.
    modes: list[bool] = field(default_factory=list)
    mode: bool = True
    weights: dict[str, Parameter] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.weights["answers.weight"] = self.backend.leaf(np.ones(2, dtype=np.float32))

    def model(self) -> Model:
        """A model of one layer, which looks its answers up."""
        node = Node("answers", ("layers", "answers"), "KnownAnswers", self._answer)
        return Model(cast(Backend, _Switch(self)), (node,), self.weights)

    @property
    def weight(self) -> float:
        """What all logits are multiplied with now."""
        (array,) = self.backend.arrays([*self.weights.values()])
        return float(array[0])

    def weigh(self, weight: float) -> None:
        """Train the model, as it were."""
        for parameter in self.weights.values():
            self.backend.set_value(parameter, np.full(2, weight, dtype=np.float32))

    def _answer(self, x: EngineTensor) -> EngineTensor:
        numbers = self.backend.array(x).reshape(-1).astype(np.int64)
        self.asked.extend(numbers.tolist())
        self.modes.append(self.mode)
        return self.backend.tensor(self._logits(numbers))

    def _logits(self, numbers: np.ndarray) -> np.ndarray:
        """Of these examples, laid end to end."""
        rows = self.logits[numbers % len(self.logits)].reshape(-1, *self.logits.shape[2:])
        return np.asarray(rows * rows.dtype.type(self.weight))

    def answers(self, numbers: Sequence[int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Logits, targets and which of these are scored, of some examples, laid end to end."""
        rows = np.asarray(numbers, dtype=np.int64) % len(self.logits)
        y, mask = self.dataset.held_out_y[rows], self.dataset.scored_mask
        scored = np.ones(y.shape, dtype=bool) if mask is None else mask[rows]
        return self._logits(rows), y.reshape(-1), scored.reshape(-1)


class _Switch:
    """The engine, but for the mode, which the known model keeps itself."""

    def __init__(self, known: KnownAnswers) -> None:
        self._known = known

    def __getattr__(self, name: str) -> Any:  # whatever a backend has
        return getattr(self._known.backend, name)

    def set_training(self, layers: Sequence[Layer], mode: bool) -> None:
        self._known.mode = mode


def known_answers(specimen: Specimen, like: np.ndarray) -> KnownAnswers:
    """Answers of the shape of those to two examples, the later ones the better.

    The first are mostly wrong, the last mostly right: a mean over batches that does not
    weigh them by their size is off. Some of many classes are all alike, which is no answer.
    """
    dataset, rng = specimen.dataset, specimen.rng("known answers")
    per_example = max(len(like) // 2, 1)
    examples = TARGETS // per_example | 1
    y = dataset.held_out_y[np.arange(examples) % len(dataset.held_out_y)]
    logits = rng.normal(0.0, 1.5, (examples * per_example, *like.shape[1:]))
    targets = targets_for(specimen.config.training.loss, logits, y)
    wanted = rng.random(len(logits)) < np.arange(len(logits)) / len(logits)
    _answer_well(logits[wanted], targets[wanted], out=logits, at=wanted)
    if targets.ndim < logits.ndim:  # neither the first nor the last class passes for one
        inner = (targets > 0) & (targets < logits.shape[-1] - 1)
        logits[inner & (rng.random(len(logits)) < _UNDECIDED)] = 0.0
    logits = logits.reshape(examples, per_example, *like.shape[1:]).astype(like.dtype)
    numbers = np.arange(2 * examples).reshape(2, examples, 1)
    known = Dataset(numbers[1], y, numbers[0], y, scored=dataset.scored)
    return KnownAnswers(specimen.backend, known, logits)


def _answer_well(logits: np.ndarray, targets: np.ndarray, out: np.ndarray, at: np.ndarray) -> None:
    """Raise the logit of the right class, or turn a number towards its target."""
    better = logits.copy()
    if targets.ndim < logits.ndim:
        better[np.arange(len(better)), targets] += 3.0
    else:
        better = np.where(targets > 0.5, 0.6 + np.abs(logits), -np.abs(logits))
    out[at] = better


def answers_of(specimen: Specimen, model: Model, x: np.ndarray) -> np.ndarray:
    """A model's logits, in the type that it trains in, without a graph."""
    with specimen.backend.no_grad():
        return specimen.backend.array(model(specimen.backend.tensor(x)))
