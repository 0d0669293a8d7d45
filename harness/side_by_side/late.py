"""What fingerprints of the first steps do not show: where losses and evaluations part later."""

from __future__ import annotations

import numpy as np

from harness.comparison import Divergence
from harness.record import RunRecord

# In double precision, losses of two right engines stay within 2e-15 of each other to the end of
# every shipped milestone; what is a billion times that is no rounding. In single precision it may
# be, as small differences grow from step to step.
_APART = 1e-6


def apart(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The difference of two curves at each step that both have, as a share of their size."""
    steps = min(len(one), len(other))
    a, b = one[:steps], other[:steps]
    size = np.maximum(np.maximum(np.abs(a), np.abs(b)), np.finfo(float).tiny)
    with np.errstate(invalid="ignore"):
        share = np.abs(a - b) / size
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    return np.where(same, 0.0, np.nan_to_num(share, nan=np.inf))


def with_later(found: Divergence, one: RunRecord, other: RunRecord) -> Divergence:
    """The divergence; a later one where fingerprints show none and the rest of training does."""
    if found.level not in ("ROUNDING", "IDENTICAL"):
        return found
    if one.steps != other.steps:
        step = min(one.steps, other.steps)
        counts = {"base": float(one.steps), "head": float(other.steps)}
        return found.model_copy(update={**_CHANGED, "phase": "batch", "step": step, **counts})
    if "float32" in (one.dtype, other.dtype):
        return found
    curves = (
        ("forward", "loss", one.loss, other.loss, np.arange(one.steps)),
        ("evaluation", "held out loss", one.held_out_loss, other.held_out_loss, one.evaluated_at),
        ("evaluation", "final loss", *np.array([[one.final_loss], [other.final_loss]]),
         np.array([one.steps])),
    )  # fmt: skip
    for phase, name, a, b, steps in curves:
        share = apart(a, b)
        if (share > _APART).any():
            k = int((share > _APART).argmax())
            values = {"base": float(a[k]), "head": float(b[k]), "difference": float(share[k])}
            where = {"phase": phase, "tensor": name, "step": int(steps[k])}
            return found.model_copy(update={**_CHANGED, **where, **values})
    return found


_CHANGED: dict[str, object] = {
    "level": "CHANGED",
    "since": None,
    "also": [],
    "difference": None,
    "tensor": "",
}
