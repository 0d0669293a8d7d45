"""Steps of the real training: silent on right loops, and wrong gradients are told and named."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness import config_files, evaluation
from harness.autograd import nn
from harness.autograd.optim import SGD, Optimizer
from harness.config import LayerSpec, MilestoneConfig
from harness.faults.ground import Ground
from harness.training import Learner
from tests.broken_loops import LOOP, Plant, after_backward, around_step, measured, small, wrong
from tests.examples import LABELS, NAMES, small_config

# --- right loops ------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("name", NAMES)
def test_right_training_agrees_up_to_rounding(name: str, seed: int) -> None:
    rows = measured(config_files.load(config_files.find(name)), seed=seed)
    assert max(row.error for row in rows) == 0.0
    assert any("clipped to" in row.what for row in rows)


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "Adam", "lr": 0.01, "betas": [0.5, 0.9], "eps": 1e-4},
        {"optimizer": "AdamW", "lr": 0.01, "lr_decay": "linear"},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.3, "clip_grad_norm": 0.1},
        {"batch_size": 1, "lr": 1e-4},
        {"clip_grad_norm": 100.0, "lr_decay": "linear"},
    ],
)
def test_right_training_agrees_under_other_settings(settings: dict[str, Any]) -> None:
    assert wrong(measured(small(**settings))) == []


def test_steps_that_are_not_finite_end_the_comparison() -> None:
    rows = measured(small(lr=1e38))
    assert wrong(rows) == []


class Inside(SGD):
    """Momentum with the learning rate inside the velocity."""

    def _update(self, data: Any, grad: Any, moments: Any, count: int) -> None:
        moments[0][...] = self.momentum * moments[0] + self.lr * (grad + self.weight_decay * data)
        data -= moments[0]


def test_other_readings_of_a_rule_are_right_too() -> None:
    found = small(momentum=0.9, lr_decay="linear")
    assert wrong(measured(found, lambda ground: ground.swap("optimizers", "SGD", Inside))) == []


class Signed(Optimizer):
    """A rule that nobody has written down here: the sign of the gradient."""

    def _update(self, data: Any, grad: Any, moments: Any, count: int) -> None:
        data -= self.lr * np.sign(grad)


def step_twice(self: Learner, done: float, right: Callable[[Learner, float], None]) -> None:
    right(self, done)
    right(self, done)


def test_optimizer_without_a_rule_is_held_against_itself() -> None:
    found = small(optimizer="Signed", lr=0.01)

    def twice(ground: Ground) -> None:
        ground.swap("optimizers", "Signed", Signed)
        around_step(step_twice)(ground)

    right = measured(found, lambda ground: ground.swap("optimizers", "Signed", Signed))
    assert wrong(right) == []
    assert {row.subject for row in wrong(measured(found, twice))} == {LOOP}


# --- models that draw -------------------------------------------------------------------------


def with_dropout(kind: type[nn.Dropout]) -> tuple[MilestoneConfig, Plant]:
    found = small_config()
    layers = dict(found.layers) | {"tanh": LayerSpec(type="Dropout")}

    def plant(ground: Ground) -> None:
        ground.swap("layers", "Dropout", kind)

    return found.model_copy(update={"layers": layers}), plant


class Entropic(nn.Dropout):
    """Draws from nowhere that anybody knows."""

    def __init__(self, p: float = 0.5, rng: np.random.Generator | None = None) -> None:
        super().__init__(p, None)


def test_dropout_draws_what_its_twin_draws() -> None:
    assert wrong(measured(*with_dropout(nn.Dropout))) == []


def test_draws_that_cannot_be_repeated_are_left_out_and_said_to_be() -> None:
    rows = measured(*with_dropout(Entropic))
    assert wrong(rows) == []
    assert any("not compared: it draws otherwise every time" in row.what for row in rows)


def test_loop_that_goes_on_in_evaluation_mode_is_seen() -> None:
    found, plant = with_dropout(nn.Dropout)
    right = evaluation.Evaluation.on_the_way

    def on_the_way(self: Any, model: Any, step: int, record: Any) -> None:
        right(self, model, step, record)
        model.set_training(False)

    def forgetful(ground: Ground) -> None:
        plant(ground)
        ground.patch(evaluation.Evaluation, "on_the_way", on_the_way)

    assert wrong(measured(found, forgetful))[0].subject == LOOP


# --- wrong gradients --------------------------------------------------------------------------


@given(
    tensor=st.integers(0, 3),
    factor=st.integers(-400, 400).map(lambda hundredths: hundredths / 100),
)
def test_random_factor_on_one_gradient_is_seen_and_told(tensor: int, factor: float) -> None:
    assume(factor != 1.0)

    def scale(learner: Learner, step: int) -> None:
        parameter = learner._parameters[tensor]
        assert parameter.grad is not None
        parameter.grad = np.float32(factor) * parameter.grad

    first = wrong(measured(small(), after_backward(scale)))[0]
    assert first.subject == LOOP
    assert f"gradient of {LABELS[tensor]} in step 1" in first.what
    assert f"as if it were {factor:.3g} times as large" in first.what


@given(share=st.integers(5, 100).map(lambda hundredths: hundredths / 100))
def test_gradient_that_stays_is_told_with_its_share(share: float) -> None:
    kept: dict[tuple[int, int], np.ndarray] = {}

    def stays(learner: Learner, step: int) -> None:
        for i, parameter in enumerate(learner._parameters):
            before = kept.get((id(learner), i), np.float32(0.0))
            assert parameter.grad is not None
            parameter.grad = parameter.grad + np.float32(share) * before
            kept[id(learner), i] = parameter.grad.copy()

    first = wrong(measured(small(), after_backward(stays)))[0]
    times = "" if share == 1.0 else f"{share:.3g} times "
    assert first.subject == LOOP
    assert f"in step 2, as if {times}the gradients of the step before were added" in first.what


def swap_gradients(learner: Learner, one: int, other: int) -> None:
    first, second = learner._parameters[one], learner._parameters[other]
    assert first.grad is not None
    assert second.grad is not None
    first.grad, second.grad = second.grad.copy(), first.grad.copy()


def deep() -> MilestoneConfig:
    """Four layers, three of them of one shape."""
    found = small_config()
    first, tanh, last = found.layers.values()
    square = LayerSpec.model_validate({"type": "Linear", "in_features": 4, "out_features": 4})
    middle = {f"middle{i}": square for i in "123"}
    layers = {"hidden": first, **middle, "tanh": tanh, "output": last}
    return found.model_copy(update={"layers": layers})


@given(pair=st.lists(st.sampled_from([2, 4, 6]), min_size=2, max_size=2, unique=True))
def test_swapped_gradients_are_told_by_name(pair: list[int]) -> None:
    rows = measured(deep(), after_backward(lambda learner, step: swap_gradients(learner, *pair)))
    first = wrong(rows)[0]
    names = [f"middle{position // 2}.weight" for position in sorted(pair)]
    assert first.subject == LOOP
    assert f"as if {names[0]} had that of {names[1]}" in first.what


def test_gradient_of_another_batch_is_seen() -> None:
    right = Learner.backward

    def backward(self: Learner, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return right(self, x, np.roll(y, 1, axis=0))

    rows = measured(small(), lambda ground: ground.patch(Learner, "backward", backward))
    assert wrong(rows)[0].subject == LOOP


@pytest.mark.parametrize("at", [0, 3])
def test_gradient_that_is_no_number_is_seen(at: int) -> None:
    def spoil(learner: Learner, step: int) -> None:
        if step == at:
            learner._parameters[1].grad = np.full(4, np.nan, np.float32)

    first = wrong(measured(small(), after_backward(spoil)))[0]
    assert first.subject == LOOP
    assert f"gradient of hidden.bias in step {at + 1}" in first.what


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
