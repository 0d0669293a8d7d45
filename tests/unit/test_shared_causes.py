"""What is wrong with many ops at once is the backward pass, unless they share something else."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from harness.autograd import Tensor, kernels
from harness.faults.backward_pass import deliver_by, hand_over
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.trials.shared_causes import Look, of_each_property, of_each_shape, of_led
from tests.small_engines import NUMPY, Array, measured, wrong

FIVE = ("exp", "neg", "relu", "add", "sub")
UNARY = ("exp", "neg", "relu")


def look(name: str, error: float, got: float = 1.0, what: str = "gradient") -> Look:
    row = Measurement(name, what, got, 1.0, error)
    return Look(name, (3,), [row], is_unary=name in UNARY)


def test_five_ops_that_are_wrong_at_one_shape_are_the_backward_pass() -> None:
    (row,) = of_each_shape([look(name, 1.0) for name in FIVE], 0.1)
    assert row.subject == "backward pass"
    assert row.what == "gradients of all outputs of shape (3,): exp: gradient"


def test_four_ops_are_not_enough_nor_are_five_that_share_a_helper() -> None:
    assert list(of_each_shape([look(name, 1.0) for name in FIVE[1:]], 0.1)) == []
    broadcast = [look(name, 1.0) for name in ("add", "sub", "mul", "div", "pow", "exp")]
    assert list(of_each_shape(broadcast, 0.1)) == []


def test_one_right_op_acquits_the_backward_pass_unless_its_gradient_is_zero() -> None:
    wrong_ones = [look(name, 1.0) for name in FIVE]
    assert list(of_each_shape([*wrong_ones, look("tanh", 0.0)], 0.1)) == []
    assert len(list(of_each_shape([*wrong_ones, look("tanh", 0.0, got=0.0)], 0.1))) == 1


def test_five_ops_with_the_same_bad_manners_are_the_backward_pass() -> None:
    looks = [look(name, 1.0, what="memory shared by x and y") for name in FIVE]
    assert len(list(of_each_property(["memory shared"], looks, 0.1))) == 1
    assert list(of_each_property(["another thing"], looks, 0.1)) == []


def test_what_is_right_by_itself_is_blamed_on_what_hands_on() -> None:
    looks = [Look(name, (3,), look(name, 1.0).rows, is_led=True) for name in FIVE]
    assert [row.subject for row in of_led(looks, 0.1)] == ["backward pass"]
    assert list(of_led(looks[1:], 0.1)) == []


# --- on an engine -------------------------------------------------------------------------------


def _one_is_sent(self: Tensor, gradient: Any = None) -> Array:
    is_one = gradient is None or self.data.size == 1
    return np.ones_like(self.data) if is_one else np.asarray(gradient, dtype=self.data.dtype)


def test_what_is_wrong_with_all_outputs_of_one_shape_is_the_backward_pass() -> None:
    ground = Ground(NUMPY)
    ground.patch(Tensor, "_output_gradient", _one_is_sent)
    try:
        assert wrong(measured("op_gradients", NUMPY))[0] == "backward pass"
    finally:
        ground.restore()


def test_what_is_wrong_behind_other_ops_is_the_backward_pass() -> None:
    def clipped(source: Tensor, grad: Array, gradients: dict[int, Array]) -> None:
        inner = source._grad_fn is not None
        hand_over(source, np.clip(grad, -0.5, 0.5) if inner else grad, gradients)

    ground = Ground(NUMPY)
    deliver_by(ground, clipped)
    try:
        assert wrong(measured("op_gradients", ground.backend))[0] == "backward pass"
    finally:
        ground.restore()


def test_wrong_helper_of_ops_that_broadcast_is_not_the_backward_pass() -> None:
    def doubled(grad: Array, shape: tuple[int, ...]) -> Array:
        return right(grad, shape) if grad.shape == shape else 2.0 * right(grad, shape)

    right, ground = kernels.unbroadcast, Ground(NUMPY)
    ground.replace(kernels.unbroadcast, doubled)
    try:
        named = wrong(measured("op_gradients", NUMPY))
    finally:
        ground.restore()
    assert {"add", "sub", "mul", "div", "pow"} <= set(named)
    assert "backward pass" not in named


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
