"""A truth table, written out in the config: every row is trained on and judged."""

from __future__ import annotations

import numpy as np

from harness.datasets.base import Dataset
from harness.errors import DataError


def truth_table(*, inputs: tuple[tuple[float, ...], ...], outputs: tuple[int, ...]) -> Dataset:
    """The rows of a logical function; nothing is held out, as there is nothing else.

    Shapes: inputs (N, K), outputs (N,) of classes.
    """
    if len(inputs) != len(outputs) or len({len(row) for row in inputs}) != 1:
        raise DataError(
            f"truth_table: {len(inputs)} inputs of lengths {[len(row) for row in inputs]} "
            f"and {len(outputs)} outputs do not fit"
        )
    with np.errstate(over="ignore"):  # what becomes infinite is refused like what was
        x, y = np.array(inputs).astype(np.float32), np.array(outputs, dtype=np.int64)
    return Dataset(x, y, x, y)
