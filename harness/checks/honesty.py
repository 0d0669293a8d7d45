"""Are the losses, accuracies and norms that are reported those of the model?"""

from __future__ import annotations

from harness.checks.base import Judgement, Stage, check
from harness.checks.measured import SINGLE, judge_measurements
from harness.config import MilestoneConfig
from harness.measurement import Measurement
from harness.record import RunRecord

# The subjects of rows that are about evaluations, and about the record; all others are about
# the loss.
_OF_EVALUATIONS = ("the evaluation", "accuracy")
# What the probe of the whole training says of its evaluations begins with one of these words.
_SCORES = ("accuracy ", "loss ")
_OF_RECORDS = ("the gradient watch", "the record")


@check(Stage.EVALUATION, probe="honesty")
def loss_is_honest(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """The loss, by the engine and in the log, is the mean loss of the very batch of each step.

    As recomputed from logits in float64.
    """
    others = (*_OF_EVALUATIONS, *_OF_RECORDS)
    rows = [row for row in record.probed.measured["honesty"] if row.subject not in others]
    hint = "Is it the mean over the very batch of that step, before the step, and nothing else?"
    return judge_measurements(rows, SINGLE, "losses are what they are said to be", hint)


@check(Stage.EVALUATION, probe="honesty")
def evaluation_is_honest(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Accuracy and held-out loss are those of all held-out examples, each counted once.

    In evaluation mode; and looking changes neither the model nor its training. Evaluations of
    the training itself are of the weights that it had then.
    """
    measured = record.probed.measured
    rows = [row for row in measured["honesty"] if row.subject in _OF_EVALUATIONS]
    if all(row.error <= SINGLE for row in rows):  # else that explains whatever comes later
        rows += [row for row in measured.get("whole_training", []) if is_score(row)]
    hint = (
        "Accuracy is the share of all scored held-out targets that the largest logit (or the "
        "sign of the only one) gets right; evaluation may change nothing, and asks the model of "
        "that very step: what an engine keeps of earlier looks may not answer."
    )
    return judge_measurements(rows, SINGLE, "evaluations count right and change nothing", hint)


@check(Stage.EVALUATION, probe="honesty")
def record_is_honest(config: MilestoneConfig, record: RunRecord) -> Judgement:
    """Norms of gradients and movements are those of every step; counts and digests tell the truth.

    As a witness of a short training, and of a watch by itself, has them.
    """
    rows = [row for row in record.probed.measured["honesty"] if row.subject in _OF_RECORDS]
    hint = "Euclidean norms of what was there at that very step, for each tensor by itself."
    return judge_measurements(rows, SINGLE, "the record is of what was there", hint)


def is_score(row: Measurement) -> bool:
    """Whether a row of the probe of the whole training is about what an evaluation came to."""
    return row.subject == "the evaluation" and row.what.startswith(_SCORES)
