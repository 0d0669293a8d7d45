"""One verdict a tensor, from what its gradients and its movement were at every step."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from harness.checks.tensors import names, tensor_verdicts
from harness.record import RunRecord
from tests.examples import healthy, sick, small_config, with_gradient, with_movement

BIAS = "hidden.bias"
EVERY, ONE, NINE, TEN = slice(None), slice(3, 4), slice(3, 12), slice(3, 13)


def verdict_of(record: RunRecord, label: str = BIAS, **null: str) -> tuple[str, str]:
    config = small_config(null=(null.get("null") and {label: null["null"]}) or None)
    found = {tensor.label: tensor for tensor in tensor_verdicts(config, record)}
    return found[label].verdict, found[label].reason


@pytest.mark.parametrize(
    ("record", "verdict", "reason"),
    [
        (healthy(), "OK", "gradient and movement at every step"),
        (sick(gradient=(np.nan, EVERY)), "MISSING", "received no gradient in any of 20 steps"),
        (sick(gradient=(np.nan, ONE)), "MISSING", "received no gradient in 1 of 20 steps"),
        (sick(gradient=(np.inf, ONE)), "NONFINITE",
         "had NaN or infinity for a gradient, first at step 4"),
        (sick(gradient=(0.0, EVERY)), "ZERO",
         "had a gradient of zero in all 20 steps, first at step 1"),
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


def test_null_tensor_may_round_above_zero_for_a_step_but_not_for_ten() -> None:
    """Rounding is not under control at every step; 1e-4 of the largest is no rounding."""
    null = sick(gradient=(0.0, EVERY))
    for value, steps, verdict in [
        (2e-5, ONE, "NULL"),
        (2e-5, NINE, "NULL"),
        (2e-5, TEN, "WRONG"),
        (6e-5, ONE, "WRONG"),
    ]:
        record = with_gradient(null, BIAS, value, steps)
        assert verdict_of(record, null="it cancels")[0] == verdict


def test_verdict_knows_the_first_step_at_which_it_shows() -> None:
    for record, since in [
        (healthy(), 0),
        (sick(gradient=(np.nan, slice(4, 5))), 5),
        (sick(gradient=(np.inf, slice(7, 9))), 8),
        (sick(gradient=(0.0, TEN)), 4),
    ]:
        tensors = {tensor.label: tensor for tensor in tensor_verdicts(small_config(), record)}
        assert tensors[BIAS].since == since


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


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
