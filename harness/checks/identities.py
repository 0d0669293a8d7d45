"""Do gradients obey what mathematics says of them, whatever the model is?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import WIDE, judge_measurements
from harness.config import MilestoneConfig
from harness.record import RunRecord

_HINT = "Is every gradient the sum over all uses, each weighed as the mean of the loss weighs it?"


@check(Stage.SLOPE, probe="identities")
def identities_hold(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """The loss has the gradient of its formula, and a small step lowers it by as much.

    Unused rows and declared nulls get no gradient, and a batch twice over changes none.
    """
    rows = record.probed.measured["identities"]
    good = f"{len(rows)} identities of gradients hold"
    return judge_measurements(rows, WIDE, good, _HINT)
