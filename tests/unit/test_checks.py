"""Every check on a record that passes and on records that fail; no engine anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness import checks
from harness.checks import all_checks, judge
from harness.checks.accuracy import steps_to, target_reached
from harness.checks.base import Check, Stage, Verdict, check
from harness.checks.gradients import gradients_arrive
from harness.checks.loss import first_and_last, loss_falls
from harness.checks.movement import parameters_move
from harness.checks.tensors import names, tensor_verdicts
from harness.config import MilestoneConfig
from harness.record import RunRecord
from tests.examples import (
    LABELS,
    bias_lost,
    healthy,
    small_config,
    with_gradient,
    with_movement,
    without_steps,
    without_tensor,
)

BIAS = "hidden.bias"
EVERY, ONE, NINE, TEN = slice(None), slice(3, 4), slice(3, 12), slice(3, 13)


def sick(label: str = BIAS, **what: tuple[float, slice]) -> RunRecord:
    """A healthy record with the gradient or the movement of one tensor changed."""
    record = healthy()
    for name, (value, steps) in what.items():
        change = {"gradient": with_gradient, "movement": with_movement}[name]
        record = change(record, label, value, steps)
    return record


def verdict_of(record: RunRecord, label: str = BIAS, **null: str) -> tuple[str, str]:
    config = small_config(null=(null.get("null") and {label: null["null"]}) or None)
    found = {tensor.label: tensor for tensor in tensor_verdicts(config, record)}
    return found[label].verdict, found[label].reason


# --- one verdict a tensor ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("record", "verdict", "reason"),
    [
        (healthy(), "OK", "gradient and movement at every step"),
        (sick(gradient=(np.nan, EVERY)), "MISSING", "received no gradient in any of 20 steps"),
        (sick(gradient=(np.nan, ONE)), "MISSING", "received no gradient in 1 of 20 steps"),
        (sick(gradient=(np.inf, ONE)), "NONFINITE",
         "had NaN or infinity in its gradient from step 4"),
        (sick(gradient=(0.0, EVERY)), "ZERO",
         "had a gradient of zero in any of 20 steps, first at step 1"),
        (sick(gradient=(0.0, TEN)), "ZERO",
         "had a gradient of zero in 10 of 20 steps, first at step 4"),
        (sick(gradient=(4e-7, TEN)), "ZERO",
         "had a gradient of zero in 10 of 20 steps, first at step 4"),
        (sick(gradient=(1e-6, EVERY)), "OK", "gradient and movement at every step"),
        (sick(gradient=(0.0, NINE)), "OK", "gradient and movement at every step"),
        (sick(gradient=(0.0, ONE)), "OK", "gradient and movement at every step"),
        (sick(movement=(0.0, EVERY)), "FROZEN",
         "did not move in any of 20 steps although it has a gradient"),
        (sick(movement=(0.0, TEN)), "FROZEN",
         "did not move in 10 of 20 steps although it has a gradient"),
        (sick(movement=(0.0, NINE)), "OK", "gradient and movement at every step"),
    ],
)  # fmt: skip
def test_tensor_gets_its_verdict(record: RunRecord, verdict: str, reason: str) -> None:
    assert verdict_of(record) == (verdict, reason)


@pytest.mark.parametrize(
    ("value", "steps", "verdict"),
    [
        (0.0, EVERY, "NULL"),
        (5e-7, EVERY, "NULL"),
        (0.5, EVERY, "WRONG"),
        (np.nan, ONE, "MISSING"),
        (np.inf, ONE, "NONFINITE"),
    ],
)
def test_declared_null_tensor_is_asserted_null(value: float, steps: slice, verdict: str) -> None:
    assert verdict_of(sick(gradient=(value, steps)), null="it cancels")[0] == verdict


def test_declared_null_tensor_with_one_real_gradient_is_wrong() -> None:
    record = with_gradient(sick(gradient=(0.0, EVERY)), BIAS, 0.25, ONE)
    assert verdict_of(record, null="it cancels") == (
        "WRONG",
        "has a gradient of 0.5 of the largest in the model, but is zero by mathematics: it cancels",
    )


def test_zero_is_relative_to_the_largest_gradient_of_the_step() -> None:
    record = healthy()
    tiny = replace(record, gradient_norm=record.gradient_norm * 1e-12)
    assert verdict_of(tiny)[0] == "OK"
    assert verdict_of(with_gradient(tiny, BIAS, 1e-19, EVERY))[0] == "ZERO"


def test_model_whose_gradients_are_all_zero_has_only_zeros() -> None:
    record = replace(healthy(), gradient_norm=np.zeros((20, 4)))
    assert {tensor.verdict for tensor in tensor_verdicts(small_config(), record)} == {"ZERO"}


@pytest.mark.parametrize("steps", [1, 3])
def test_short_run_is_judged_by_all_its_steps(steps: int) -> None:
    assert verdict_of(with_gradient(healthy(steps), BIAS, 0.0, EVERY))[0] == "ZERO"
    assert verdict_of(with_movement(healthy(steps), BIAS, 0.0, EVERY))[0] == "FROZEN"
    assert verdict_of(healthy(steps))[0] == "OK"


def test_norms_are_the_medians_of_what_is_finite() -> None:
    record = with_gradient(healthy(3), BIAS, np.inf, slice(0, 1))
    tensors = {tensor.label: tensor for tensor in tensor_verdicts(small_config(), record)}
    assert (tensors[BIAS].gradient_norm, tensors[BIAS].movement) == (0.5, 0.05)
    record = with_gradient(healthy(3), BIAS, np.nan, EVERY)
    tensors = {tensor.label: tensor for tensor in tensor_verdicts(small_config(), record)}
    assert np.isnan(tensors[BIAS].gradient_norm)


@pytest.mark.parametrize(
    ("labels", "text"), [(["a"], "a"), (list("abcd"), "a, b, c, d"),
                         (list("abcdef"), "a, b, c, d and 2 more")],
)  # fmt: skip
def test_names_lists_at_most_four(labels: list[str], text: str) -> None:
    assert names(labels) == text


# --- every check passes on one record and fails on another -------------------------------

FAILING: dict[str, list[tuple[RunRecord, str]]] = {
    "gradients_arrive": [
        (sick(gradient=(np.nan, EVERY)), "hidden.bias received no gradient in any of 20 steps "
         "(3 of 4 parameters have their gradient)"),
        (sick(gradient=(np.nan, ONE)), "hidden.bias received no gradient in 1 of 20 steps"),
        (sick(gradient=(np.inf, ONE)), "hidden.bias had NaN or infinity in its gradient"),
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
        (without_steps(healthy()), "hidden.weight, hidden.bias, output.weight, output.bias did "
         "not move: no step was taken (0 of 4"),
    ],
    "loss_falls": [
        (replace(healthy(), loss=np.full(20, 0.7)), "the loss went from 0.7 to 0.7, 0% of the way "
         "down (at least 50% expected)"),
        (replace(healthy(), loss=np.linspace(0.7, 1.4, 20)), "the loss went from 0.7 to 1.38, "
         "-97% of the way down"),
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


def test_every_check_has_records_that_fail_here() -> None:
    assert {each.name for each in all_checks()} == FAILING.keys()


@pytest.mark.parametrize("each", all_checks(), ids=lambda each: each.name)
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
    assert {verdict.status for verdict in judge(config, record)} == {"pass"}
    lost = with_gradient(record, "layer7.weight", np.nan, ONE)
    assert gradients_arrive(config, lost).status == "fail"
    frozen = with_movement(record, "layer7.weight", 0.0, EVERY)
    assert parameters_move(config, frozen).status == "fail"


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
    assert verdicts[0].evidence["tensors"] == [BIAS]


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
