"""Is the target reached?"""

from __future__ import annotations

import math

from harness.checks.base import Judgement, Stage, check
from harness.config import MilestoneConfig
from harness.record import RunRecord


@check(Stage.TARGET)
def target_reached(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """After the last step the model is right on `targets.accuracy` of the held-out examples.

    The accuracy is the harness's own, from the logits.
    """
    target, final = config.targets.accuracy, record.final_accuracy
    if record.steps == 0 or math.isnan(final):
        return False, "nothing was evaluated", "Was any step taken?", {}
    evidence = {"held_out": final, "target": target, "at_step": steps_to(record, target)}
    reason = (
        f"accuracy {final:.3f} on {record.held_out_examples} held-out examples, target {target:g} "
        f"(always the same answer: {record.majority_accuracy:.3g})"
    )
    hint = "The model trains, but not to what a correct engine reaches."
    return final >= target, reason, hint, evidence


def steps_to(record: RunRecord, target: float) -> int | None:
    """The first step after which an evaluation on the way reached the target, if one did."""
    reached = record.accuracy >= target
    return int(record.evaluated_at[reached.argmax()]) if reached.any() else None
