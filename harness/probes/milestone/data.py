"""Describes the data that a milestone is trained and judged on, and whether its halves fit.

Numbers whose `expected` is NaN are to be held against what is on record.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.datasets.base import Dataset
from harness.datasets.summary import KNOWN, MOST_KINDS, among, describe, kinds_of, row_codes
from harness.measurement import Measurement
from harness.probes.counting import counted
from harness.probes.models.specimen import Specimen
from harness.probes.runs.rederived import measure_recipe

SUBJECT = "the data"
# What has a probability below exp of minus this is no chance.
_IMPOSSIBLE = 20.0


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """What contradicts itself or the recipe, then what the data are."""
    dataset = specimen.dataset
    before = row_codes(dataset.train_x), row_codes(dataset.train_y)
    numbers = describe(dataset, specimen.rng("data"))
    after = row_codes(dataset.train_x), row_codes(dataset.train_y)
    touched = sum(int((old != new).sum()) for old, new in zip(before, after, strict=True))
    yield counted(SUBJECT, "training rows that change when an epoch is drawn", touched, 0)
    unseen = _unseen(dataset)
    yield counted(SUBJECT, "held-out targets of a kind that training never has", unseen, 0)
    yield _known(int(numbers.get(KNOWN, 0)), before[0], row_codes(dataset.held_out_x))
    yield from measure_recipe(SUBJECT, specimen.config.data, dataset, specimen.rng("data"))
    for name, number in numbers.items():
        yield Measurement(SUBJECT, name, number, math.nan, 0.0)


def _unseen(dataset: Dataset) -> int:
    """How many held-out targets are of a class that no training example has."""
    train, held_out = dataset.train_y, dataset.held_out_y
    kinds, counts = kinds_of(held_out)
    if held_out.dtype.kind not in "iu" or len(kinds) > MOST_KINDS:
        return 0  # numbers to come near to, or too many kinds to have all of them
    return int(counts[~np.isin(kinds, kinds_of(train)[0])].sum())


def _known(known: int, train: np.ndarray, held_out: np.ndarray) -> Measurement:
    """Whether training has no more of the held-out inputs than it has equals of its own.

    Where both halves hold the same inputs, all of them, that is no leak but how the data are.
    Shapes: codes of train (N,), of held_out (M,).
    """
    what = "held-out inputs that training has, too"
    if known == len(held_out) and among(train, held_out).all():
        return counted(SUBJECT, what, known, known)
    ordered = np.sort(train)
    twins = int((ordered[1:] == ordered[:-1]).sum())
    usual = (2 * twins + 3) / len(train) * len(held_out)  # at the most
    # Chernoff's bound of minus the logarithm of a Poisson tail.
    surprise = known * math.log(known / usual) - known + usual if known > usual else 0.0
    return Measurement(SUBJECT, what, known, usual, math.inf if surprise > _IMPOSSIBLE else 0.0)
