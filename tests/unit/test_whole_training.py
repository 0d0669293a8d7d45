"""The whole training against its rule: silent on right ones, and what happens late is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness import config_files, datasets, evaluation, runner, training
from harness.autograd.optim import SGD, Optimizer
from harness.autograd.tensor import Tensor
from harness.backends import load
from harness.backends.base import Backend
from harness.config import LayerSpec, MilestoneConfig, Training
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.oracles import optimizers
from harness.probes.models.specimen import Specimen
from harness.probes.runs import blocks
from harness.probes.runs.declared import declared_options, declared_rates
from harness.probes.runs.short_run import Watched
from harness.probes.runs.stepping import Recorder, take
from harness.probes.runs.whole import WholeTraining
from harness.probes.training import whole_training
from harness.runner import Job, execute
from harness.training import Learner
from harness.watches.gradients import GradientWatch
from tests.broken_loops import LOOP, Plant, after_backward, around_step, nothing, small, wrong
from tests.examples import LABELS

# SMALL takes 80 steps; the probe looks at the gradients of these.
SPOTS = "gradients of steps 1, 25, 44, 64, 80"


def followed(specimen: Specimen) -> WholeTraining:
    kept = Watched(specimen.backend)
    backend = cast(Backend, kept)
    record = training.train(specimen.config, backend, specimen.dataset, specimen.seed)
    return WholeTraining(specimen, record, kept)


def trained(found: MilestoneConfig, plant: Plant = nothing, seed: int = 0) -> WholeTraining:
    ground = Ground(load("numpy"))
    try:
        plant(ground)
        return followed(Specimen(found, ground.backend, datasets.load(found), seed))
    finally:
        ground.restore()


def measured(found: MilestoneConfig, plant: Plant = nothing, seed: int = 0) -> list[Measurement]:
    """What the probe sees of a milestone when this is planted, also while it looks."""
    ground = Ground(load("numpy"))
    try:
        plant(ground)
        whole = followed(Specimen(found, ground.backend, datasets.load(found), seed))
        with np.errstate(all="ignore"):  # as all probes are run
            return list(whole_training.measure(whole))
    finally:
        ground.restore()


# --- right trainings --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"momentum": 0.9, "nesterov": True, "weight_decay": 0.01, "lr_decay": "linear"},
        {"optimizer": "Adam", "lr": 0.01, "betas": [0.5, 0.9], "eps": 1e-4},
        {"optimizer": "AdamW", "lr": 0.01, "lr_decay": "linear", "batch_size": 3},
        {"momentum": 0.5, "clip_grad_norm": 0.1},
        {"epochs": 1, "evaluate_every": 1},
    ],
)
def test_right_training_follows_its_rule_exactly(settings: dict[str, Any]) -> None:
    rows = measured(small(**settings))
    assert max(row.error for row in rows) == 0.0
    assert any(row.what.startswith("gradients of step") for row in rows)


@pytest.mark.parametrize("name", ["perceptron", "xor"])
def test_right_milestone_follows_its_rule_exactly(name: str) -> None:
    found = config_files.load(config_files.find(name))
    assert max(row.error for row in measured(found, seed=3)) == 0.0


def test_training_that_is_lost_is_blamed_for_no_missing_steps() -> None:
    found = small(loss="MSELoss", lr=1e3, epochs=200)
    assert trained(found).record.steps < 200
    assert wrong(measured(found)) == []


def test_steps_without_some_gradients_are_held_to_the_rule_too() -> None:
    def lose(learner: Learner, step: int) -> None:
        if step == 50:
            learner._parameters[3].grad = None

    assert wrong(measured(small(momentum=0.9), after_backward(lose))) == []


def test_gradients_of_a_model_that_draws_are_left_out_and_it_says_so() -> None:
    found = small()
    drop = LayerSpec.model_validate({"type": "Dropout", "p": 0.5})
    layers = {"hidden": found.layers["hidden"], "drop": drop, "output": found.layers["output"]}
    rows = measured(found.model_copy(update={"layers": layers}))
    assert wrong(rows) == []
    assert f"{SPOTS}, not compared: the model draws at random while it trains" in {
        row.what for row in rows
    }


# --- what happens late ------------------------------------------------------------------------


@pytest.mark.parametrize("step", [10, 33, 79])
def test_step_that_is_left_out_late_is_told_by_its_number(step: int) -> None:
    taken = [0]

    def some(self: Learner, done: float, right: Callable[[Learner, float], None]) -> None:
        taken[0] += 1
        if taken[0] != step:
            right(self, done)

    first = wrong(measured(small(momentum=0.5), around_step(some)))[0]
    assert first.subject == LOOP
    assert f"in step {step}, as if step {step} were left out" in first.what


def test_optimizer_that_changes_its_mind_is_named() -> None:
    right = SGD._update

    def late(self: SGD, data: Any, grad: Any, moments: Any, count: int) -> None:
        self.nesterov = count <= 60
        right(self, data, grad, moments, count)

    found = small(momentum=0.5, nesterov=True)
    first = wrong(measured(found, lambda ground: ground.patch(SGD, "_update", late)))[0]
    assert first.subject == "SGD"
    assert "in step 61" in first.what


def test_learning_rate_that_stops_falling_is_named_with_the_loop() -> None:
    def floored(self: Learner, done: float, right: Callable[[Learner, float], None]) -> None:
        right(self, min(done, 0.75))

    rows = wrong(measured(small(lr_decay="linear"), around_step(floored)))
    assert [row.subject for row in rows] == [LOOP, "learning rate"]
    assert "in step 62, as if from step 62 on the learning rates were 0.25" in rows[0].what


def test_gradients_that_pile_up_late_are_the_loops() -> None:
    right, calls = Optimizer.zero_grad, [0]

    def zero_grad(self: Optimizer) -> None:
        calls[0] += 1
        if calls[0] <= 50:
            right(self)

    rows = wrong(measured(small(), lambda ground: ground.patch(Optimizer, "zero_grad", zero_grad)))
    assert [row.subject for row in rows] == [LOOP]
    assert rows[0].what.startswith("gradient of every tensor in step 64")


def test_real_batch_that_is_cut_is_seen_at_once() -> None:
    right = Learner.backward

    def cut(self: Learner, x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return right(self, x[:3], y[:3])

    first = wrong(measured(small(), lambda ground: ground.patch(Learner, "backward", cut)))[0]
    assert (first.subject, first.what) == (LOOP, "gradient of every tensor in step 1")


def test_missing_gradient_names_its_tensor() -> None:
    def lose(learner: Learner, step: int) -> None:
        learner._parameters[1].grad = None

    first = wrong(measured(small(), after_backward(lose)))[0]
    assert (first.subject, first.what) == (LABELS[1], "gradient, none arrived")


def test_training_that_stops_early_is_the_loops() -> None:
    right = training.batches

    def fewer(*given: Any) -> Any:
        for step, batch in enumerate(right(*given)):
            if step < 60:
                yield batch

    rows = wrong(measured(small(), lambda ground: ground.patch(training, "batches", fewer)))
    assert (rows[0].subject, rows[0].what) == (LOOP, "steps")
    assert (rows[0].got, rows[0].expected) == (60.0, 80.0)


def test_more_steps_than_declared_are_the_loops() -> None:
    right = training.batches

    def twice(*given: Any) -> Any:
        yield from right(*given)
        yield from right(*given)

    rows = wrong(measured(small(), lambda ground: ground.patch(training, "batches", twice)))
    assert [(row.subject, row.what, row.got) for row in rows] == [(LOOP, "steps", 160.0)]


def test_unknown_optimizer_must_do_what_it_does_by_itself() -> None:
    def unknown(ground: Ground) -> None:
        ground.swap("optimizers", "Other", SGD)

    def skipping(ground: Ground) -> None:
        unknown(ground)
        taken = [0]

        def step(self: Learner, done: float, right: Callable[[Learner, float], None]) -> None:
            taken[0] += 1
            if taken[0] != 70:
                right(self, done)

        around_step(step)(ground)

    found = small(optimizer="Other")
    assert wrong(measured(found, unknown)) == []
    first = wrong(measured(found, skipping))[0]
    assert first.subject == LOOP
    assert "in step 70" in first.what


# --- evaluations ------------------------------------------------------------------------------


def at_evaluations(change: Callable[[Tensor], None], last_only: bool = False) -> Plant:
    """Every evaluation, or only that at the end, does something to all parameters."""
    name = "at_the_end" if last_only else "_logits"
    right = getattr(evaluation.Evaluation, name)

    def changing(self: Any, model: Any, *given: Any) -> Any:
        for parameter in model.parameters.values():
            change(parameter)
        return right(self, model, *given)

    return lambda ground: ground.patch(evaluation.Evaluation, name, changing)


def shrink(parameter: Tensor) -> None:
    parameter.data[...] *= np.float32(0.99)


@pytest.mark.parametrize("last_only", [False, True])
def test_evaluation_that_moves_tensors_is_named(last_only: bool) -> None:
    first = wrong(measured(small(), at_evaluations(shrink, last_only)))[0]
    assert (first.subject, first.what) == ("the evaluation", "values at the end of training")


def test_values_that_move_after_one_evaluation_of_many_are_the_loops() -> None:
    looks = [0]

    def once(parameter: Tensor) -> None:
        looks[0] += 1
        if looks[0] <= len(LABELS):
            shrink(parameter)

    subjects = {row.subject for row in wrong(measured(small(), at_evaluations(once)))}
    assert subjects == {LOOP}


# --- what is kept, and what is declared -------------------------------------------------------


@given(wrong_step=st.integers(0, 19), size=st.integers(1, 8))
def test_reach_ends_before_the_block_with_the_first_wrong_step(wrong_step: int, size: int) -> None:
    backend, rng = load("numpy"), np.random.default_rng(0)
    parameter = backend.leaf(rng.standard_normal(5))
    optimizer = backend.namespace.optimizers["SGD"]([parameter], lr=0.1, momentum=0.9)
    recorder = Recorder(backend, [parameter])
    right = optimizer.step

    def goes_astray() -> None:
        right()
        moved = backend.array(parameter).copy()
        moved[2] += 1e-3
        backend.set_value(parameter, moved)

    for step in range(20):
        optimizer.step = goes_astray if step == wrong_step else right
        take(backend, optimizer, [parameter], [rng.standard_normal(5)], recorder)
    parts = [recorder.part(i, min(i + size, 20), [0.1] * 20) for i in range(0, 20, size)]
    rule = optimizers.SGD(momentum=0.9)
    assert blocks.reach(parts, rule, None, 0.0) == wrong_step // size * size


def test_blocks_hold_all_steps_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(blocks, "NUMBERS", 40)  # SMALL has 17 numbers
    recorder = trained(small()).recorder
    parts = list(blocks.blocks(recorder, [1.0] * 80))
    assert [len(part.gradients) for part in parts] == [2] * 40
    assert all(len(part.values) == 3 for part in parts)
    assert wrong(measured(small(momentum=0.9, lr_decay="linear"))) == []


def test_declared_options_are_those_of_the_fields(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Training, "optimizer_arguments", property(lambda self: {}))
    found = small(momentum=0.0, nesterov=False, betas=[0.8, 0.9], lr=0.5, lr_decay="linear")
    options = {"momentum": 0.0, "nesterov": False, "betas": (0.8, 0.9)}
    assert declared_options(found) == options
    # Four examples in batches of four: one step an epoch.
    assert declared_rates(found, datasets.load(found))[:3] == [0.5, 0.5 * 79 / 80, 0.5 * 78 / 80]


def test_job_is_followed_only_where_that_was_asked_for() -> None:
    plain, probed = (execute(Job(small(), 0, probes=names)) for names in ((), ("whole_training",)))
    assert plain.digest == probed.digest
    assert plain.probed.measured == {}
    assert list(probed.probed.measured) == ["whole_training"]
    assert probed.seconds["probing"] == probed.probed.seconds["whole_training"] > 0.0


def test_probe_of_a_training_that_was_not_looked_at_crashes_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(GradientWatch, "after_backward", lambda self: None)
    record = runner.execute(Job(small(), 0, probes=("whole_training", "graph")))
    assert list(record.probed.measured) == ["graph"]
    assert "did not look at the gradients" in record.probed.crashed["whole_training"]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
