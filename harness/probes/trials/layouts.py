"""The same numbers laid out in memory in several ways: no op may care."""

from __future__ import annotations

import numpy as np


def laid_out(array: np.ndarray, way: int) -> np.ndarray:
    """A copy: in turns as usual, with the last axis outermost, or with gaps between numbers."""
    if way % 3 == 0 or array.ndim == 0:
        return array.copy()
    if way % 3 == 1 and array.ndim > 1:
        axes = (array.ndim - 1, *range(array.ndim - 1))
        return array.transpose(axes).copy().transpose(*range(1, array.ndim), 0)
    spread = np.zeros((*array.shape[:-1], 2 * array.shape[-1]), array.dtype)
    spread[..., ::2] = array
    return spread[..., ::2]
