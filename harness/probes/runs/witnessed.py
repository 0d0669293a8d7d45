"""`witnessed`: a short training as the harness runs it, with all that it saw at every step."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from harness import training
from harness.backends.base import Backend, Parameter
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.probes.models.specimen import Specimen
from harness.probes.runs.short_run import HELD_OUT, Batch, changed, copies, fewer
from harness.record import RunRecord

_EXAMPLES = 10
_STEPS = 3


@dataclass
class Witnessed:
    """What a training reported, and what was so.

    `values` are the weights before and after every step, `gradients` those that it looked at,
    None where none had arrived. `ending` are the weights that it left behind.
    """

    record: RunRecord
    config: MilestoneConfig
    dataset: Dataset
    batches: list[Batch]
    values: list[list[np.ndarray]]
    gradients: list[list[np.ndarray | None]]
    ending: list[np.ndarray]


def witnessed(specimen: Specimen, evaluate_every: int) -> Witnessed:
    """A training of three steps or so on ten examples, the last batch smaller."""
    few = fewer(specimen.dataset, _EXAMPLES)
    rows = len(few.train_x)
    size = -(-rows // _STEPS)
    config = changed(
        specimen.config,
        batch_size=size,
        epochs=-(-_STEPS // -(-rows // size)),
        evaluate_every=evaluate_every,
        evaluate_rows=HELD_OUT,
    )
    witness = _Witness(specimen.backend)
    record = training.train(config, cast(Backend, witness), few, specimen.seed)
    batches = list(training.batches(config, few, specimen.seed))
    ending = copies(specimen.backend, witness.trained)
    return Witnessed(record, config, few, batches, witness.values, witness.gradients, ending)


@dataclass
class _Witness:
    """A backend that keeps weights and gradients whenever training looks at them."""

    backend: Backend
    values: list[list[np.ndarray]] = field(default_factory=list)
    gradients: list[list[np.ndarray | None]] = field(default_factory=list)
    trained: list[Parameter] = field(default_factory=list)

    def __getattr__(self, name: str) -> Any:  # whatever a backend has
        return getattr(self.backend, name)

    def copy_values(self, parameters: Sequence[Parameter], out: np.ndarray) -> None:
        self.backend.copy_values(parameters, out)
        self.trained = list(parameters)
        self.values.append(copies(self.backend, parameters))

    def copy_gradients(self, parameters: Sequence[Parameter], out: np.ndarray) -> list[int]:
        missing = self.backend.copy_gradients(parameters, out)
        found = map(self.backend.gradient, parameters)
        self.gradients.append([None if each is None else each.copy() for each in found])
        return missing
