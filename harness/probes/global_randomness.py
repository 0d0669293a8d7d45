"""The global random states of numpy and Python, which nothing may draw from: set, and looked at.

This is the one file that touches them, to find out who else does.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


@contextmanager
def global_seed(seed: int) -> Iterator[None]:
    """Inside, both states start from this seed; afterwards they are what they were."""
    before, before_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before)
        np.random.set_state(before_numpy)


def states() -> dict[str, object]:
    """Both states by name, to compare: equal as long as nobody draws."""
    _, key, position, *rest = np.random.get_state()
    return {
        "Python's global random state": random.getstate(),
        "numpy's global random state": (np.asarray(key).tobytes(), position, *rest),
    }
