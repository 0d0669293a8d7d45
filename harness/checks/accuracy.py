"""Is the target reached?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.config import MilestoneConfig
from harness.record import RunRecord


@check(Stage.TARGET)
def target_reached(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """After the last step the model is right on `targets.accuracy` of the held-out examples.

    The accuracy is the harness's own, from the logits.
    """
    target = config.targets.accuracy
    if len(record.accuracy) == 0 or record.evaluated_at[-1] == 0:
        return False, "nothing was evaluated", "Was any step taken?", {}
    final, best = float(record.accuracy[-1]), float(record.accuracy.max())
    evidence = {
        "held_out": final,
        "best": best,
        "target": target,
        "at_step": steps_to(record, target),
    }
    reason = (
        f"accuracy {final:.3f} on {record.held_out_examples} held-out examples, target {target:g} "
        f"(always the same answer: {record.majority_accuracy:.3g})"
    )
    hint = "The model trains, but not to what a correct engine reaches."
    return final >= target, reason, hint, evidence


def steps_to(record: RunRecord, target: float) -> int | None:
    """The first step after which an evaluation reached the target; None when none did."""
    reached = record.accuracy >= target
    return int(record.evaluated_at[reached.argmax()]) if reached.any() else None
