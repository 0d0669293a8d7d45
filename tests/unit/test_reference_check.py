"""The check `follows_reference` on rows made by hand: tolerances, and what comes first."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest

from harness.checks.base import Verdict
from harness.checks.reference import follows_reference
from harness.measurement import Measurement
from harness.record import RunRecord
from tests.examples import small_config

WIDE_ROW = Measurement("the model", "its numbers are float64", 64.0, 64.0, 0.0)
SINGLE_ROW = Measurement("the model", "its numbers are float32", 32.0, 32.0, 0.0)
ROWS = [
    Measurement("Linear", "forward at step 1: output of hidden", 1.0, 1.0, 0.0),
    Measurement("the model", "forward at step 1: output of the model", 1.0, 1.0, 1e-15),
    Measurement("MSELoss", "loss at step 1: as the engine has it", 0.5, 0.5, 0.0),
    Measurement("a.weight", "gradient at step 1: that of a.weight", 2.0, 2.0, 0.0),
    Measurement("b.weight", "gradient at step 1: that of b.weight", 3.0, 3.0, 0.0),
    Measurement("b.bias", "gradient at step 1: that of b.bias", 3.0, 3.0, 0.0),
    Measurement("SGD", "update at step 1: change of a.weight", 4.0, 4.0, 0.0),
    Measurement("b.bias", "gradient at step 12: that of b.bias", 3.0, 3.0, 0.0),
    Measurement("SGD", "update at step 20: a.weight after it", 4.0, 4.0, 0.0),
]


def judged(rows: list[Measurement], first: Measurement = WIDE_ROW) -> Verdict:
    record = RunRecord("small", 0, "numpy")
    record.probed.measured["reference"] = [first, *rows]
    return follows_reference(small_config(), record)


def off(error: float, *places: int) -> list[Measurement]:
    """The rows, some of them off by so much."""
    return [replace(row, error=error) if i in places else row for i, row in enumerate(ROWS)]


def test_rows_that_agree_pass_and_say_how_far() -> None:
    found = judged(ROWS)
    assert (found.status, found.reason) == (
        "pass", "20 steps are those of the reference, to 1.0e-15",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("first", "error", "status"),
    [(WIDE_ROW, 1e-6, "pass"), (WIDE_ROW, 1.1e-6, "fail"), (SINGLE_ROW, 1e-4, "pass"),
     (SINGLE_ROW, 1.1e-4, "fail"), (WIDE_ROW, math.inf, "fail"), (WIDE_ROW, math.nan, "fail")],
)  # fmt: skip
def test_tolerance_is_that_of_the_type_of_numbers(
    first: Measurement, error: float, status: str
) -> None:
    assert judged(off(error, 3), first).status == status


def test_first_divergence_wins_over_larger_ones_after_it() -> None:
    rows = off(0.5, 6, 7, 8)
    rows[3] = replace(rows[3], error=0.01)
    found = judged(rows)
    assert found.evidence["phase"] == "gradient"
    assert found.evidence["step"] == 1
    assert found.evidence["culprits"] == ["a.weight"]


def test_of_a_gradient_the_last_layer_is_named_and_its_worst_tensor() -> None:
    rows = off(0.5, 3, 4)
    rows[5] = replace(rows[5], error=0.7)
    found = judged(rows)
    assert found.evidence["culprits"] == ["b.bias", "a.weight", "b.weight"]
    assert found.evidence["tensor"] == "b.bias"
    assert found.reason.startswith("gradient at step 1: that of b.bias: got 3, expected 3 (0.7 ap")


def test_first_step_is_not_taken_for_the_twelfth() -> None:
    found = judged(off(0.5, 5, 7))
    assert len(list(found.evidence["wrong"])) == 1  # type: ignore[call-overload]


def test_forward_names_the_first_layer() -> None:
    found = judged(off(0.5, 0, 1))
    assert (found.evidence["phase"], found.evidence["tensor"]) == ("forward", "hidden")
    assert found.evidence["culprits"] == ["Linear", "the model"]


def test_update_has_a_tensor_and_a_culprit() -> None:
    found = judged(off(0.5, 6))
    assert found.evidence["tensor"] == "a.weight"
    assert found.evidence["culprits"] == ["SGD"]
    assert "look at the optimizer" in found.hint


def test_file_that_is_none_fails_with_its_sentence() -> None:
    broken = Measurement("the reference", "x.npz is damaged", math.nan, math.nan, math.inf)
    found = judged([], broken)
    assert (found.status, found.reason) == ("fail", "x.npz is damaged")
    assert "writes the file anew" in found.hint


def test_tensor_that_the_reference_lacks_fails() -> None:
    what = "start at step 1: shape (3,) where the reference has None"
    found = judged([], Measurement("c.bias", what, 3.0, math.nan, math.inf))
    assert found.status == "fail"
    assert found.evidence["culprits"] == ["c.bias"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
