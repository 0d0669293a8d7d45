"""Curves and bands: healthy runs stay inside, others leave them where they went astray."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import bands
from harness.calibrating import initial_norms
from harness.checks.bands import learning_in_band
from harness.checks.calibrated import starting_elsewhere
from harness.curves import (
    CELLS,
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
from tests.examples import LABELS, healthy, small_config

STEPS = 120
CONFIG = small_config()


def run(seed: int, steps: int = STEPS) -> RunRecord:
    """Plain descent by a learning rate of 0.1 on a loss that falls as it does by chance."""
    rng = np.random.default_rng(seed)
    at = np.arange(steps)
    rate = 30.0 * np.exp(0.1 * rng.standard_normal())
    noise = np.exp(0.1 * rng.standard_normal((steps, len(LABELS))))
    gradient = 0.3 * np.exp(-at / rate)[:, None] * noise
    evaluated_at = np.arange(0, steps + 1, 10)
    start = 1.0 + 0.02 * rng.standard_normal(len(LABELS))
    return replace(
        healthy(steps, seed=seed),
        initial_norm=start,
        loss=np.exp(-at / rate) * np.exp(0.02 * rng.standard_normal(steps)),
        gradient_norm=gradient,
        movement=0.1 * gradient,
        evaluated_at=evaluated_at,
        held_out_loss=np.exp(-evaluated_at / rate),
        accuracy=1.0 - 0.5 * np.exp(-evaluated_at / rate),
    )


RUNS = [run(seed) for seed in range(120)]
FOUND: dict[str, Any] = json.loads(
    json.dumps(
        {
            "config": CONFIG.digest,
            "seeds": len(RUNS),
            "steps": STEPS,
            "initial_norm": initial_norms(RUNS),
            "bands": bands.fit([curves(record) for record in RUNS]),
        }
    )
)


# --- curves -------------------------------------------------------------------------------


def test_cells_hold_the_means_of_their_steps() -> None:
    """80 steps in 40 cells: of loss, the logarithm of the mean of two."""
    record = replace(healthy(80), loss=np.arange(1.0, 81.0))
    loss = curves(record)[0]
    assert loss.edges[:3] == (1, 3, 5)
    assert loss.edges[-1] == 80
    np.testing.assert_allclose(np.exp(loss.values[0]), np.arange(1.5, 80.0, 2.0))


def test_short_runs_have_fewer_cells_and_one_step_has_none() -> None:
    assert curves(healthy(20))[0].values.shape == (1, 20)
    assert curves(healthy(1000))[0].values.shape == (1, CELLS)
    assert curves(replace(healthy(2), loss=np.array([0.7]))) == []


def test_null_tensors_have_no_curves() -> None:
    found = {each.quantity.name: each for each in curves(healthy(20), null=["hidden.bias"])}
    assert found[GRADIENT].subjects == ("hidden.weight", "output.weight", "output.bias")
    assert found[MOVEMENT].values.shape == (3, 19)  # the first step may be of size 0


def test_descent_of_plain_gradient_steps_is_one() -> None:
    """A loss that falls by gradient times movement at every step."""
    steps = 200
    norms = np.linspace(0.5, 0.3, steps)[:, None] * np.ones(len(LABELS))
    moves = 0.01 * norms
    work = (norms * moves).sum(axis=1)
    falling = 5.0 - np.concatenate([[0.0], np.cumsum(work)[:-1]])
    record = replace(healthy(steps), loss=falling, gradient_norm=norms, movement=moves)
    (descent,) = (each for each in curves(record) if each.quantity.name == DESCENT)
    np.testing.assert_allclose(descent.values, 1.0, atol=0.01)


def test_numbers_that_are_not_finite_are_far_outside_any_band() -> None:
    lost = run(7)
    lost.gradient_norm[60:, 1] = np.inf
    left = bands.departures(bands.on_record(curves(lost), FOUND["bands"]), FOUND["bands"])
    assert left[0].subject == "hidden.bias"
    assert {each.quantity for each in left if each.score > 10.0} >= {GRADIENT, PER_GRADIENT}


# --- bands --------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(1000, 1050))
def test_further_healthy_runs_stay_in_their_bands(seed: int) -> None:
    passed = learning_in_band(CONFIG, run(seed), FOUND)
    assert passed.status == "pass"
    assert passed.reason == "16 curves run as on 120 seeds of a correct engine"


def _scaled(quantity: str, factor: float, tensor: int | slice = slice(None)) -> Callable[
    [RunRecord], RunRecord
]:  # fmt: skip
    def change(record: RunRecord) -> RunRecord:
        array = getattr(record, quantity).copy()
        array[STEPS // 2 :, tensor] *= factor
        return replace(record, **{quantity: array})

    return change


ASTRAY: dict[str, tuple[Callable[[RunRecord], RunRecord], list[str]]] = {
    "fast": (lambda r: replace(r, loss=r.loss ** 3.0), [LOSS]),
    "flat": (lambda r: replace(r, loss=np.ones(STEPS)), [LOSS]),
    "worse held out": (lambda r: replace(r, held_out_loss=1.0 + 0.0 * r.held_out_loss,
                                         accuracy=0.5 + 0.0 * r.accuracy),
                       ["the evaluation", "the data"]),
    "one gradient": (_scaled("gradient_norm", 0.1, 2), ["output.weight"]),
    "one movement": (_scaled("movement", 0.1, 1), ["hidden.bias"]),
    "all movements": (_scaled("movement", 0.02), ["SGD", "the training loop"]),
    "all gradients": (
        lambda r: replace(_scaled("gradient_norm", 0.1)(r), movement=0.1 * r.gradient_norm),
        ["BCEWithLogitsLoss"],
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ASTRAY)
@pytest.mark.parametrize("seed", [2000, 2001])
def test_run_that_goes_astray_leaves_its_bands(name: str, seed: int) -> None:
    change, culprits = ASTRAY[name]
    failed = learning_in_band(CONFIG, change(run(seed)), FOUND)
    assert failed.status == "fail"
    assert failed.evidence["culprits"][: len(culprits)] == culprits
    assert failed.hint


def test_departure_is_named_with_its_steps_and_its_band() -> None:
    change, _ = ASTRAY["one movement"]
    failed = learning_in_band(CONFIG, change(run(2000)), FOUND)
    first = failed.evidence["departures"][0]
    assert (first["subject"], first["quantity"]) in [
        ("hidden.bias", MOVEMENT), ("hidden.bias", PER_GRADIENT)
    ]  # fmt: skip
    assert first["last_step"] > STEPS // 2
    assert failed.reason.startswith(f"hidden.bias: {first['quantity']} ")
    assert "times the calibrated median between step" in failed.reason


@given(factor=st.floats(3.0, 100.0), is_up=st.booleans(), tensor=st.integers(0, 3))
def test_movement_by_a_factor_is_seen_on_that_tensor(
    factor: float, is_up: bool, tensor: int
) -> None:
    change = _scaled("movement", factor if is_up else 1.0 / factor, tensor)
    failed = learning_in_band(CONFIG, change(run(3000)), FOUND)
    assert failed.status == "fail"
    assert failed.evidence["culprits"][0] == LABELS[tensor]


def test_bands_are_json_with_a_margin_for_each_side() -> None:
    assert set(FOUND["bands"]) == {
        LOSS, HELD_OUT_LOSS, HELD_OUT_ACCURACY, GRADIENT, MOVEMENT, PER_GRADIENT, DESCENT
    }  # fmt: skip
    for each in FOUND["bands"].values():
        assert set(each["margin"]) == {"up", "down"}
        assert min(each["margin"].values()) > 1.0
    # Learning late is bad luck that few seeds have.
    assert FOUND["bands"][LOSS]["margin"]["up"] >= 5.0


# --- when nothing is judged ---------------------------------------------------------------


def _start(record: RunRecord, factor: float) -> RunRecord:
    return replace(record, initial_norm=factor * record.initial_norm)


@pytest.mark.parametrize(
    ("found", "record", "reason"),
    [
        (None, run(0), "not calibrated: "),
        (FOUND | {"config": "0" * 64}, run(0), "the calibration on record is stale: "),
        ({"config": CONFIG.digest}, run(0), "the calibration on record is of an older harness"),
        (FOUND | {"bands": {}, "seeds": 20}, run(0), "the calibration is of 20 seeds, too few"),
        (FOUND, _start(run(0), 2.0), "hidden.weight, hidden.bias, output.weight, output.bias "
         "start elsewhere than the calibrated runs (hidden.weight: norm "),
        (FOUND, _start(run(0), 0.0), "hidden.weight, hidden.bias, output.weight, output.bias "
         "start elsewhere"),
        (FOUND | {"bands": {LOSS: {"steps": [1, 2], "curves": {}}}}, run(0),
         "none of its curves is on record"),
        (FOUND | {"steps": 0}, replace(run(0), loss=np.zeros(0)), "no step was taken"),
    ],
)  # fmt: skip
def test_nothing_is_judged_that_cannot_be_compared(
    found: dict[str, Any] | None, record: RunRecord, reason: str
) -> None:
    skipped = learning_in_band(CONFIG, record, found)
    assert skipped.status == "skip"
    assert skipped.reason.startswith(reason)


def test_stale_is_said_even_of_a_run_that_would_fail() -> None:
    slow = replace(run(0), loss=np.ones(STEPS))
    assert learning_in_band(CONFIG, slow, FOUND | {"config": "0" * 64}).status == "skip"


@pytest.mark.parametrize(
    ("planned", "last", "culprit"),
    [(120, np.nan, "loss"), (120, 0.5, "the training loop"), (60, 0.5, "the batches")],
)
def test_run_of_another_length_is_no_healthy_one(planned: int, last: float, culprit: str) -> None:
    short = replace(run(0, 60), planned_steps=planned)
    short.loss[-1] = last
    failed = learning_in_band(CONFIG, short, FOUND)
    assert failed.status == "fail"
    assert failed.reason.startswith("60 steps were taken, 120 on record")
    assert ("stopped being finite" in failed.reason) == (culprit == "loss")
    assert failed.evidence["culprits"][0] == culprit


# --- where tensors start ------------------------------------------------------------------


@given(
    norms=st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=5),
    chosen=st.integers(0, 4),
)
def test_norm_that_was_measured_is_not_elsewhere(norms: list[float], chosen: int) -> None:
    """However the range was rounded when it was put on record: a constant is its own range."""
    records = [replace(healthy(2), initial_norm=np.full(4, norm)) for norm in norms]
    found = {"initial_norm": initial_norms(records)}
    assert starting_elsewhere(records[chosen % len(records)], found) == {}


@pytest.mark.parametrize("factor", [0.5, 0.9, 1.1, 2.0])
def test_constant_that_starts_otherwise_is_elsewhere(factor: float) -> None:
    """Gains of 32 ones have the norm sqrt(32) = 5.656854."""
    one = replace(healthy(2), initial_norm=np.full(4, 32.0**0.5))
    found = {"initial_norm": initial_norms([one])}
    assert starting_elsewhere(one, found) == {}
    assert len(starting_elsewhere(_start(one, factor), found)) == 4


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
