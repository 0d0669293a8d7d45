"""Losses written out, held against values that everybody knows, and rows made of comparisons."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.metrics import LOSSES
from harness.oracles.losses import GRADIENTS, VALUES
from harness.probes.comparing import compared, missing
from harness.probes.counting import counted


def targets(name: str, logits: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if name == "CrossEntropyLoss":
        return rng.integers(0, logits.shape[1], len(logits))
    return rng.integers(0, 2, logits.shape).astype(np.float64)


@pytest.mark.parametrize(
    ("name", "logits", "y", "value"),
    [
        ("CrossEntropyLoss", np.zeros((3, 10)), np.array([0, 5, 9]), math.log(10)),
        ("CrossEntropyLoss", np.array([[1000.0, 0.0]]), np.array([1]), 1000.0),
        ("CrossEntropyLoss", np.log([[0.2, 0.8]]), np.array([1]), -math.log(0.8)),
        ("BCEWithLogitsLoss", np.zeros((4, 1)), np.ones((4, 1)), math.log(2)),
        ("BCEWithLogitsLoss", np.array([[1000.0], [-1000.0]]), np.array([[0.0], [1.0]]), 1000.0),
        ("MSELoss", np.array([[1.0], [4.0]]), np.array([[0.0], [2.0]]), 2.5),
    ],
)
def test_value_is_the_known_one(name: str, logits: np.ndarray, y: np.ndarray, value: float) -> None:
    assert VALUES[name](logits, y) == pytest.approx(value)


@given(
    name=st.sampled_from(sorted(VALUES)),
    rows=st.integers(1, 6),
    columns=st.integers(1, 5),
    scale=st.floats(0.1, 30.0),
    seed=st.integers(0, 1000),
)
def test_gradient_is_the_slope_of_the_value(
    name: str, rows: int, columns: int, scale: float, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, scale, (rows, columns))
    y, direction, step = targets(name, logits, rng), rng.standard_normal((rows, columns)), 1e-5
    up, down = (VALUES[name](logits + sign * step * direction, y) for sign in (1, -1))
    slope = float((GRADIENTS[name](logits, y) * direction).sum())
    assert (up - down) / (2 * step) == pytest.approx(slope, rel=1e-4, abs=1e-6)


@given(name=st.sampled_from(sorted(VALUES)), scale=st.floats(0.1, 100.0), seed=st.integers(0, 99))
def test_values_are_those_that_training_logs(name: str, scale: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    logits = rng.normal(0.0, scale, (7, 3))
    y = targets(name, logits, rng)
    assert VALUES[name](logits, y) == pytest.approx(float(LOSSES[name][0](logits, y)))


# --- rows ---------------------------------------------------------------------------------


def test_count_is_right_or_wrong() -> None:
    assert counted("data", "rows", 3, 3).error == 0.0
    assert counted("data", "rows", 3, 4).error == math.inf


def test_arrays_are_compared_by_their_norms_and_shown_where_they_differ_most() -> None:
    row = compared("a", "values", np.array([3.0, 4.1]), np.array([3.0, 4.0]))
    assert (row.got, row.expected) == (4.1, 4.0)
    assert row.error == pytest.approx(0.1 / 5.0)


@pytest.mark.parametrize(
    ("got", "expected"),
    [([1.0, np.nan], [1.0, 2.0]), ([1.0], [1.0, 2.0]), ([np.inf], [1.0])],
)
def test_arrays_that_cannot_be_equal_are_infinitely_far_apart(
    got: list[float], expected: list[float]
) -> None:
    assert compared("a", "values", np.array(got), np.array(expected)).error == math.inf


def test_numbers_near_nothing_are_not_held_to_their_own_size() -> None:
    assert compared("a", "values", np.array([2e-9]), np.array([1e-9])).error < 1e-5
    assert compared("a", "values", np.zeros(0), np.zeros(0)).error == 0.0
    assert missing("a", "gradient", 2.0).error == math.inf


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
