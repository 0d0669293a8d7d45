"""Does every optimizer step as its rule says, and does clipping scale as it should?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, engine_check
from harness.checks.measured import WIDE, judge_measurements
from harness.record import EngineRecord

_HINT = (
    "Compare step() with the rule of its paper, step by step: the moments, their correction, the "
    "weight decay, the learning rate; and keep one state for each tensor."
)


@engine_check(Stage.STEP, probe="optimizer_rules")
def optimizers_follow_their_rule(record: EngineRecord) -> Judgement:
    """Every optimizer steps as its rule says, with every option; clipping and zero_grad, too."""
    rows = record.probed.measured["optimizer_rules"]
    good = f"{len(rows)} runs of optimizers and of clipping are what their rules say"
    return judge_measurements(rows, WIDE, good, _HINT)
