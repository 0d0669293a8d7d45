"""Do gradients add up over uses, outputs and backward passes?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, engine_check
from harness.checks.measured import WIDE, judge_measurements
from harness.record import EngineRecord

_HINT = (
    "Every use of a tensor must add to its gradient, as must every backward pass: is one "
    "replaced, counted once, or changed in place where two share it?"
)


@engine_check(Stage.STEP, probe="accumulation")
def gradients_add_up(record: EngineRecord) -> Judgement:
    """The gradients of all uses of a tensor, all outputs and all backward passes add up."""
    rows = record.probed.measured["accumulation"]
    return judge_measurements(rows, WIDE, f"{len(rows)} gradients add up", _HINT)
