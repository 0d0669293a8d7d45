"""Evaluations of a whole training, taken once more: right ones agree, stale ones are named."""

from __future__ import annotations

from dataclasses import replace
from weakref import WeakKeyDictionary

import numpy as np
import pytest

from harness import config_files
from harness.backends import load
from harness.checks.base import Verdict
from harness.checks.honesty import evaluation_is_honest
from harness.checks.steps import training_follows_the_rule
from harness.config import MilestoneConfig
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.model import Model
from harness.record import RunRecord
from harness.runner import Job, execute
from tests.broken_loops import Plant, nothing, small, wrong
from tests.examples import healthy

PROBES = ("honesty", "whole_training")
# From this call on, the logits are those of the call before.
STALE = 15


def stale_from(first: int) -> Plant:
    """Every model gives the logits of the call before from this call of its own on, counted from 1.

    One for another number of examples is right: there is nothing that would fit.
    """
    right = Model.outputs
    given: WeakKeyDictionary[object, list[np.ndarray]] = WeakKeyDictionary()

    def outputs(self: Model, x: np.ndarray) -> np.ndarray:
        # A model is no key, as it may be equal to others; its parameters are only its own.
        before = given.setdefault(next(iter(self.parameters.values())), [])
        before.append(right(self, x).copy())
        is_stale = len(before) >= first and len(before[-2]) == len(before[-1])
        return before[-2] if is_stale else before[-1]

    return lambda ground: ground.patch(Model, "outputs", outputs)


def judged(config: MilestoneConfig, plant: Plant = nothing, seed: int = 0) -> RunRecord:
    """The record of a job on which this was planted, with what both probes saw."""
    ground = Ground(load("numpy"))
    try:
        plant(ground)
        return execute(Job(config, seed, probes=PROBES))
    finally:
        ground.restore()


def verdicts(config: MilestoneConfig, record: RunRecord) -> list[Verdict]:
    """In the order of causes."""
    return [check(config, record) for check in (training_follows_the_rule, evaluation_is_honest)]


def scores(record: RunRecord) -> list[Measurement]:
    """What the whole training's evaluations came to, beside what they should have."""
    rows = record.probed.measured["whole_training"]
    return [row for row in rows if row.what.startswith(("accuracy ", "loss "))]


@pytest.mark.parametrize("name", ["xor", "mlp", "transformer"])
def test_right_milestones_accuse_nobody(name: str) -> None:
    config = config_files.load(config_files.find(name))
    record = judged(config, seed=1)
    assert [verdict.status for verdict in verdicts(config, record)] == ["pass", "pass"]
    assert len(scores(record)) == 12
    assert max(row.error for row in scores(record)) == 0.0


def test_looks_are_the_last_on_the_way_four_before_it_and_the_end() -> None:
    # 80 steps, looked at before the first and after every fourth: 21 looks, from 0 to 20.
    record = judged(small(evaluate_every=4))
    steps = [16, 32, 48, 64, 80]
    assert [row.what for row in scores(record)[::2]] == [
        *(f"accuracy after step {step}" for step in steps),
        "accuracy at the end",
    ]
    assert [row.expected for row in scores(record)[1::2]] == [
        *(record.held_out_loss[step // 4] for step in steps),
        record.final_loss,
    ]


@pytest.mark.parametrize("name", ["xor", "mlp"])
def test_stale_evaluations_on_the_way_are_the_evaluations(name: str) -> None:
    config = config_files.load(config_files.find(name))
    record = judged(config, stale_from(STALE))
    steps, evaluation = verdicts(config, record)
    assert steps.status == "pass"
    assert (evaluation.status, evaluation.evidence["culprits"]) == ("fail", ["the evaluation"])
    last = f"loss after step {record.evaluated_at[-1]}"
    assert last in {row.what for row in wrong(scores(record))}


def test_stale_evaluation_at_the_end_is_the_evaluations() -> None:
    # 80 steps and looks after 0, 6, ..., 78: these are fourteen, and the end says what was at 78.
    config = small(evaluate_every=6, lr=0.5)
    record = judged(config, stale_from(STALE))
    steps, evaluation = verdicts(config, record)
    assert steps.status == "pass"
    assert evaluation.status == "fail"
    assert evaluation.reason.startswith("the evaluation: loss at the end: got ")
    assert [row.what for row in wrong(scores(record))] == ["loss at the end"]
    assert record.final_loss == record.held_out_loss[-1]


def test_scores_are_judged_with_evaluations_and_not_with_steps() -> None:
    record, config = healthy(), small()
    good = Measurement("the training loop", "steps", 20.0, 20.0, 0.0)
    late = Measurement("the evaluation", "loss after step 12", 1.0, 2.0, 0.5)
    left = Measurement("the evaluation", "values at the end of training", 1.0, 2.0, 0.5)
    record.probed.measured["honesty"] = [Measurement("accuracy", "x", 1.0, 1.0, 0.0)]
    for rows, statuses in [
        ([good], ["pass", "pass"]),
        ([good, late], ["pass", "fail"]),
        ([good, left], ["fail", "pass"]),
    ]:
        record.probed.measured["whole_training"] = rows
        assert [verdict.status for verdict in verdicts(config, record)] == statuses
    # What is wrong early explains what is wrong late.
    early = Measurement("accuracy", "accuracy on the way", 0.5, 1.0, 2.0)
    record.probed.measured |= {"honesty": [early], "whole_training": [good, late]}
    assert evaluation_is_honest(config, record).evidence["culprits"] == ["accuracy"]
    # Whoever asks for the one check only has the rows of its own probe.
    record.probed.measured = {"honesty": [replace(early, error=0.0)]}
    assert evaluation_is_honest(config, record).status == "pass"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
