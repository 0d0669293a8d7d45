"""The checks of steps, of the whole training and of starting weights, on rows made by hand."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.checks.base import Stage, Verdict
from harness.checks.steps import steps_follow_the_rule, training_follows_the_rule
from harness.checks.weights import weights_start_right
from harness.measurement import Measurement
from harness.record import EngineRecord
from tests.examples import healthy, small_config

GRADIENTS = Measurement("the training loop", "gradients of 6 steps", 2.0, 2.0, 2e-7)
CHANGES = Measurement("SGD", "changes in 6 steps", 0.3, 0.3, 0.0)
# What SMALL declares: lr 1.0 and no momentum.
LR = Measurement("the training loop", "declared lr", 1.0, 1.0, 0.0)
MOMENTUM = Measurement("the training loop", "declared momentum", math.nan, math.nan, 0.0)


def judged(*rows: Measurement) -> Verdict:
    record = healthy()
    record.probed.measured["steps"] = list(rows)
    return steps_follow_the_rule(small_config(), record)


@pytest.mark.parametrize(("error", "status"), [(0.0, "pass"), (2e-4, "fail"), (math.nan, "fail")])
def test_whole_training_is_held_to_its_rule(error: float, status: str) -> None:
    record = healthy(20)
    off = replace(CHANGES, what="change of every tensor in step 17", error=error)
    record.probed.measured["whole_training"] = [GRADIENTS, off]
    verdict = training_follows_the_rule(small_config(), record)
    assert (verdict.status, verdict.stage) == (status, Stage.STEP)
    if status == "pass":
        assert verdict.reason == "20 steps of the training are as declared"
    else:
        assert verdict.evidence["culprits"] == ["SGD"]


def test_steps_that_agree_pass() -> None:
    verdict = judged(LR, MOMENTUM, GRADIENTS, CHANGES)
    assert (verdict.status, verdict.stage) == ("pass", Stage.STEP)
    assert verdict.reason == "2 looks at gradients and changes agree with what is declared"


@pytest.mark.parametrize("error", [2e-4, math.inf, math.nan])
def test_gradient_that_is_off_names_the_loop(error: float) -> None:
    off = replace(GRADIENTS, what="gradient of every tensor in step 2", got=4.0, error=error)
    verdict = judged(LR, off, CHANGES)
    assert verdict.status == "fail"
    assert verdict.evidence["culprits"] == ["the training loop"]
    assert verdict.reason == (
        "the training loop: gradient of every tensor in step 2: got 4, expected 2"
    )


def test_change_that_is_off_names_the_optimizer() -> None:
    off = replace(CHANGES, what="change of every tensor in step 1", got=0.6, error=1.0)
    verdict = judged(LR, GRADIENTS, off)
    assert (verdict.status, verdict.evidence["culprits"]) == ("fail", ["SGD"])
    assert "zero the gradients" in verdict.hint


@pytest.mark.parametrize(
    ("row", "text"),
    [
        (replace(LR, got=0.1), "the training loop: setting lr: got 0.1, expected 1"),
        (replace(MOMENTUM, got=0.9), "the training loop: setting momentum: got 0.9, expected nan"),
        (replace(LR, got=math.nan), "the training loop: setting lr: got nan, expected 1"),
    ],
)
def test_setting_that_did_not_arrive_fails(row: Measurement, text: str) -> None:
    verdict = judged(row, GRADIENTS, CHANGES)
    assert (verdict.status, verdict.reason) == ("fail", text)


def test_nothing_measured_is_no_pass() -> None:
    assert judged(LR, MOMENTUM).status == "fail"


def test_weights_that_are_right_pass_and_others_name_their_layer() -> None:
    right = Measurement("Linear", "root mean square of weight (8, 240)", 0.037, 0.037, 0.0)
    wide = Measurement("Conv2d", "root mean square of weight (4, 48, 3, 3)", 1.0, 0.03, 32.0)
    record = EngineRecord("numpy")
    record.probed.measured["initial_weights"] = [right]
    passed = weights_start_right(record)
    record.probed.measured["initial_weights"] = [right, wide]
    failed = weights_start_right(record)
    assert (passed.status, passed.stage) == ("pass", Stage.START)
    assert (failed.status, failed.evidence["culprits"]) == ("fail", ["Conv2d"])


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
