"""Judging measurements: which of them are off by more than a tolerance, in a sentence."""

from __future__ import annotations

import math
from collections.abc import Sequence

from harness.checks.base import Evidence, Judgement
from harness.checks.tensors import names
from harness.measurement import Measurement
from harness.told_apart import told_apart

# How far numbers that mathematics makes equal may differ, as a share of their size.
# float64: central differences with a step of 1e-5 are off by 1e-9 or less for values around 1,
# and a sum of a few thousand terms by 1e-13; a wrong factor or a lost term by far more.
WIDE = 1e-6
# float32 rounds at 6e-8; sums over a batch and a few steps of an optimizer lose two digits.
SINGLE = 1e-4


def judge_measurements(
    rows: Sequence[Measurement], tolerance: float, good: str, hint: str
) -> Judgement:
    """Fails with the worst row's subject first when any error is not within `tolerance`.

    `good` is the sentence of a pass. An error of NaN fails.
    """
    bad = [row for row in rows if not row.error <= tolerance]
    if not bad:
        counted = {"measurements": len(rows), "tolerance": tolerance}
        return bool(rows), good if rows else "nothing was measured", hint, counted
    first = bad[0]
    culprits = list(dict.fromkeys(row.subject for row in bad))
    others = culprits[1:]
    text = f"{first.subject}: {first.what}{_numbers(first)}"
    text += f" ({first.place})" if first.place else ""
    text += f"; also {names(others)}" if others else ""
    evidence: Evidence = {
        "culprits": culprits,
        "place": next((row.place for row in bad if row.place), ""),
        "measurements": len(rows),
        "tolerance": tolerance,
        "wrong": [vars(row) for row in bad[:20]],
    }
    return False, text, hint, evidence


def _numbers(row: Measurement) -> str:
    """What was got and expected; nothing where there are no numbers, as when something raised."""
    if math.isnan(row.got) and math.isnan(row.expected):
        return ""
    got, expected = told_apart(row.got, row.expected)
    return f": got {got}, expected {expected}"
