"""The three checks of ops on records made by hand: one that passes, one that fails."""

from __future__ import annotations

import math

import pytest

from harness.checks.base import Check, Stage
from harness.checks.ops import ops_behave, ops_compute_right, ops_differentiate_right
from harness.measurement import Measurement
from harness.record import EngineRecord, Probed

CHECKS = {
    "op_values": ops_compute_right,
    "op_gradients": ops_differentiate_right,
    "op_manners": ops_behave,
}
RIGHT = Measurement("mul", "gradient for (3, 4), (3, 4)", 1.5, 1.5, 2e-9)
WRONG = Measurement("relu", "gradient of input 0 (3, 4) for (3, 4)", 2.0, 1.0, 1.0, "ops.py:7")
LATER = Measurement("ReLU", "gradient of its input (3, 4) for (3, 4)", 2.0, 1.0, 1.0)


def record(probe: str, *rows: Measurement) -> EngineRecord:
    return EngineRecord("numpy", Probed(measured={probe: list(rows)}))


@pytest.fixture(params=CHECKS, ids=[check.name for check in CHECKS.values()])
def pair(request: pytest.FixtureRequest) -> tuple[str, Check]:
    return request.param, CHECKS[request.param]


def test_each_judges_the_engine_by_its_own_probe_at_the_stage_of_ops(
    pair: tuple[str, Check],
) -> None:
    probe, check = pair
    assert (check.scope, check.stage, check.probe) == ("engine", Stage.OP, probe)


def test_small_errors_pass(pair: tuple[str, Check]) -> None:
    probe, check = pair
    verdict = check(record(probe, RIGHT, RIGHT))
    assert verdict.status == "pass"
    assert verdict.hint == ""
    assert verdict.reason.startswith("2 ")


def test_first_wrong_row_is_the_culprit_with_its_place(pair: tuple[str, Check]) -> None:
    probe, check = pair
    verdict = check(record(probe, RIGHT, WRONG, LATER))
    assert verdict.status == "fail"
    assert verdict.reason == (
        "relu: gradient of input 0 (3, 4) for (3, 4): got 2, expected 1 (ops.py:7); also ReLU"
    )
    assert verdict.evidence["culprits"] == ["relu", "ReLU"]
    assert verdict.evidence["place"] == "ops.py:7"
    assert verdict.hint != ""


@pytest.mark.parametrize("error", [math.nan, math.inf, 2e-6])
def test_nothing_that_is_no_small_error_passes(pair: tuple[str, Check], error: float) -> None:
    probe, check = pair
    row = Measurement("exp", "value for (3, 4)", 1.0, 1.0, error)
    assert check(record(probe, RIGHT, row)).status == "fail"


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
