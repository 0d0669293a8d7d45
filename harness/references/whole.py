"""Is all there that makes a reference, and does it fit together? The first thing that does not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from harness.fingerprints import WIDTH

# What is written about a reference: plain JSON.
Json = dict[str, Any]
# In the file, and how many axes each has; None where that depends on the milestone.
ARRAYS: Mapping[str, int | None] = {
    "weights": 1, "x": None, "y": None, "logits": None, "loss": 1, "gradients": 1,
    "output_norm": 1, "output_sketch": 2, "gradient_norm": 2, "gradient_sketch": 3,
    "value_norm": 2, "value_sketch": 3,
}  # fmt: skip
_TEXTS = ("milestone", "config", "data", "backend", "backend_version", "dtype", "x_dtype",
          "y_dtype")  # fmt: skip
_COUNTS = ("steps", "rows", "planned_steps")
_DTYPES = ("float32", "float64")


def require_whole(about: Json, arrays: Mapping[str, np.ndarray]) -> None:
    """Raises ValueError, with a clause for a message, where something is missing or misshapen."""
    for name, axes in ARRAYS.items():
        if name not in arrays or (axes is not None and arrays[name].ndim != axes):
            raise ValueError(f"'{name}' is missing or misshapen")
    _require_said(about)
    sizes = [math.prod(shape) for shape in about["shapes"].values()]
    _require_lengths(about, arrays, sum(sizes))
    _require_columns(arrays, len(sizes))
    _require_batches(about, arrays)
    for name in ARRAYS:
        if not np.isfinite(arrays[name]).all():
            raise ValueError(f"'{name}' has numbers that are not finite")


def _require_said(about: Json) -> None:
    """The JSON has every entry, each of its kind."""
    wanted = {**dict.fromkeys(_TEXTS, _is_text), **dict.fromkeys(_COUNTS, _is_count),
              "shapes": _are_shapes, "layers": _are_labels, "engine_loss": _is_number}  # fmt: skip
    for name, is_right in wanted.items():
        if name not in about:
            raise ValueError(f"it lacks '{name}'")
        if not is_right(about[name]):
            raise ValueError(f"its {name} is {about[name]!r:.60}")
    if about["dtype"] not in _DTYPES:
        raise ValueError(f"its dtype is {about['dtype']!r}, expected {' or '.join(_DTYPES)}")
    for name in ("x_dtype", "y_dtype"):
        if not _is_of_numbers(about[name]):
            raise ValueError(f"its {name} is {about[name]!r}, expected a type of numbers")


def _is_of_numbers(dtype: str) -> bool:
    try:
        return np.dtype(dtype).kind in "fiu"
    except TypeError:
        return False


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _is_number(value: object) -> bool:
    is_one = isinstance(value, int | float) and not isinstance(value, bool)
    return is_one and math.isfinite(float(str(value)))


def _are_shapes(value: object) -> bool:
    return isinstance(value, dict) and value != {} and all(map(_is_shape, value.values()))


def _is_shape(value: object) -> bool:
    return isinstance(value, list) and all(map(_is_count, value))


def _are_labels(value: object) -> bool:
    return isinstance(value, list) and value != [] and all(map(_is_text, value))


def _require_lengths(about: Json, arrays: Mapping[str, np.ndarray], size: int) -> None:
    steps, layers = about["steps"], len(about["layers"])
    lengths = {
        "weights": size, "gradients": size, "output_norm": layers, "output_sketch": layers,
        **dict.fromkeys(("x", "y", "loss", "gradient_norm", "gradient_sketch", "value_norm",
                         "value_sketch"), steps),
    }  # fmt: skip
    for name, length in lengths.items():
        array = arrays[name]
        if array.ndim == 0 or len(array) != length or array.dtype.kind not in "fiu":
            raise ValueError(f"'{name}' does not have {length} rows of numbers")
    if arrays["logits"].dtype.kind not in "fiu" or not arrays["logits"].size:
        raise ValueError("'logits' has no numbers")


def _require_columns(arrays: Mapping[str, np.ndarray], tensors: int) -> None:
    """A number, or a sketch, for every tensor."""
    for kind in ("gradient", "value"):
        for name, shape in ((f"{kind}_norm", (tensors,)), (f"{kind}_sketch", (tensors, WIDTH))):
            if arrays[name].shape[1:] != shape:
                raise ValueError(f"'{name}' has {arrays[name].shape[1:]} a step, expected {shape}")
    if arrays["output_sketch"].shape[1] != WIDTH:
        raise ValueError(f"'output_sketch' does not have {WIDTH} numbers a layer")


def _require_batches(about: Json, arrays: Mapping[str, np.ndarray]) -> None:
    for name in ("x", "y"):
        shape = arrays[name].shape
        if len(shape) < 2 or shape[1] != about["rows"]:
            raise ValueError(
                f"'{name}' has the shape {shape}, expected {about['rows']} rows a step"
            )
    if arrays["logits"].size % arrays["y"][0].size:
        raise ValueError("'logits' has another number of rows than the targets")
