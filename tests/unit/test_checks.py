"""Every check on a record that passes and on records that fail; no engine anywhere."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from harness import checks
from harness.checks import all_checks, judge
from harness.checks.accuracy import steps_to, target_reached
from harness.checks.base import Check, Stage, Verdict, check
from harness.checks.gradients import gradients_arrive
from harness.checks.loss import first_and_last, loss_falls
from harness.checks.movement import parameters_move
from harness.checks.tensors import tensor_verdicts
from harness.config import MilestoneConfig
from harness.record import RunRecord
from tests.examples import (
    LABELS,
    bias_lost,
    healthy,
    sick,
    small_config,
    with_gradient,
    with_movement,
    without_steps,
    without_tensor,
)

BIAS = "hidden.bias"
EVERY, ONE, TEN = slice(None), slice(3, 4), slice(3, 13)


# --- every check passes on one record and fails on another -------------------------------

FAILING: dict[str, list[tuple[RunRecord, str]]] = {
    "gradients_arrive": [
        (sick(gradient=(np.nan, EVERY)), "hidden.bias received no gradient in any of 20 steps "
         "(3 of 4 parameters have their gradient)"),
        (sick(gradient=(np.nan, ONE)), "hidden.bias received no gradient in 1 of 20 steps"),
        (sick(gradient=(np.inf, ONE)), "hidden.bias had NaN or infinity for a gradient"),
        (sick(gradient=(0.0, TEN)), "hidden.bias had a gradient of zero in 10 of 20 steps"),
        (with_gradient(sick(gradient=(np.nan, EVERY)), "output.bias", 0.0, EVERY),
         "hidden.bias received no gradient in any of 20 steps; also output.bias (ZERO) "
         "(2 of 4 parameters"),
        (without_tensor(healthy(), "output.bias"),
         "the model has 3 parameters, the config declares 4"),
        (without_steps(healthy()), "no step was taken"),
    ],
    "parameters_move": [
        (sick(movement=(0.0, EVERY)), "hidden.bias did not move in any of 20 steps (3 of 4 "
         "parameters move)"),
        (bias_lost(), "hidden.bias did not move in any of 20 steps (3 of 4 parameters move)"),
        (without_tensor(healthy(), "output.bias"), "3 of 4 parameters move"),
        (sick(movement=(np.nan, ONE)), "hidden.bias moved to NaN or infinity at step 4"),
        (with_movement(sick(movement=(0.0, EVERY)), "output.bias", 0.0, TEN), "hidden.bias did "
         "not move in any of 20 steps; nor did output.bias at every step (2 of 4"),
        (without_steps(healthy()), "hidden.weight, hidden.bias, output.weight, output.bias did "
         "not move: no step was taken (0 of 4"),
    ],
    "loss_falls": [
        (replace(healthy(), loss=np.full(20, 0.7)), "the loss went from 0.7 to 0.7, 0% of the way "
         "down (at least 50% expected)"),
        (replace(healthy(), loss=np.linspace(0.7, 1.4, 20)), "the loss rose from 0.7 to 1.38"),
        (replace(healthy(), loss=np.array([0.7, np.nan, 0.1])), "the loss is nan at step 2"),
        (replace(healthy(), loss=np.array([0.7, 0.1, np.inf])), "the loss is inf at step 3"),
        (without_steps(healthy()), "no step was taken"),
    ],
    "target_reached": [
        (replace(healthy(), final_accuracy=0.75), "accuracy 0.750 on 4 held-out "
         "examples, target 1 (always the same answer: 0.75)"),
        (replace(healthy(), final_accuracy=0.99), "accuracy 0.990 on 4 held-out"),
        (without_steps(healthy()), "nothing was evaluated"),
        (replace(healthy(), final_accuracy=np.nan),
         "nothing was evaluated"),
    ],
}  # fmt: skip
CASES = [(name, *case) for name, cases in FAILING.items() for case in cases]


# The checks that need nothing but the training itself.
OF_TRAINING = [each for each in all_checks() if not each.probe and each.name in FAILING]


def test_every_check_has_records_that_fail_here_or_in_a_test_that_names_it() -> None:
    tests = "".join(file.read_text(encoding="utf-8") for file in Path(__file__).parent.glob("*.py"))
    elsewhere = [each.name for each in all_checks() if each.name not in FAILING]
    assert [name for name in elsewhere if not re.search(rf"\b{name}\b", tests)] == []


@pytest.mark.parametrize("each", OF_TRAINING, ids=lambda each: each.name)
@pytest.mark.parametrize("steps", [1, 20, 200])
def test_check_passes_on_a_healthy_record(each: Check, steps: int) -> None:
    verdict = each(small_config(), healthy(steps) if steps > 1 else one_good_step())
    assert (verdict.status, verdict.check, verdict.hint) == ("pass", each.name, "")
    assert verdict.reason


def one_good_step() -> RunRecord:
    """A run of one step; its loss cannot fall, so the check of that one gets its two ends."""
    return replace(healthy(1), loss=np.array([0.7, 0.1]))


@pytest.mark.parametrize(("name", "record", "reason"), CASES)
def test_check_fails_and_says_why(name: str, record: RunRecord, reason: str) -> None:
    (each,) = (each for each in all_checks() if each.name == name)
    verdict = each(small_config(), record)
    assert verdict.status == "fail"
    assert verdict.reason.startswith(reason)
    assert verdict.hint


@pytest.mark.parametrize("each", all_checks(), ids=lambda each: each.name)
def test_check_says_what_must_hold(each: Check) -> None:
    assert each.definition.split("\n")[0].endswith(".")
    assert each.stage in Stage


# --- their fine points -------------------------------------------------------------------


def test_no_percentage_of_tensors_is_enough() -> None:
    """18 of 19 tensors with a gradient is a failure as much as none."""
    labels = [f"layer{i}.weight" for i in range(100)]
    shape = (20, 100)
    record = replace(
        healthy(),
        labels=labels,
        shapes=[(1,)] * 100,
        gradient_norm=np.full(shape, 0.5),
        movement=np.full(shape, 0.05),
    )
    config = small_config()
    config = config.model_copy(
        update={"expectations": config.expectations.model_copy(update={"tensors": 100})}
    )
    assert {verdict.status for verdict in judge(config, record)} == {"pass", "skip"}
    lost = with_gradient(record, "layer7.weight", np.nan, ONE)
    assert gradients_arrive(config, lost).status == "fail"
    frozen = with_movement(record, "layer7.weight", 0.0, EVERY)
    assert parameters_move(config, frozen).status == "fail"


@pytest.mark.parametrize(
    ("labels", "where"),
    [
        (LABELS[:2], ""),  # one layer: its own op may have lost both
        (LABELS[2:], ""),  # not the first: what comes before has its gradient
        (LABELS[:3], ""),  # half of a layer
        (LABELS, ": the graph is cut after output"),
    ],
)
def test_cut_is_named_only_where_it_must_be(labels: list[str], where: str) -> None:
    record = healthy()
    for label in labels:
        record = with_gradient(record, label, np.nan, EVERY)
    reason = gradients_arrive(small_config(), record).reason
    assert reason.startswith(
        f"{', '.join(labels)} received no gradient in any of 20 steps{where} ("
    )


def test_cut_between_two_layers_is_named() -> None:
    labels = ["a.weight", "a.bias", "b.weight", "c.weight"]
    record = replace(healthy(), labels=labels)
    for label in labels[:3]:
        record = with_gradient(record, label, np.nan, EVERY)
    assert "the graph is cut between b and c (" in gradients_arrive(small_config(), record).reason


def test_absent_tensor_is_named_where_the_config_lists_them() -> None:
    config = small_config()
    expectations = config.expectations.model_copy(update={"tensors": list(LABELS)})
    config = config.model_copy(update={"expectations": expectations})
    assert gradients_arrive(config, healthy()).status == "pass"
    verdict = gradients_arrive(config, without_tensor(healthy(), "output.bias"))
    assert verdict.status == "fail"
    assert verdict.reason == (
        "output.bias not among the model's parameters: the model has 3 parameters, the config "
        "declares 4"
    )
    assert verdict.evidence["tensors"] == ["output.bias"]


def test_tensor_that_went_wrong_first_is_named_first() -> None:
    record = with_gradient(healthy(), "hidden.weight", np.inf, slice(9, None))
    record = with_gradient(record, "output.bias", np.inf, slice(5, None))
    reason = gradients_arrive(small_config(), record).reason
    assert reason.startswith("output.bias had NaN or infinity for a gradient, first at step 6")
    assert "hidden.weight (NONFINITE)" in reason


def test_null_tensor_needs_no_movement_but_must_be_null() -> None:
    config = small_config(null={BIAS: "it cancels"})
    at_rest = sick(gradient=(0.0, EVERY), movement=(0.0, EVERY))
    assert gradients_arrive(config, at_rest).status == "pass"
    assert parameters_move(config, at_rest).reason == "3 of 3 parameters move"
    wrong = gradients_arrive(config, healthy())
    assert wrong.status == "fail"
    assert wrong.reason.startswith("hidden.bias has a gradient of 1 of the largest in the model")


def test_frozen_tensor_has_its_gradient() -> None:
    record = sick(movement=(0.0, EVERY))
    assert gradients_arrive(small_config(), record).status == "pass"
    assert parameters_move(small_config(), record).evidence["tensors"] == [BIAS]


def test_drop_is_measured_above_the_floor() -> None:
    config = small_config(loss_floor=0.6)
    record = replace(healthy(), loss=np.array([1.0, 0.7]))
    verdict = loss_falls(config, record)
    assert verdict.reason == (
        "the loss went from 1 to 0.7, 75% of the way down above its floor of 0.6 "
        "(at least 50% expected)"
    )
    assert verdict.evidence["drop"] == pytest.approx(0.75)
    below = replace(healthy(), loss=np.array([0.5, 0.1]))
    assert loss_falls(config, below).status == "fail"  # it started where nothing can be lowered


def test_last_loss_is_the_mean_of_the_last_tenth() -> None:
    loss = np.concatenate([np.ones(90), np.linspace(0.0, 1.0, 10)])
    assert first_and_last(loss) == (1.0, pytest.approx(0.5))
    assert first_and_last(np.array([2.0])) == (2.0, 2.0)


def test_target_is_judged_at_the_end_and_exactly() -> None:
    config = small_config(accuracy=0.9)
    record = replace(healthy(), final_accuracy=0.9)
    assert target_reached(config, record).status == "pass"
    worse = replace(healthy(), accuracy=np.array([0.5, 1.0]), final_accuracy=0.8999)
    assert target_reached(config, worse).status == "fail"


def test_steps_to_is_the_first_evaluation_at_the_target() -> None:
    record = replace(
        healthy(),
        evaluated_at=np.array([0, 5, 10, 15]),
        accuracy=np.array([0.1, 0.9, 0.4, 0.95]),
    )
    assert steps_to(record, 0.9) == 5
    assert steps_to(record, 0.99) is None


def test_lost_bias_is_the_cause_and_the_rest_its_consequences() -> None:
    verdicts = judge(small_config(), bias_lost())
    failed = [verdict.check for verdict in verdicts if verdict.status == "fail"]
    assert failed == ["gradients_arrive", "parameters_move", "loss_falls", "target_reached"]
    cause = next(verdict for verdict in verdicts if verdict.status == "fail")
    assert cause.evidence["tensors"] == [BIAS]


def test_checks_come_in_the_order_of_causes() -> None:
    stages = [each.stage for each in all_checks()]
    assert stages == sorted(stages)


def test_raising_check_is_an_error_and_the_others_are_heard(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @check(Stage.LOSS)
    def stumbles(config: MilestoneConfig, record: RunRecord) -> tuple[bool, str, str, dict]:
        """It raises."""
        raise ZeroDivisionError("by nothing")

    monkeypatch.setattr(checks, "all_checks", lambda: (stumbles, target_reached))
    error, other = judge(small_config(), healthy())
    assert (error.check, error.status, error.stage) == ("stumbles", "error", Stage.LOSS)
    assert error.reason == "the check itself failed: ZeroDivisionError: by nothing"
    assert "stumbles" in str(error.evidence["traceback"])
    assert other.status == "pass"


def test_checks_of_other_packages_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    from types import ModuleType, SimpleNamespace

    module = ModuleType("theirs")
    module.theirs = check(Stage.TARGET)(lambda config, record: (True, "", "", {}))  # type: ignore[attr-defined]
    point = SimpleNamespace(load=lambda: module)
    monkeypatch.setattr(checks, "entry_points", lambda group: [point] * (group == "harness.checks"))
    all_checks.cache_clear()
    try:
        assert "<lambda>" in {each.name for each in all_checks()}
    finally:
        all_checks.cache_clear()


def test_verdicts_are_values() -> None:
    assert Verdict("a", "pass", "b") == Verdict("a", "pass", "b")
    assert [tensor.label for tensor in tensor_verdicts(small_config(), healthy())] == LABELS


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
