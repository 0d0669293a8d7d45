"""Does the loss fall?"""

from __future__ import annotations

import numpy as np

from harness.checks.base import Judgement, Stage, check
from harness.config import MilestoneConfig
from harness.record import RunRecord


@check(Stage.LOSS)
def loss_falls(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Training lowers the loss by at least `targets.loss_drop` of what can be lost.

    The loss is the harness's own, from the logits. What can be lost is the first loss less
    `targets.loss_floor`; the last loss is the mean of the last tenth of all steps.
    """
    wanted, floor = config.targets.loss_drop, config.targets.loss_floor
    if record.steps == 0:
        return False, "no step was taken", "Is there any training data?", {}
    bad = ~np.isfinite(record.loss)
    if bad.any():
        step = int(bad.argmax()) + 1
        reason = f"the loss is {record.loss[step - 1]} at step {step}"
        return False, reason, "Lower the learning rate, or look for log(0).", {"step": step}
    first, last = first_and_last(record.loss)
    drop = (first - last) / (first - floor) if first > floor else 0.0
    evidence = {"first": first, "last": last, "drop": drop, "floor": floor}
    if drop < 0:
        rose = f"the loss rose from {first:.3g} to {last:.3g}"
        return (
            False,
            rose,
            "A wrong sign, gradients that pile up, or a learning rate too high?",
            evidence,
        )
    above = f" above its floor of {floor:.3g}" if floor else ""
    reason = f"the loss went from {first:.3g} to {last:.3g}, {drop:.0%} of the way down{above}"
    hint = "Are gradients used, with the right sign, and forgotten after each step?"
    return drop >= wanted, f"{reason} (at least {wanted:.0%} expected)", hint, evidence


def first_and_last(loss: np.ndarray) -> tuple[float, float]:
    """The first loss, and the mean of the last tenth of all."""
    return float(loss[0]), float(loss[-max(1, len(loss) // 10) :].mean())
