"""Loss and accuracy against closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from harness.metrics import (
    LOSSES,
    above,
    accuracy,
    binary_cross_entropy_with_logits,
    cross_entropy,
    largest_logit,
    mean_squared_error,
    targets_for,
)


@pytest.mark.parametrize("classes", [2, 3, 10, 1000])
def test_cross_entropy_of_equal_logits_is_the_log_of_their_number(classes: int) -> None:
    logits = np.full((4, classes), 3.7, dtype=np.float32)
    assert cross_entropy(logits, np.array([0, 1, 0, 1])) == pytest.approx(math.log(classes))


def test_cross_entropy_by_hand() -> None:
    # softmax([0, log 3]) = [1/4, 3/4]
    logits = np.array([[0.0, math.log(3.0)]])
    assert cross_entropy(logits, np.array([0])) == pytest.approx(math.log(4.0))
    assert cross_entropy(logits, np.array([1])) == pytest.approx(math.log(4.0 / 3.0))
    both = cross_entropy(np.repeat(logits, 2, axis=0), np.array([0, 1]))
    assert both == pytest.approx((math.log(4.0) + math.log(4.0 / 3.0)) / 2)


def test_binary_cross_entropy_by_hand() -> None:
    # sigmoid(log 3) = 3/4
    logits = np.array([[math.log(3.0)], [math.log(3.0)]])
    loss = binary_cross_entropy_with_logits(logits, np.array([[1.0], [0.0]]))
    assert loss == pytest.approx((math.log(4.0 / 3.0) + math.log(4.0)) / 2)
    assert binary_cross_entropy_with_logits(
        np.zeros((3, 1)), np.array([[0.0], [1.0], [1.0]])
    ) == pytest.approx(math.log(2.0))


def test_mean_squared_error_by_hand() -> None:
    assert mean_squared_error(np.array([[1.0], [4.0]]), np.array([[0.0], [2.0]])) == 2.5


@pytest.mark.parametrize("name", LOSSES)
def test_blocks_of_batches_give_one_loss_a_batch(name: str, rng: np.random.Generator) -> None:
    logits = rng.standard_normal((7, 4, 3))
    targets = rng.integers(0, 2, (7, 4) if name == "CrossEntropyLoss" else (7, 4, 3))
    loss = LOSSES[name][0]
    one_by_one = [float(loss(*batch)) for batch in zip(logits, targets, strict=True)]
    np.testing.assert_allclose(loss(logits, targets), one_by_one, rtol=1e-12)


def test_losses_are_stable_at_large_logits() -> None:
    far = np.array([[1e4, -1e4]], dtype=np.float32)
    assert cross_entropy(far, np.array([0])) == 0.0
    assert cross_entropy(far, np.array([1])) == 2e4
    assert binary_cross_entropy_with_logits(far, np.array([[1.0, 0.0]])) == 0.0
    assert binary_cross_entropy_with_logits(far, np.array([[0.0, 1.0]])) == 1e4


def test_losses_are_computed_in_float64() -> None:
    # In float32, 1 + exp(-20) is 1 and the loss 0.
    loss = cross_entropy(np.array([[20.0, 0.0]], dtype=np.float32), np.array([0]))
    assert loss == pytest.approx(math.log1p(math.exp(-20.0)), rel=1e-9)
    assert loss.dtype == np.float64


@pytest.mark.parametrize("name", LOSSES)
def test_loss_of_nan_is_nan(name: str) -> None:
    logits = np.array([[np.nan, 0.0]])
    targets = np.array([0]) if name == "CrossEntropyLoss" else np.array([[0.0, 1.0]])
    assert np.isnan(LOSSES[name][0](logits, targets))


@pytest.mark.parametrize("name", LOSSES)
def test_losses_leave_the_logits_alone(name: str, rng: np.random.Generator) -> None:
    logits = rng.standard_normal((4, 2))
    before = logits.copy()
    targets = np.zeros(4, dtype=int) if name == "CrossEntropyLoss" else np.zeros((4, 2))
    LOSSES[name][0](logits, targets)
    np.testing.assert_array_equal(logits, before)


def test_prediction_is_the_largest_logit() -> None:
    assert largest_logit(np.array([[0.0, 2.0, 1.0], [3.0, 2.0, 1.0]])).tolist() == [1, 0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_prediction_that_is_not_finite_is_never_right(bad: float) -> None:
    logits = np.array([[bad, 0.0], [0.0, bad], [bad, bad]])
    for target in (0, 1):
        assert accuracy(largest_logit(logits), np.full(3, target), None) == 0.0
    numbers = np.array([[bad], [bad]])
    for predict in (above(0.0), above(0.5)):
        assert accuracy(predict(numbers), np.array([[0.0], [1.0]]), None) == 0.0


def test_threshold_itself_is_the_class_0() -> None:
    assert above(0.5)(np.array([0.4, 0.5, 0.6])).tolist() == [0, 0, 1]


def test_accuracy_counts_only_what_is_scored() -> None:
    predictions, targets = np.array([[1, 2], [3, 4]]), np.array([[1, 0], [3, 0]])
    assert accuracy(predictions, targets, None) == 0.5
    assert accuracy(predictions, targets, np.array([[True, False], [True, False]])) == 1.0


def test_targets_take_the_shape_and_type_that_the_loss_wants() -> None:
    y = np.array([[0, 1], [1, 0]])
    classes = targets_for("CrossEntropyLoss", np.zeros((4, 3), dtype=np.float32), y)
    assert (classes.shape, classes.dtype.kind) == ((4,), "i")
    numbers = targets_for("BCEWithLogitsLoss", np.zeros((4, 1), dtype=np.float32), y)
    assert (numbers.shape, numbers.dtype) == ((4, 1), np.float32)


@pytest.mark.parametrize("name", LOSSES)
def test_too_few_targets_are_refused(name: str) -> None:
    with pytest.raises(
        ValueError, match=rf"output \(4, 3\) and the targets \(3,\) do not fit {name}"
    ):
        targets_for(name, np.zeros((4, 3)), np.zeros(3, dtype=int))


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
