"""Does the training run as it did on many seeds of a correct engine?"""

from __future__ import annotations

import math

from harness.bands import Departure, departures, on_record
from harness.checks.base import Evidence, Judgement, NotJudgedError, Stage, calibrated_check
from harness.checks.calibrated import Json, fresh, starting_elsewhere
from harness.checks.tensors import names
from harness.config import MilestoneConfig
from harness.curves import (
    DESCENT,
    GRADIENT,
    HELD_OUT_ACCURACY,
    HELD_OUT_LOSS,
    LOSS,
    MOVEMENT,
    PER_GRADIENT,
    curves,
)
from harness.record import RunRecord

_HINTS = {
    LOSS: "Slower: are the data and the step right? Faster than any correct run is a fault, "
    "too: does the model see its targets?",
    HELD_OUT_LOSS: "Are the held-out data what they were, and is the evaluation right?",
    HELD_OUT_ACCURACY: "Are the held-out data what they were, and is the evaluation right?",
    GRADIENT: "Something on the way from the loss to that tensor scales its gradient.",
    MOVEMENT: "Look at the optimizer, the learning rate and its schedule, then at the gradient.",
    PER_GRADIENT: "Look at the optimizer, the learning rate and its schedule.",
    DESCENT: "Gradients and loss do not belong together: a factor, a lost term, stale gradients?",
}
# Departures by cells of this number after the first one count as of the same cause.
_EARLY = 2
# So large a share of the tensors is no matter of single tensors.
_MOST = 0.75


@calibrated_check(Stage.BAND)
def learning_in_band(
    config: MilestoneConfig, record: RunRecord, calibration: Json | None
) -> Judgement:
    """The training runs as it did on the seeds on record.

    Loss, held-out loss and accuracy, and each tensor's gradient and movement stay in their
    bands: neither slower nor faster, neither smaller nor larger. Not judged when the
    calibration is stale, or the weights start elsewhere than it saw.
    """
    found = fresh(config, calibration)
    bands, seeds = found["bands"], found["seeds"]
    if not bands:
        raise NotJudgedError(f"the calibration is of {seeds} seeds, too few for bands")
    if record.steps == 0:
        raise NotJudgedError("no step was taken")
    if record.steps != found["steps"]:
        return _wrong_length(record, found["steps"])
    elsewhere = starting_elsewhere(record, found)
    if elsewhere:
        label, how = next(iter(elsewhere.items()))
        raise NotJudgedError(
            f"{names(list(elsewhere))} start elsewhere than the calibrated runs ({label}: {how}), "
            "so their bands say nothing here"
        )
    run = on_record(curves(record, config.expectations.null_gradients), bands)
    count = sum(len(each.subjects) for each in run)
    if count == 0:
        raise NotJudgedError("none of its curves is on record")
    left = departures(run, bands)
    if not left:
        return True, f"{count} curves run as on {seeds} seeds of a correct engine", "", {}
    return _judgement(config, record, left)


def _wrong_length(record: RunRecord, steps: int) -> Judgement:
    reason = f"{record.steps} steps were taken, {steps} on record"
    culprits = ["the batches", "the data", "the training loop"]
    hint = "Is every example seen once an epoch, in batches of the declared size?"
    if record.steps < record.planned_steps:
        if math.isfinite(record.loss[-1]):
            culprits = ["the training loop"]
            hint = "Only a loss that is not finite ends a training early."
        else:
            culprits = ["loss"]
            reason += ": the loss stopped being finite"
    return False, reason, hint, {"culprits": culprits, "steps": record.steps, "expected": steps}


def _judgement(config: MilestoneConfig, record: RunRecord, left: list[Departure]) -> Judgement:
    """The departure that came first and went farthest, and whom it accuses."""
    early = [each for each in left if each.cell <= left[0].cell + _EARLY]
    whole = _whole(config, record, early)
    first = early[0]
    if whole:
        first = next(each for each in early if each.quantity in (GRADIENT, MOVEMENT))
    elif all(each.quantity in (HELD_OUT_LOSS, HELD_OUT_ACCURACY) for each in left):
        whole = ["the evaluation", "the data"]
    subjects = list(dict.fromkeys([first.subject, *(each.subject for each in left)]))
    others = [subject for subject in subjects if subject != first.subject]
    reason = (f"{whole[0]}: " if whole else "") + _sentence(first)
    reason += f"; also {names(others)}" if others else ""
    evidence: Evidence = {
        "culprits": [*whole, *subjects],
        "departures": [vars(each) for each in left[:20]],
    }
    return False, reason, _HINTS[first.quantity], evidence


def _whole(config: MilestoneConfig, record: RunRecord, early: list[Departure]) -> list[str]:
    """The loss or the optimizer, when nearly all tensors left their bands at once."""
    enough = max(2.0, _MOST * (len(record.labels) - len(config.expectations.null_gradients)))
    together = {
        quantity
        for quantity in (GRADIENT, MOVEMENT, PER_GRADIENT)
        if len({each.subject for each in early if each.quantity == quantity}) >= enough
    }
    if {MOVEMENT, PER_GRADIENT} <= together:
        return [config.training.optimizer, "the training loop"]
    return [config.training.loss] if GRADIENT in together else []


def _sentence(left: Departure) -> str:
    when = f"between step {left.first_step} and {left.last_step}"
    band = f"(band {left.low:.3g} to {left.high:.3g})"
    if left.quantity == DESCENT:
        return f"the loss falls by {left.got:.3g} of gradient times movement {when} {band}"
    name = left.quantity if left.subject == left.quantity else f"{left.subject}: {left.quantity}"
    if left.is_ratio:
        return f"{name} {left.got:.3g} times the calibrated median {when} {band}"
    return f"{name} {left.got:.3g} {when} (band {max(left.low, 0):.3g} to {min(left.high, 1):.3g})"
