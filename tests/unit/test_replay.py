"""Steps that are run again from their numpy calls: the same bits, or the step as it is written."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import cast

import numpy as np
import pytest

from harness import backends, config_files, datasets
from harness.autograd import Tensor, nn, no_grad, ops, optim, replay
from harness.autograd.replay import Replayed
from harness.backends.base import Backend
from harness.probes.runs.short_run import Watched
from harness.training import train
from tests.examples import NAMES

Array = np.ndarray
Loss = Callable[[Tensor, Tensor], Tensor]
MANY = 150


def squared(y: Tensor, target: Tensor) -> Tensor:
    return ops.mse_loss(y, target)


def anything(file: str) -> bool:
    """Of these steps, which stand in a test."""
    return True


class Run:
    """A small model, with its step replayed or not, and how often the step itself ran."""

    def __init__(self, is_replayed: bool, loss: Loss = squared) -> None:
        rng = np.random.default_rng(0)
        self.layers = [nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng)]
        self.parameters = [each for layer in self.layers for each in layer.parameters()]
        self.optimizer = optim.Adam(self.parameters, lr=0.01)
        self.loss = loss
        self._calls = itertools.count()  # a step that counted in Python would be told by that
        self.step = (
            Replayed(self.as_written, self.parameters, trusts=anything)
            if is_replayed
            else self.as_written
        )
        self.batches = np.random.default_rng(1)

    def as_written(self, x: Array, y: Array) -> tuple[Array, ...]:
        next(self._calls)
        out = Tensor(x)
        for layer in self.layers:
            out = layer(out)
        loss = self.loss(out, Tensor(y))
        loss.backward()
        return out.data, loss.data

    @property
    def count(self) -> int:
        """How often the step itself ran."""
        return int(self._calls.__reduce__()[1][0])

    def evaluated(self, x: Array) -> tuple[Array, ...]:
        out = Tensor(x)
        with no_grad():
            for layer in self.layers:
                out = layer(out)
        return (out.data,)

    def go(self, size: int = 5, zero: bool = True) -> list[Array]:
        """One step: what it returned, then the gradients and the parameters that it left."""
        x, y = (self.batches.standard_normal((size, n)).astype(np.float32) for n in (3, 2))
        if zero:
            self.optimizer.zero_grad()
        outputs = self.step(x, y)
        gradients = [np.zeros(0) if p.grad is None else p.grad.copy() for p in self.parameters]
        self.optimizer.step()
        return [*outputs, *gradients, *(p.data.copy() for p in self.parameters)]


def both(loss: Loss = squared) -> tuple[Run, Run]:
    return Run(True, loss), Run(False, loss)


def assert_same(one: list[Array], other: list[Array]) -> None:
    assert [each.tobytes() for each in one] == [each.tobytes() for each in other]


@pytest.mark.parametrize("name", NAMES)
def test_milestone_trains_to_the_same_bits(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found, backend = config_files.load(config_files.find(name)), backends.load("numpy")
    data = datasets.load(found)
    replayed = train(found, backend, data, 1)
    monkeypatch.setattr(replay, "_FIRST", 10**9)
    assert replayed.digest == train(found, backend, data, 1).digest


def test_training_that_is_kept_for_probes_is_run_again_too() -> None:
    """Else the first seed of a run, which they look at, would take twice the time."""
    config = config_files.load(config_files.find("xor"))
    watched = Watched(backends.load("numpy"))
    train(config, cast(Backend, watched), datasets.load(config), 0)
    assert watched.recorder is not None
    flats = {parameter._flat for parameter in watched.recorder._parameters}
    assert [flat is not None and flat.is_replayed for flat in flats] == [True]


def test_step_is_rarely_run_as_it_is_written() -> None:
    run, right = both()
    for _ in range(MANY):
        assert_same(run.go(), right.go())
    # The first ten, the one that is watched, the one that is recorded, which is done twice, and
    # those that are judged: 12, 64 and 128.
    assert run.count == 16


def test_results_belong_to_the_caller() -> None:
    run, _ = both()
    for _ in range(10):
        run.go()
    before = run.step(np.zeros((5, 3), np.float32), np.zeros((5, 2), np.float32))
    kept = [each.copy() for each in before]
    run.go()
    assert_same(list(before), kept)


def test_batch_of_another_shape_is_run_as_written() -> None:
    run, right = both()
    for step in range(40):
        size = 2 if step % 8 == 7 else 5
        assert_same(run.go(size), right.go(size))


def test_gradients_that_are_there_are_added_to() -> None:
    run, right = both()
    for step in range(40):
        assert_same(run.go(zero=step % 3 != 2), right.go(zero=step % 3 != 2))


@pytest.mark.parametrize("step", [2, 4, 20])
def test_parameter_with_other_numbers_is_used(step: int) -> None:
    run, right = both()
    for at in range(40):
        if at == step:
            for each in (run, right):
                each.parameters[0].data = each.parameters[0].data * 2
        assert_same(run.go(), right.go())


def test_parameter_that_is_frozen_on_the_way_gets_no_gradient() -> None:
    run, right = both()
    for at in range(40):
        for each in (run, right):
            each.parameters[1].requires_grad = at < 20
        assert_same(run.go(), right.go())
    assert run.parameters[1].grad is None


def test_branch_that_hangs_on_numbers_takes_the_right_way() -> None:
    seen = set()

    def branching(y: Tensor, target: Tensor) -> Tensor:
        is_large = bool(y.data.max() > 0.3)
        seen.add(is_large)
        return squared(y * 2.0, target) if is_large else squared(y, target)

    run, right = both(branching)
    for _ in range(MANY):
        assert_same(run.go(), right.go())
    assert seen == {True, False}


def test_number_taken_out_of_numpy_stays_a_number() -> None:
    def scaled(y: Tensor, target: Tensor) -> Tensor:
        return squared(y * float(y.data.max()), target)

    run, right = both(scaled)
    for _ in range(20):
        assert_same(run.go(), right.go())
    assert run.count == 20 + 1  # once more, to note its calls


def test_array_that_leaves_numpys_sight_is_noticed_by_the_judge() -> None:
    def hidden(y: Tensor, target: Tensor) -> Tensor:
        unseen = np.frombuffer(bytes(memoryview(np.ascontiguousarray(y.data))), np.float32)
        return squared(y * Tensor(unseen.reshape(y.shape) + 1), target)

    run, right = both(hidden)
    for _ in range(20):
        assert_same(run.go(), right.go())
    assert run.count >= 20


def test_random_numbers_are_not_frozen() -> None:
    def noisy(seed: int) -> Loss:
        rng = np.random.default_rng(seed)
        return lambda y, target: squared(y * Tensor(rng.random(y.shape, np.float32)), target)

    run = Run(True, noisy(0))
    losses = [float(run.go()[1]) for _ in range(30)]
    assert run.count == 30
    assert len(set(losses)) == 30


@pytest.mark.parametrize("in_place", [False, True])
def test_what_a_step_keeps_for_the_next_one_goes_on(in_place: bool) -> None:
    def keeping(mean: Array) -> tuple[list[Array], Loss]:
        kept = [mean]

        def loss(y: Tensor, target: Tensor) -> Tensor:
            if in_place:
                kept[0] *= 0.9
                kept[0] += 0.1 * y.data.mean(axis=0)
            else:
                kept[0] = 0.9 * kept[0] + 0.1 * y.data.mean(axis=0)
            return squared(y, target)

        return kept, loss

    (one, first), (other, second) = (keeping(np.zeros(2, np.float32)) for _ in range(2))
    run, right = Run(True, first), Run(False, second)
    for _ in range(40):
        assert_same(run.go(), right.go())
        assert one[0].tobytes() == other[0].tobytes()


def test_step_that_changes_its_mind_is_followed_from_the_next_judgement_on() -> None:
    def late(run: list[int]) -> Loss:
        def loss(y: Tensor, target: Tensor) -> Tensor:
            run[0] += 1
            return squared(y * (1.0 if run[0] < 13 else 3.0), target)

        return loss

    run = Run(True, late([0]))
    for _ in range(64):
        run.go()
    before = run.count
    for _ in range(10):
        run.go()
    assert run.count >= before + 10


def test_evaluation_leaves_gradients_where_they_are() -> None:
    run, _ = both()
    evaluated = Replayed(run.evaluated, run.parameters, False, anything)
    for _ in range(30):
        run.go()
        x = run.batches.standard_normal((7, 3)).astype(np.float32)
        before = [parameter.grad for parameter in run.parameters]
        assert_same(list(evaluated(x)), list(run.evaluated(x)))
        assert all(p.grad is grad for p, grad in zip(run.parameters, before, strict=True))


def test_code_of_somebody_else_is_run_as_it_is_written() -> None:
    run = Run(True)
    run.step = Replayed(run.as_written, run.parameters)
    for _ in range(20):
        run.go()
    assert run.count == 20


class Counting(nn.Tanh):
    """Counts its calls, and acts on that."""

    def __init__(self) -> None:
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return ops.tanh(x) * (1.0 if self.calls < 30 else 0.5)


class Averaging(nn.Tanh):
    """Keeps a running mean, in whichever way."""

    def __init__(self, keep: Callable[[Array, Array], Array]) -> None:
        self.mean = np.zeros(4, np.float32)
        self.keep = keep

    def forward(self, x: Tensor) -> Tensor:
        self.mean = self.keep(self.mean, x.data.mean(axis=0))
        return ops.tanh(x)


def sliced(mean: Array, new: Array) -> Array:
    mean[:] = 0.9 * mean + 0.1 * np.asarray(new)
    return mean


STATEFUL: list[Callable[[], nn.Module]] = [
    Counting,
    lambda: nn.Sequential(nn.Tanh(), nn.Dropout(0.001, rng=np.random.default_rng(3))),
    lambda: Averaging(sliced),
    lambda: Averaging(lambda mean, new: np.array(0.9 * mean + 0.1 * new)),
]


@pytest.mark.parametrize("make", STATEFUL)
def test_layer_with_a_state_is_run_as_it_is_written(make: Callable[[], nn.Module]) -> None:
    run, right = both()
    run.layers[1], right.layers[1] = make(), make()
    for _ in range(MANY):
        assert_same(run.go(), right.go())
    assert run.count == MANY


def test_numbers_of_a_module_that_change_are_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "TALLY", [0])

    def tallying(y: Tensor, target: Tensor) -> Tensor:
        globals()["TALLY"][0] += 1
        return squared(y, target)

    run, right = both(tallying)
    for _ in range(30):
        assert_same(run.go(), right.go())
    assert globals()["TALLY"] == [60]


def test_error_that_only_the_calls_raise_is_not_the_users() -> None:
    def lengths(y: Tensor, target: Tensor) -> Tensor:
        classes = np.unique((y.data * 10).astype(np.int64))
        return squared(y * (1.0 + classes.max() * np.float32(0.0)), target)

    run, right = both(lengths)
    for _ in range(MANY):
        assert_same(run.go(), right.go())


def test_parameters_without_an_optimizer_are_run_as_written() -> None:
    layer = nn.Linear(2, 1, rng=np.random.default_rng(0))

    def step(x: Array, y: Array) -> tuple[Array, ...]:
        loss = squared(layer(Tensor(x)), Tensor(y))
        loss.backward()
        return (loss.data,)

    replayed = Replayed(step, layer.parameters(), trusts=anything)
    x, y = np.ones((3, 2), np.float32), np.ones((3, 1), np.float32)
    for _ in range(10):
        for each in layer.parameters():
            each.grad = None
        replayed(x, y)
        assert layer.weight.grad is not None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
