"""Steps of the real training: what a wrong loop or optimizer does to tensors, and who is named."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness import evaluation, training
from harness.autograd import nn, optim
from harness.autograd.optim import SGD, Optimizer
from harness.config import MilestoneConfig
from harness.probes.runs.short_run import changed
from harness.training import Learner
from tests.broken_loops import LOOP, around_step, measured, small, wrong
from tests.examples import LABELS


@given(left_out=st.sets(st.integers(0, 5), min_size=1, max_size=5))
def test_steps_that_are_left_out_are_counted(left_out: set[int]) -> None:
    taken = [0]

    def step(self: Learner, done: float, right: Callable[[Learner, float], None]) -> None:
        if taken[0] not in left_out:
            right(self, done)
        taken[0] += 1

    first = wrong(measured(small(momentum=0.5), around_step(step)))[0]
    last = sorted(left_out)[-1] + 1
    assert first.subject == LOOP
    assert "as if step" in first.what
    assert f"{last} were left out" in first.what


@given(factor=st.floats(0.0, 3.0), tensor=st.integers(0, 3))
def test_random_factor_on_one_change_is_seen(factor: float, tensor: int) -> None:
    assume(abs(factor - 1.0) > 0.01)

    def step(self: Learner, done: float, right: Callable[[Learner, float], None]) -> None:
        parameter = self._parameters[tensor]
        before = parameter.data.copy()
        right(self, done)
        parameter.data[...] = before + np.float32(factor) * (parameter.data - before)

    first = wrong(measured(small(lr=0.5), around_step(step)))[0]
    label = LABELS[tensor]
    assert first.subject in (LOOP, label)
    assert label in (first.subject, first.what.split("change of ")[-1].split(" ")[0])


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_tensor_that_is_not_in_the_optimizer_is_named(name: str) -> None:
    right = Optimizer.__init__

    def init(self: Optimizer, parameters: Any, lr: float) -> None:
        right(self, list(parameters)[:-1], lr)

    found = small(optimizer=name, lr=0.01)
    rows = wrong(measured(found, lambda ground: ground.patch(Optimizer, "__init__", init)))
    assert rows[0].subject == "output.bias"
    assert "change, as if there were none" in rows[0].what
    assert rows[1].subject == name


def test_tensor_that_moves_twice_is_named() -> None:
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        right(self)
        group = self._groups[0]
        last = slice(group.flat.starts[-1], group.flat.ends[-1])
        group.steps[-1] += 1
        moments = [moment[last] for moment in group.moments]
        self._update(group.flat.data[last], group.flat.grad[last], moments, group.steps[-1])

    rows = wrong(
        measured(small(optimizer="Adam", lr=0.01), lambda g: g.patch(Optimizer, "step", step))
    )
    assert rows[0].subject == "output.bias"
    assert "as if it was done twice" in rows[0].what


@given(factor=st.integers(1, 3000).map(lambda hundredths: hundredths / 100))
def test_another_learning_rate_is_told_by_its_factor(factor: float) -> None:
    assume(factor not in (1.0, 2.0))  # two steps of plain SGD look like one that is twice as long
    right = Learner.__init__

    def init(self: Learner, found: MilestoneConfig, model: Any) -> None:
        right(self, changed(found, lr=factor * found.training.lr), model)

    rows = wrong(measured(small(lr=0.01), lambda g: g.patch(Learner, "__init__", init)))
    assert [rows[0].subject, rows[1].subject] == [LOOP, "learning rate"]
    told = re.search(r"as if the learning rate were ([\d.e+-]+) times the declared", rows[0].what)
    assert told is not None
    assert float(told[1]) == pytest.approx(factor, rel=0.01)


def test_clipping_that_is_left_out_is_seen_although_the_milestone_does_not_clip() -> None:
    def no_clip(parameters: Any, max_norm: float) -> float:
        return 0.0

    rows = wrong(measured(small(), lambda g: g.replace(optim.clip_grad_norm, no_clip)))
    assert rows[0].subject == "clip_grad_norm"
    assert "as if they were not clipped" in rows[0].what


def test_wrong_rule_is_the_optimizers_and_a_forgotten_option_the_loops() -> None:
    def update(self: SGD, data: Any, grad: Any, moments: Any, count: int) -> None:
        data -= self.lr * (grad + 2.0 * self.weight_decay * data)

    rule = measured(small(weight_decay=0.5), lambda g: g.patch(SGD, "_update", update))
    right = Learner.__init__

    def init(self: Learner, found: MilestoneConfig, model: Any) -> None:
        right(self, changed(found, weight_decay=None), model)

    option = measured(small(weight_decay=0.5), lambda g: g.patch(Learner, "__init__", init))
    assert wrong(rule)[0].subject == "SGD"
    assert wrong(option)[0].subject == LOOP
    assert "as if weight_decay were not given" in wrong(option)[0].what


def test_evaluation_that_moves_weights_is_named() -> None:
    right = evaluation.Evaluation._logits

    def logits(self: Any, model: Any, rows: np.ndarray) -> np.ndarray:
        for parameter in model.parameters.values():
            parameter.data[...] *= 1.5
        return right(self, model, rows)

    rows = measured(small(), lambda g: g.patch(evaluation.Evaluation, "_logits", logits))
    assert wrong(rows)[0].subject == "the evaluation"


def test_first_step_that_is_taken_twice_is_the_loops_not_the_evaluations() -> None:
    right, calls = Learner.backward, [0]

    def backward(self: Learner, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        calls[0] += 1
        if calls[0] == 1:
            right(self, x, y)
            self.step(0.0)
        return right(self, x, y)

    rows = wrong(measured(small(), lambda g: g.patch(Learner, "backward", backward)))
    assert {row.subject for row in rows} == {LOOP}


def test_steps_that_are_not_taken_are_counted() -> None:
    right, batches = training.train, training.batches

    def train(*args: Any) -> Any:
        training.batches = lambda *given: iter(list(batches(*given))[:-1])
        try:
            return right(*args)
        finally:
            training.batches = batches

    first = wrong(measured(small(), lambda g: g.patch(training, "train", train)))[0]
    assert (first.subject, first.what, first.got, first.expected) == (LOOP, "steps", 5.0, 6.0)


def test_layer_that_gets_other_tensors_than_the_optimizer_is_named() -> None:
    right = Learner.__init__

    def init(self: Learner, found: MilestoneConfig, model: Any) -> None:
        right(self, found, model)
        layer = model.nodes[0].layer
        layer.weight = nn.Parameter(layer.weight.data.copy())

    first = wrong(measured(small(), lambda g: g.patch(Learner, "__init__", init)))[0]
    assert (first.subject, first.what) == ("hidden.weight", "gradient, none arrived")


def test_step_to_no_number_is_seen() -> None:
    def step(self: Learner, done: float, right: Callable[[Learner, float], None]) -> None:
        right(self, done)
        self._parameters[-1].data[...] = np.nan

    first = wrong(measured(small(), around_step(step)))[0]
    assert (first.subject, first.what[:32]) == (LOOP, "change of output.bias in step 1")


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
