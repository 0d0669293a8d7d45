"""Sequence reversal as language modelling: read some digits and a separator, say them backwards."""

from __future__ import annotations

import numpy as np

from harness.datasets.base import Dataset
from harness.errors import DataError

# Fixed: the held-out sequences are part of the task, not of a run's luck.
_POOL_SEED = 2017


def reversal(*, alphabet: int, length: int, train_rows: int, held_out_rows: int) -> Dataset:
    """Next-token prediction on `a b c | c b a`; all sequences are different.

    Shapes: x and y (N, 2 * length) of tokens, the separator being token `alphabet`; y is x
    shifted by one. Only the reversed half is scored for accuracy. The first half cannot be
    predicted: no model's expected loss is below (length - 1) ln(alphabet) / (2 length).
    """
    # The length is bounded first: the power of a huge one would never be computed.
    fits = alphabet >= 2 and 2 <= length <= 23 and min(train_rows, held_out_rows) >= 1
    total = alphabet**length if fits else 0
    if not 0 < total <= 10**7:
        raise DataError(f"reversal: {length} letters of {alphabet} make no usable task")
    if train_rows + held_out_rows > total:
        raise DataError(
            f"reversal: {train_rows} + {held_out_rows} rows asked for, only {total} exist"
        )
    # RandomState, because its numbers are frozen across numpy versions (NEP 19).
    order = np.random.RandomState(_POOL_SEED).permutation(total)[: train_rows + held_out_rows]
    letters = order[:, None] // alphabet ** np.arange(length) % alphabet
    separator = np.full((len(letters), 1), alphabet)
    tokens = np.concatenate([letters, separator, letters[:, ::-1]], axis=1)
    x, y = tokens[:, :-1], tokens[:, 1:]
    return Dataset(
        x[:train_rows],
        y[:train_rows],
        x[train_rows:],
        y[train_rows:],
        scored=np.arange(2 * length) >= length,
    )
