"""`reach`: how far a long training follows a rule, looked at some steps at a time.

All its numbers at once would not fit into any cache: a block of steps does.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from harness.oracles.optimizers import Rule
from harness.probes.runs.change_guesses import clip
from harness.probes.runs.stepping import (
    COMPUTED,
    FITS,
    STORED,
    Recorder,
    Steps,
    disagreement,
)

# About so many numbers in a block, and so many steps at most.
NUMBERS, STEPS = 2**16, 24


def blocks(recorder: Recorder, rates: Sequence[float]) -> Iterator[Steps]:
    """The steps that these learning rates are of, some at a time."""
    size = min(max(1, NUMBERS // max(len(recorder.latest), 1)), STEPS)
    for start in range(0, len(rates), size):
        yield recorder.part(start, min(start + size, len(rates)), rates)


def reach(parts: Iterable[Steps], rule: Rule, max_norm: float | None, eps: float) -> int:
    """How many steps are what the rule makes of their gradients, clipped where that is due.

    They end before the first block that has a wrong step, or one whose gradients are missing
    or too large.
    """
    count = 0
    latest: tuple[Steps, np.ndarray] | None = None
    for part in parts:
        if not part.arrived.all() or not _is_calm(part):
            break
        given = part if max_norm is None else clip(part, max_norm, eps)
        expected = _changes(given, rule)
        if not _fits(latest, given, expected):
            break
        count += len(expected)
        latest = given, expected
    return count


def _is_calm(steps: Steps) -> bool:
    """Whether all numbers are finite, and the gradients not too large to be squared."""
    largest = math.sqrt(np.finfo(steps.values.dtype).max)
    gradients = steps.gradients
    size = max(float(gradients.max(initial=0.0)), -float(gradients.min(initial=0.0)))
    is_small = size * max(*steps.rates, 1.0) <= largest  # NaN is not
    return is_small and bool(np.isfinite(steps.values).all())


def _changes(steps: Steps, rule: Rule) -> np.ndarray:
    """(steps, numbers) what the rule adds; it remembers the blocks before."""
    out = np.empty(steps.gradients.shape)
    rows = zip(steps.values, steps.gradients, steps.rates, strict=False)
    for step, (values, gradients, rate) in enumerate(rows):
        out[step] = rule.change(values, gradients, rate)
    return out


def _fits(latest: tuple[Steps, np.ndarray] | None, steps: Steps, expected: np.ndarray) -> bool:
    """Whether the changes are those expected; the last step of the block before says how large."""
    if _is_rounding(steps, expected):
        return True
    if latest is None:
        return disagreement(steps, expected).fits
    before, changes = latest
    joined = replace(
        steps,
        values=np.concatenate([before.values[-2:-1], steps.values]),
        gradients=np.concatenate([before.gradients[-1:], steps.gradients]),
        arrived=np.concatenate([before.arrived[-1:], steps.arrived]),
        rates=[before.rates[-1], *steps.rates],
    )
    comparison = disagreement(joined, np.concatenate([changes[-1:], expected]))
    return bool((comparison.errors[1:] <= FITS).all())


def _is_rounding(steps: Steps, expected: np.ndarray) -> bool:
    """Whether no tensor's change is off by more than rounding for sure, which is told fast.

    The bound is that of `disagreement` for a step that is the sum of no larger terms.
    """
    unit = float(np.finfo(steps.values.dtype).eps)
    wide = steps.values.astype(np.float64)
    off = wide[1:] - wide[:-1]
    off -= expected
    np.abs(off, out=off)
    np.abs(wide, out=wide)
    stored = np.maximum(wide[:-1], wide[1:])
    stored *= STORED * unit
    off -= stored
    np.maximum(off, 0.0, out=off)
    for place in steps.slices:
        own, due = off[:, place], expected[:, place]
        if not (np.vecdot(own, own) <= (COMPUTED * unit) ** 2 * np.vecdot(due, due)).all():
            return False
    return True
