"""The curves beside a scorecard, read for a comparison; what does not fit its results is refused.

Any array may be missing: older code kept fewer.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from harness.errors import ScorecardError
from harness.scorecard import CURVES_NAME, Result, Scorecard, load_curves

_HINT = f"Run it again, or take {CURVES_NAME} away: without it no curves are compared."
# The dimensions of each array of a training: those of one name are as long as each other.
_STARTED = "tensors before the first step"
_PER_STEP: dict[str, tuple[str, ...]] = {
    "loss": ("steps",),
    "gradient_norm": ("steps", "tensors"),
    "movement": ("steps", "tensors"),
    "evaluated_at": ("evaluations",),
    "accuracy": ("evaluations",),
    "held_out_loss": ("evaluations",),
}
_FINGERPRINTS = {
    "start": (_STARTED,),
    "output": ("checkpoints", "layers"),
    "gradient": ("checkpoints", "tensors"),
    "value": ("checkpoints", "tensors"),
}
_CHECKPOINTS: dict[str, tuple[str, ...]] = {
    "checkpoints/steps": ("checkpoints",),
    "checkpoints/batch_crc": ("checkpoints",),
    **{f"checkpoints/{name}_crc": each for name, each in _FINGERPRINTS.items()},
    **{f"checkpoints/{name}_norm": each for name, each in _FINGERPRINTS.items()},
    **{
        f"checkpoints/{name}_sketch": (*each, "numbers a sketch")
        for name, each in _FINGERPRINTS.items()
    },
}


def read_curves(path: Path, scorecard: Scorecard) -> dict[str, np.ndarray]:
    """All arrays beside a scorecard, as `load_curves`; it may have been cut to some results.

    Raises ScorecardError where one holds no numbers, or is not as long as the results say.
    """
    curves = load_curves(path)
    misfits = (_misfit(result, curves) for result in scorecard.results)
    if found := _without_numbers(curves) or next(filter(None, misfits), ""):
        file = (path if path.is_dir() else path.parent) / CURVES_NAME
        raise ScorecardError(f"{file} does not fit the scorecard beside it: {found}", _HINT)
    return curves


def _without_numbers(curves: Mapping[str, np.ndarray]) -> str:
    """The first array that holds anything else, in words; empty when there is none."""
    for name, array in curves.items():
        is_whole = name.endswith(("_crc", "/evaluated_at", "/checkpoints/steps"))
        if array.dtype.kind not in ("iu" if is_whole else "fiu"):
            expected = "whole numbers" if is_whole else "numbers"
            return f"{name} is of type {array.dtype.name}, expected {expected}"
    return ""


def _misfit(result: Result, curves: Mapping[str, np.ndarray]) -> str:
    """The first array of a training that has an odd shape, in words; empty when there is none."""
    prefix = f"{result.milestone}/{result.seed}/"
    dimensions = {**_PER_STEP, **_CHECKPOINTS}
    if any(prefix + name not in curves for name in _CHECKPOINTS):
        dimensions = _PER_STEP  # other code had checkpoints of another kind, which nobody looks at
    kept = {name: curves[prefix + name] for name in dimensions if prefix + name in curves}
    lengths = _lengths(result)
    if not kept.get("checkpoints/start_crc", np.ones(1)).size:
        lengths[_STARTED] = 0  # nothing is kept of the start where no checkpoints were asked for
    for name, array in kept.items():
        if not _fits(array.shape, dimensions[name], lengths):
            expected = ", ".join(f"{lengths.get(each, 'any')} {each}" for each in dimensions[name])
            return f"{prefix}{name} is of shape {array.shape}, expected ({expected})"
    return ""


def _lengths(result: Result) -> dict[str, int]:
    """What a result says of the lengths of its arrays; nothing if it has no verdict."""
    tensors = len(result.parameters)
    known = {"steps": result.steps, "tensors": tensors, "layers": len(result.layers)}
    return {**known, _STARTED: tensors} if tensors else {}


def _fits(shape: tuple[int, ...], dimensions: tuple[str, ...], lengths: dict[str, int]) -> bool:
    """Whether a shape has these lengths, to which it adds those that were not known.

    After a length of 0 nothing is held, so whatever follows is right.
    """
    if len(shape) != len(dimensions):
        return False
    for found, name in zip(shape, dimensions, strict=True):
        if found != lengths.setdefault(name, found):
            return False
        if not found:
            break
    return True
