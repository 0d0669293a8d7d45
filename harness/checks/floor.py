"""Is the loss one that an honest model can have?"""

from __future__ import annotations

import math

import numpy as np

from harness.checks.base import Evidence, Judgement, NotJudgedError, Stage, check
from harness.config import MilestoneConfig
from harness.record import RunRecord

# How often an honest model may be accused.
CHANCE = 1e-6
# Standard errors of a mean that hardly any mean is off by.
_STANDARD_ERRORS = 5.0


@check(Stage.LOSS)
def loss_stays_above_floor(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """The loss is not below the entropy of the task by more than luck allows.

    The entropy is `targets.loss_floor`; the loss is that of held-out examples, and that of
    training, where each example is seen once only.
    Luck: by guessing, an honest model beats the true probabilities of n targets by more than
    ln(1/p) in total with a chance of p at most (Markov's inequality for the ratio of
    likelihoods). To that come five standard errors of the mean, from the batches. No luck gets
    below zero, the floor of a task that declares none.
    """
    floor, losses = config.targets.loss_floor, _losses(config, record)
    evidence: Evidence = {"floor": floor, **{name: got for name, got, _ in losses}}
    for name, got, examples in losses:
        lowest = floor - _luck(floor, record, examples)
        if got < lowest:
            reason = (
                f"the {name} went to {got:.3g}, below the {floor:.4g} that no honest model can "
                f"beat (by luck to {lowest:.3g}): does it see its own targets?"
            )
            hint = "Look for a mask that lets the future through, or inputs that hold the targets."
            return False, reason, hint, {**evidence, "culprits": [name], "lowest": lowest}
    lowest_seen = min(got for _, got, _ in losses)
    return True, f"the loss ends at {lowest_seen:.3g}, its floor is {floor:.4g}", "", evidence


def _losses(config: MilestoneConfig, record: RunRecord) -> list[tuple[str, float, int]]:
    """What is held against the floor: name, mean loss, and over how many examples."""
    if record.steps == 0:
        raise NotJudgedError("no step was taken")
    losses = [("held-out loss", record.final_loss, record.held_out_examples)]
    if config.targets.loss_floor == 0.0:
        losses.append(("loss", float(record.loss.min()), record.batch_size))
    elif config.training.epochs == 1:  # later epochs may know examples by heart, and beat it
        last = max(1, record.steps // 10)
        losses.append(("loss", float(record.loss[-last:].mean()), last * record.batch_size))
    if not all(math.isfinite(got) for _, got, _ in losses):
        raise NotJudgedError("the loss is no longer finite")
    return losses


def _luck(floor: float, record: RunRecord, examples: int) -> float:
    """How far below the floor the mean loss of so many examples may come by chance."""
    if floor == 0.0:
        return 0.0
    guessed = math.log(1.0 / CHANCE) / (examples * record.targets_per_example)
    # Neighbouring batches differ by chance; the difference has the variance of both.
    batches = record.loss[-max(2, record.steps // 10) :]
    spread = float(np.std(np.diff(batches))) / math.sqrt(2.0) if len(batches) > 2 else 0.0
    return guessed + _STANDARD_ERRORS * spread * math.sqrt(record.batch_size / examples)
