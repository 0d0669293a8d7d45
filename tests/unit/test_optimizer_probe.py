"""Optimizers against their rules: right readings pass, any other step is seen."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.autograd import Tensor, nn, optim
from harness.backends import load
from harness.backends.base import Backend
from harness.checks.measured import WIDE
from harness.checks.optimizers import optimizers_follow_their_rule
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.probes.engine import optimizer_rules
from harness.probes.runs.stepping import Gradients, run
from harness.record import EngineRecord
from tests.specimens import culprits, swapped, wrong

CLIP = "clip_grad_norm"


def measured(backend: Backend) -> list[Measurement]:
    return list(optimizer_rules.measure(backend))


def of_optimizer(kind: type[optim.Optimizer], name: str) -> list[Measurement]:
    """The rows of an engine that offers no other."""
    backend = Ground(load("numpy")).backend
    backend.namespace = replace(backend.namespace, optimizers={name: kind})
    return measured(backend)


# --- healthy ----------------------------------------------------------------------------------


def test_right_engine_follows_its_rules_exactly() -> None:
    rows = measured(load("numpy"))
    assert max(row.error for row in rows) < WIDE / 1e3
    assert {row.subject for row in rows} == {"SGD", "Adam", "AdamW", "Linear", CLIP}


class InsideRate(optim.SGD):
    """The learning rate is a part of the velocity, as in the paper."""

    def _update(
        self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
    ) -> None:
        g = grad + self.weight_decay * data
        if self.momentum:
            (velocity,) = moments
            velocity *= self.momentum
            velocity += self.lr * g
            g = self.lr * g + self.momentum * velocity if self.nesterov else velocity
        else:
            g = self.lr * g
        data -= g


class OneCount(optim.Adam):
    """One count of steps for all tensors."""

    def step(self) -> None:
        super().step()
        for group in self._groups:
            group.steps = [max(group.steps)] * len(group.steps)


@pytest.mark.parametrize(("kind", "name"), [(InsideRate, "SGD"), (OneCount, "Adam")])
def test_other_right_reading_is_not_accused(kind: type[optim.Optimizer], name: str) -> None:
    assert wrong(of_optimizer(kind, name)) == []


class SignSGD(optim.SGD):
    """An optimizer of somebody's own: only the sign of a gradient counts."""

    def _update(
        self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
    ) -> None:
        data -= self.lr * np.sign(grad)


class Restless(SignSGD):
    """It moves tensors that have no gradient as well."""

    def step(self) -> None:
        super().step()
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.data = parameter.data - 1e-3


def test_optimizer_without_a_known_rule_is_held_to_its_manners() -> None:
    assert wrong(of_optimizer(SignSGD, "SignSGD")) == []
    rows = of_optimizer(Restless, "SignSGD")
    assert culprits(rows) == ["SignSGD"]
    assert wrong(rows)[0].what == "some gradients missing: change of tensors without one"


# --- wrong rules ------------------------------------------------------------------------------


@given(st.floats(-2.0, 2.0), st.integers(1, 6))
def test_any_step_of_another_length_is_seen(factor: float, which: int) -> None:
    assume(abs(factor - 1.0) > 1e-3)

    class Stumbling(optim.SGD):
        """One of its steps is off by a factor."""

        def _update(
            self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
        ) -> None:
            scaled = grad * factor if count == which else grad
            data -= self.lr * (scaled + self.weight_decay * data)

    rows = [row for row in of_optimizer(Stumbling, "SGD") if row.what.startswith("no options")]
    assert {row.subject for row in rows} == {"SGD"}
    assert [f"in step {which}" in row.what for row in wrong(rows)] == [True]


Update = Callable[[optim.Adam, np.ndarray, list[np.ndarray], int], np.ndarray]


def adam_by(change: Update) -> type[optim.Adam]:
    """Adam without weight decay, with another last line."""

    class Other(optim.Adam):
        def _update(
            self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
        ) -> None:
            mean, square = moments
            mean *= self.betas[0]
            mean += (1.0 - self.betas[0]) * grad
            square *= self.betas[1]
            square += (1.0 - self.betas[1]) * grad * grad
            data -= self.lr * change(self, grad, moments, count)

    return Other


def corrected(adam: optim.Adam, moments: list[np.ndarray], count: int) -> tuple[np.ndarray, ...]:
    (mean, square), (beta1, beta2) = moments, adam.betas
    return mean / (1.0 - beta1**count), square / (1.0 - beta2**count)


def right(adam: optim.Adam, _: np.ndarray, moments: list[np.ndarray], count: int) -> np.ndarray:
    mean, square = corrected(adam, moments, count)
    return np.asarray(mean / (np.sqrt(square) + adam.eps))


def eps_inside(
    adam: optim.Adam, _: np.ndarray, moments: list[np.ndarray], count: int
) -> np.ndarray:
    mean, square = corrected(adam, moments, count)
    return np.asarray(mean / np.sqrt(square + adam.eps))


def uncorrected(
    adam: optim.Adam, _: np.ndarray, moments: list[np.ndarray], count: int
) -> np.ndarray:
    mean, square = moments
    return np.asarray(mean / (np.sqrt(square) + adam.eps))


def late(adam: optim.Adam, g: np.ndarray, moments: list[np.ndarray], count: int) -> np.ndarray:
    return right(adam, g, moments, count + 1)


def without_root(
    adam: optim.Adam, _: np.ndarray, moments: list[np.ndarray], count: int
) -> np.ndarray:
    mean, square = corrected(adam, moments, count)
    return np.asarray(mean / (square + adam.eps))


def no_mean(adam: optim.Adam, g: np.ndarray, moments: list[np.ndarray], count: int) -> np.ndarray:
    _, square = corrected(adam, moments, count)
    return np.asarray(g / (np.sqrt(square) + adam.eps))


@pytest.mark.parametrize(
    ("change", "is_right"),
    [(right, True), (eps_inside, False), (uncorrected, False), (late, False),
     (without_root, False), (no_mean, False)],
)  # fmt: skip
def test_adam_with_another_last_line_is_seen(change: Update, is_right: bool) -> None:
    rows = of_optimizer(adam_by(change), "Adam")
    plain = [row for row in rows if row.what.startswith("no options")]
    assert [row.subject for row in wrong(plain)] == ([] if is_right else ["Adam"])


class MixedUp(optim.SGD):
    """Tensors of one shape share one velocity."""

    def step(self) -> None:
        for group in self._groups:
            for velocity in group.moments if self.momentum else ():
                places = dict[tuple[int, ...], slice]()
                for i, parameter in enumerate(group.flat.parameters):
                    here = slice(group.flat.starts[i], group.flat.ends[i])
                    velocity[here] = velocity[places.setdefault(parameter.shape, here)]
        super().step()


def test_tensors_of_one_shape_that_are_mixed_up_are_seen() -> None:
    rows = of_optimizer(MixedUp, "SGD")
    assert culprits(rows) == ["SGD"]
    words = ("momentum", "missing", "beside", "zero_grad")
    assert all(any(word in row.what for word in words) for row in wrong(rows))


class Shared(optim.SGD):
    """All optimizers of as many numbers have one memory."""

    memory: ClassVar[dict[tuple[int, str], list[np.ndarray]]] = {}

    def __init__(self, parameters: Sequence[Tensor], lr: float, momentum: float = 0.0) -> None:
        super().__init__(parameters, lr, momentum)
        for group in self._groups:
            key = group.flat.data.size, group.flat.data.dtype.str
            group.moments = self.memory.setdefault(key, group.moments)


def test_optimizers_that_share_their_memory_are_seen() -> None:
    rows = wrong(of_optimizer(Shared, "SGD"))
    assert any(row.what.startswith("beside another optimizer") for row in rows)


class AtRest(optim.Adam):
    """What has no gradient is stepped as if it had one of zeros."""

    def step(self) -> None:
        for parameter in self.parameters:
            if parameter.grad is None:
                parameter.grad = np.zeros_like(parameter.data)
        super().step()


def test_step_without_a_gradient_is_seen() -> None:
    (row,) = (row for row in wrong(of_optimizer(AtRest, "Adam")) if "missing" in row.what)
    assert row.subject == "Adam"


class Copies(optim.SGD):
    """It steps its own copies; the layer never hears of it."""

    def __init__(self, parameters: Sequence[Tensor], lr: float = 1e-3) -> None:
        self.real = list(parameters)
        super().__init__([Tensor(each.data.copy(), requires_grad=True) for each in self.real], lr)

    def step(self) -> None:
        for mine, real in zip(self.parameters, self.real, strict=True):
            mine.grad = real.grad
        super().step()


def test_optimizer_that_moves_nothing_is_seen() -> None:
    rows = of_optimizer(Copies, "SGD")
    assert "change of a layer's parameters in two steps" in [row.what for row in wrong(rows)]
    assert culprits(rows) == ["SGD"]


class Caching(nn.Linear):
    """It computes with the weights that it saw first."""

    seen: np.ndarray | None = None

    def forward(self, x: Tensor) -> Tensor:
        self.seen = self.weight.data.copy() if self.seen is None else self.seen
        assert self.bias is not None
        return x @ Tensor(self.seen.T) + self.bias


def test_layer_that_does_not_feel_a_step_is_blamed() -> None:
    with swapped("layers", "Linear", Caching) as backend:
        assert culprits(measured(backend)) == ["Linear"]


class EverySecond(optim.SGD):
    """zero_grad works every second time."""

    calls = 0

    def zero_grad(self) -> None:
        self.calls += 1
        if self.calls % 2:
            super().zero_grad()


def test_zero_grad_that_leaves_something_is_seen() -> None:
    (row,) = wrong(of_optimizer(EverySecond, "SGD"))
    assert (row.subject, row.what) == ("SGD", "gradients left by zero_grad, call 2")


class FromItsOwn(optim.SGD):
    """It goes on from the numbers that it left, whatever has been put there since."""

    left: list[np.ndarray] | None = None

    def step(self) -> None:
        for parameter, array in zip(self.parameters, self.left or (), strict=False):
            parameter.data = array
        super().step()
        self.left = [parameter.data.copy() for parameter in self.parameters]


def test_step_from_other_numbers_than_those_that_are_there_is_seen() -> None:
    what = [row.what for row in wrong(of_optimizer(FromItsOwn, "SGD"))]
    assert what == ["change of tensors that were given other numbers"]


class Raising(optim.SGD):
    def step(self) -> None:
        raise RuntimeError("cannot step")


def test_optimizer_that_raises_is_a_row_and_stops_no_other() -> None:
    with swapped("optimizers", "SGD", Raising) as backend:
        rows = measured(backend)
    (row,) = wrong(rows)
    assert (row.subject, row.what) == ("SGD", "a step: RuntimeError: cannot step")
    assert row.place.startswith("tests/unit/test_optimizer_probe.py:")
    assert {"Adam", "AdamW", CLIP} <= {row.subject for row in rows}


# --- the recorder -----------------------------------------------------------------------------


def test_run_tells_what_every_step_added_and_who_had_a_gradient() -> None:
    backend = load("numpy")
    parameters = [backend.leaf(np.array([1.0, 2.0])), backend.leaf(np.array(3.0))]
    optimizer = backend.namespace.optimizers["SGD"](parameters, lr=1.0)
    gradients: list[Gradients] = [
        [np.array([1.0, 1.0]), None],
        [np.array([0.0, 2.0]), np.array(4.0)],
    ]
    steps = run(backend, optimizer, parameters, gradients, [1.0, 0.5])
    assert steps.changes.tolist() == [[-1.0, -1.0, 0.0], [0.0, -1.0, -2.0]]
    assert steps.arrived.tolist() == [[True, False], [True, True]]
    assert steps.slices == [slice(0, 2), slice(2, 3)]


# --- the check --------------------------------------------------------------------------------


def test_check_passes_on_right_steps_and_names_the_optimizer() -> None:
    row = Measurement("Adam", "no options, in float64", 0.0, 0.0, 0.0)
    record = EngineRecord("numpy")
    record.probed.measured["optimizer_rules"] = [row]
    passed = optimizers_follow_their_rule(record)
    assert passed.status == "pass"
    assert passed.reason == "1 runs of optimizers and of clipping are what their rules say"
    off = replace(row, what=f"{row.what}: change in step 2", got=0.2, expected=0.1, error=1.0)
    record.probed.measured["optimizer_rules"] = [row, off]
    failed = optimizers_follow_their_rule(record)
    assert failed.reason == "Adam: no options, in float64: change in step 2: got 0.2, expected 0.1"
    assert failed.evidence["culprits"] == ["Adam"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
