"""Which of the four common bugs a cut in the graph resembles: told by its numbers."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np


def issue_of_cut(
    array: np.ndarray, before: Iterable[np.ndarray], entered: np.ndarray | None, in_container: bool
) -> int:
    """1, 2 or 3, for a tensor that remembers nothing of what it was made from.

    `before` are the numbers that it may come from, latest first; `entered` is what came to the
    layer that made it, where known; `in_container` if it was made by the container itself.
    """
    earlier = list(before)
    if in_container and _is_copy_or_sum(array, entered, earlier):
        return 2
    copied = next((each for each in earlier if _is_reshaped(array, each)), None)
    if entered is not None and _is_reshaped(array, entered) and array.shape != entered.shape:
        return 3
    return 3 if copied is not None and copied.shape != array.shape else 1


def _is_copy_or_sum(
    array: np.ndarray, entered: np.ndarray | None, earlier: list[np.ndarray]
) -> bool:
    terms = [each for each in earlier if each.shape == array.shape]
    if any(np.array_equal(array, each) for each in terms):
        return True
    if entered is not None and entered.shape == array.shape:
        terms.append(entered)
    return any(
        np.allclose(array, one + other, rtol=1e-5, atol=1e-6)
        for at, one in enumerate(terms)
        for other in terms[at + 1 :]
    )


def _is_reshaped(array: np.ndarray, other: np.ndarray) -> bool:
    """The same numbers in the same order, in whatever shape."""
    return array.size == other.size and np.array_equal(array.ravel(), other.ravel())
