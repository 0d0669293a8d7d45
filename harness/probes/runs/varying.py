"""Inputs that vary: what each was made of, and whether every one varies by draws of its own."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from harness.datasets.base import Dataset
from harness.datasets.summary import among, pair_codes, row_codes
from harness.measurement import Measurement

# Beyond so many standard deviations, equals are no work of chance (1e-15 for a normal number).
UNUSUAL = 8.0
# So many inputs that all vary to the same are no chance either.
MANY = 64
# All variations were seen when each was seen so often; so few others may be rare ones.
OFTEN, FEW = 5, 8
# Going through more epochs would take longer than it is worth.
MOST_EPOCHS = 100


class Varied:
    """A dataset that notes what its inputs were and what they vary to, by the codes of rows."""

    def __init__(self, dataset: Dataset) -> None:
        self._right = dataset
        self._given: list[np.ndarray] = []
        self._made: list[np.ndarray] = []
        self.dataset = replace(dataset, vary=self._note) if dataset.vary else dataset
        self.dtype = dataset.train_x.dtype

    @property
    def times(self) -> int:
        """How often it was asked to vary inputs."""
        return len(self._made)

    def _note(self, x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        assert self._right.vary is not None
        self._given.append(row_codes(x))
        made = self._right.vary(x, rng)
        self._made.append(row_codes(made))
        self.dtype = made.dtype
        return made

    def changes(self) -> np.ndarray:
        """A code for each input that was varied: of what it was and what it became."""
        return pair_codes(np.concatenate(self._given), np.concatenate(self._made))

    def pairs(self) -> tuple[np.ndarray, np.ndarray]:
        """Codes of all inputs that there are, and of their pairs with each of their targets."""
        own_x, own_y = row_codes(self._right.train_x), row_codes(self._right.train_y)
        if self._right.vary is None:
            return own_x, pair_codes(own_x, own_y)
        given, made = np.concatenate(self._given), np.concatenate(self._made)
        order = np.argsort(own_x)
        first, last = (np.searchsorted(own_x, given, side, order) for side in ("left", "right"))
        found = []
        for turn in range(int((last - first).max())):  # equal inputs may have several targets
            here = first + turn < last
            found.append(pair_codes(made[here], own_y[order[(first + turn)[here]]]))
        return made, np.concatenate([made[:0], *found])


def measure_variation(
    subject: str, dataset: Dataset, size: int, epochs: int, rng: np.random.Generator
) -> Iterator[Measurement]:
    """Whether equal inputs vary independently: as workers or batches that share draws do not.

    And whether they vary to the same still after so many epochs.
    """
    rows = len(dataset.train_x)
    if dataset.vary is None or rows < MANY:
        return
    made = row_codes(dataset.vary(np.repeat(dataset.train_x[:1], rows, axis=0), rng))
    _, counts = np.unique(made, return_counts=True)
    alike = float((counts * (counts - 1)).sum()) / (rows * (rows - 1))
    error = math.inf if alike == 1.0 else 0.0
    yield Measurement(subject, "share of equal inputs that vary to the same", alike, 0.0, error)
    for apart in sorted({1, size, rows // 2, rows // 4, rows // 8} & set(range(1, rows))):
        same = int((made[apart:] == made[:-apart]).sum())
        usual = alike * (rows - apart)
        deviations = max(same - usual, 0.0) / math.sqrt(usual + UNUSUAL)
        what = f"equal inputs that vary as the one {apart} before them does"
        yield Measurement(subject, what, same, usual, deviations / UNUSUAL)
    if counts.min() >= OFTEN:  # else there are more variations than these
        yield _later(dataset, made, epochs, rng)


def _later(
    dataset: Dataset, made: np.ndarray, epochs: int, rng: np.random.Generator
) -> Measurement:
    """How many inputs vary after so many epochs to what they never vary to in the first."""
    assert dataset.vary is not None
    first = dataset.train_x[:1]
    epochs = min(epochs, MOST_EPOCHS)
    for _ in range(epochs):
        dataset.vary(first, rng)
    late = row_codes(dataset.vary(np.repeat(first, MANY, axis=0), rng))
    new = int((~among(late, made)).sum())
    what = f"of {MANY} equal inputs, those that vary to something new after {epochs} epochs"
    return Measurement("the data", what, new, 0.0, new / FEW)
