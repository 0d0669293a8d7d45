"""Does the engine take the steps that another engine took from the same start?"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from harness.checks.base import Evidence, Judgement, Stage, check
from harness.checks.measured import SINGLE, WIDE
from harness.checks.tensors import names
from harness.config import MilestoneConfig
from harness.measurement import Measurement
from harness.record import RunRecord

_AT = re.compile(r"(start|forward|loss|gradient|update) at step (\d+)")
_HINTS = {
    "start": "The model has other tensors than the config calls for.",
    "forward": "With equal weights and inputs the outputs differ: look at this layer's formula.",
    "loss": "With equal outputs the loss differs: is it the mean, in natural logarithms?",
    "gradient": "Forward and loss agree, this gradient does not: look at its backward.",
    "update": "The gradient agrees, the step made of it does not: look at the optimizer and its "
    "options, at the schedule, and at clipping.",
}
_BROKEN = "`harness reference NAME` writes the file anew."
_UPDATE = "Update the harness to read it."


@check(Stage.STEP, probe="reference")
def follows_reference(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """The first steps are those of another engine, from its weights and on its batches.

    Outputs, loss and gradients of the first step, the loss of every other, and the tensors.
    """
    bits, *rows = record.probed.measured["reference"]
    if math.isinf(bits.error):  # a file that is no reference, or another model
        rows = [bits, *rows]
    # numpy and PyTorch are 2e-15 apart after 20 steps in float64, where WIDE leaves room for tables
    # in single precision; in float32 they are 5e-7 apart, and single tensors 4e-5.
    tolerance = SINGLE if bits.got == 32.0 else WIDE
    bad = [row for row in rows if not row.error <= tolerance]
    if not bad:
        steps = max((int(match[2]) for row in rows if (match := _AT.match(row.what))), default=0)
        good = f"{steps} steps are those of the reference, to {_worst(rows):.1e}"
        return True, good, "", {"measurements": len(rows), "tolerance": tolerance}
    return _parted(bad, tolerance)


def _worst(rows: Sequence[Measurement]) -> float:
    return max(row.error for row in rows)


def _parted(bad: Sequence[Measurement], tolerance: float) -> Judgement:
    """The first divergence: nothing that comes later is to blame for it."""
    first = bad[0]
    match = _AT.match(first.what)
    if match is None:
        hint = _UPDATE if "by a newer harness" in first.what else _BROKEN
        return False, first.what, hint, {"culprits": [first.subject], "tolerance": tolerance}
    alike = [row for row in bad if (at := _AT.match(row.what)) and at[0] == match[0]]
    named = _nearest(alike, match[1])
    culprits = list(dict.fromkeys([named.subject, *(row.subject for row in alike)]))
    subject = "" if named.subject in named.what else f"{named.subject}, "
    text = f"{subject}{named.what}: got {named.got:.6g}, expected {named.expected:.6g}"
    text += f" ({named.error:.2g} apart)" if math.isfinite(named.error) else ""
    others = [row.what.rpartition(": ")[2] for row in alike if row.what != named.what]
    text += f"; also {names(list(dict.fromkeys(others)))}" if others else ""
    evidence: Evidence = {
        "culprits": culprits,
        "step": int(match[2]),
        "phase": match[1],
        "tensor": _subject(named.what),
        "got": named.got,
        "expected": named.expected,
        "tolerance": tolerance,
        "wrong": [vars(row) for row in alike[:20]],
    }
    return False, text, _HINTS[match[1]], evidence


def _nearest(rows: Sequence[Measurement], phase: str) -> Measurement:
    """The one nearest to the cause: going forward the first layer, going back the last one."""
    if phase == "gradient":
        layer = _subject(rows[-1].what).rpartition(".")[0]
        rows = [row for row in rows if _subject(row.what).rpartition(".")[0] == layer]
    return max(rows, key=lambda row: row.error) if phase in ("gradient", "update") else rows[0]


def _subject(what: str) -> str:
    """The tensor or layer in what was measured; "" for a loss."""
    match = re.search(r": (?:output of|that of|change of)? ?([\w.]+)(?: after it)?$", what)
    return match[1] if match else ""
