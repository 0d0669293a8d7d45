"""The real training, from its first step to its last: does it do what is declared all the way?

Short trainings do not get to what happens late, or to real batches.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from harness.measurement import Measurement
from harness.probes.comparing import compared
from harness.probes.counting import counted
from harness.probes.runs.blocks import STEPS
from harness.probes.runs.gradient_guesses import AGREES
from harness.probes.runs.looks_back import evaluation_rows
from harness.probes.runs.rows import EVALUATION, LOOP, Bench, told_in_order
from harness.probes.runs.short_run import first_of
from harness.probes.runs.spots import spot_rows
from harness.probes.runs.whole import WholeTraining

# What is wrong is explained by so many steps after those that are right, enough for a pattern and
# no less than a block; by more of them only if it does not show in these.
AFTER = STEPS


def measure(whole: WholeTraining) -> Iterator[Measurement]:
    """Rows about the number of steps, what is left at the end, some gradients, and all changes.

    Then those of some evaluations.
    """
    yield from _length(whole)
    yield from _left(whole)
    if whole.count:
        yield from _steps(whole)
    yield from evaluation_rows(whole)


def _length(whole: WholeTraining) -> Iterator[Measurement]:
    """All steps are planned, and taken unless the loss stopped being finite."""
    record, due = whole.record, len(whole.rates)
    yield counted(LOOP, "planned steps", record.planned_steps, due)
    is_lost = record.steps > 0 and not math.isfinite(record.loss[-1])
    if not is_lost or record.steps > due:
        yield counted(LOOP, "steps", record.steps, due)


def _left(whole: WholeTraining) -> Iterator[Measurement]:
    """What the last step left is still there after all evaluations."""
    last, left = whole.recorder.latest, whole.kept.now()
    if not np.array_equal(left, last, equal_nan=True):
        row = compared(EVALUATION, "values at the end of training", left, last)
        yield replace(row, error=math.inf)


def _steps(whole: WholeTraining) -> Iterator[Measurement]:
    """About gradients and changes, the first that is wrong first."""
    specimen, count = whole.specimen, whole.count
    good, spots = whole.reach(), list(spot_rows(whole))
    if good == count:
        words = f"changes in {count} steps"
        yield Measurement(specimen.config.training.optimizer, words, math.nan, math.nan, 0.0)
        yield from (row for _, row in spots)
        return
    known = _wrong(row for _, row in spots)
    bench, run = Bench(specimen, specimen.dataset), whole.run()
    for end in (good + AFTER, good + 4 * AFTER, count):
        some = first_of(run.steps, end)
        part = replace(run, steps=some, starts=run.starts[: len(some.gradients)])
        rows = list(told_in_order(bench, part, spots, ""))
        if _wrong(rows) > known:
            break
    yield from rows


def _wrong(rows: Iterable[Measurement]) -> int:
    """How many of them are about something wrong."""
    return sum(not row.error <= AGREES for row in rows)
