"""Values as Python source: what a file needs to make them again, to the last bit."""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np

# An array with more numbers stands in a file of its own.
LARGE = 300
_WIDTH = 96


def array_source(array: np.ndarray) -> str:
    """An expression that gives the array; `np`, `nan` and `inf` must be known."""
    dtype = f"dtype=np.{'bool_' if array.dtype == bool else array.dtype}"
    if array.size == 0:
        return f"np.zeros({array.shape}, {dtype})"
    text = np.array2string(
        array, separator=", ", threshold=sys.maxsize, floatmode="unique", max_line_width=_WIDTH
    )
    return f"np.array({text}, {dtype})".replace("\n", "\n    ")


def source(value: object) -> str:
    """An expression that gives an argument of a call: a number, a tuple, a slice, an array."""
    if isinstance(value, np.ndarray):
        return array_source(value)
    if isinstance(value, np.generic):
        return source(value.item())
    if value is ...:
        return "..."
    if isinstance(value, tuple):
        inner = ", ".join(map(source, value))
        return f"({inner},)" if len(value) == 1 else f"({inner})"
    if isinstance(value, list):
        return f"[{', '.join(map(source, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{source(key)}: {source(each)}' for key, each in value.items())}}}"
    if isinstance(value, slice):
        return f"slice({source(value.start)}, {source(value.stop)}, {source(value.step)})"
    return repr(value)


def arguments_source(arguments: Mapping[str, object]) -> str:
    """`name=value` for each, with a leading comma; a generator is made anew by every call."""
    return "".join(f", {name}={_argument(value)}" for name, value in arguments.items())


def _argument(value: object) -> str:
    if callable(value):
        made = value()
        seed = getattr(getattr(made.bit_generator, "seed_seq", None), "entropy", 0)
        return f"np.random.default_rng({seed})"
    return source(value)
