"""Steps that are run again from their numpy calls: the same bits, or the step as it is written."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from harness import backends, config, datasets
from harness.autograd import Tensor, nn, no_grad, ops, optim, replay
from harness.autograd.replay import Replayed
from harness.training import train
from tests.examples import NAMES

Array = np.ndarray
Loss = Callable[[Tensor, Tensor], Tensor]
MANY = 150


def squared(y: Tensor, target: Tensor) -> Tensor:
    return ops.mse_loss(y, target)


class Run:
    """A small model, with its step replayed or not, and how often the step itself ran."""

    def __init__(self, is_replayed: bool, loss: Loss = squared) -> None:
        rng = np.random.default_rng(0)
        self.layers = [nn.Linear(3, 4, rng=rng), nn.Tanh(), nn.Linear(4, 2, rng=rng)]
        self.parameters = [each for layer in self.layers for each in layer.parameters()]
        self.optimizer = optim.Adam(self.parameters, lr=0.01)
        self.loss = loss
        self.count = 0
        self.step = Replayed(self.as_written, self.parameters) if is_replayed else self.as_written
        self.batches = np.random.default_rng(1)

    def as_written(self, x: Array, y: Array) -> tuple[Array, ...]:
        self.count += 1
        out = Tensor(x)
        for layer in self.layers:
            out = layer(out)
        loss = self.loss(out, Tensor(y))
        loss.backward()
        return out.data, loss.data

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
    found, backend = config.load(config.find(name)), backends.load("numpy")
    data = datasets.load(found)
    replayed = train(found, backend, data, 1)
    monkeypatch.setattr(replay, "_FIRST", 10**9)
    assert replayed.digest == train(found, backend, data, 1).digest


def test_step_is_rarely_run_as_it_is_written() -> None:
    run, right = both()
    for _ in range(MANY):
        assert_same(run.go(), right.go())
    # The first ten, the one that is recorded, and those that are judged: 11, 64 and 128.
    assert run.count == 14


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
    assert run.count == 20


def test_array_that_leaves_numpys_sight_is_noticed_by_the_judge() -> None:
    def hidden(y: Tensor, target: Tensor) -> Tensor:
        unseen = np.frombuffer(bytes(memoryview(np.ascontiguousarray(y.data))), np.float32)
        return squared(y * Tensor(unseen.reshape(y.shape) + 1), target)

    run, right = both(hidden)
    for _ in range(20):
        assert_same(run.go(), right.go())
    assert run.count > 20


def test_random_numbers_are_not_frozen() -> None:
    def noisy(seed: int) -> Loss:
        rng = np.random.default_rng(seed)
        return lambda y, target: squared(y * Tensor(rng.random(y.shape, np.float32)), target)

    run = Run(True, noisy(0))
    losses = [float(run.go()[1]) for _ in range(30)]
    assert run.count > 30
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
    evaluated = Replayed(run.evaluated, run.parameters, sends_gradients=False)
    for _ in range(30):
        run.go()
        x = run.batches.standard_normal((7, 3)).astype(np.float32)
        before = [parameter.grad for parameter in run.parameters]
        assert_same(list(evaluated(x)), list(run.evaluated(x)))
        assert all(p.grad is grad for p, grad in zip(run.parameters, before, strict=True))


def test_parameters_without_an_optimizer_are_run_as_written() -> None:
    layer = nn.Linear(2, 1, rng=np.random.default_rng(0))

    def step(x: Array, y: Array) -> tuple[Array, ...]:
        loss = squared(layer(Tensor(x)), Tensor(y))
        loss.backward()
        return (loss.data,)

    replayed = Replayed(step, layer.parameters())
    x, y = np.ones((3, 2), np.float32), np.ones((3, 1), np.float32)
    for _ in range(10):
        for each in layer.parameters():
            each.grad = None
        replayed(x, y)
        assert layer.weight.grad is not None


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
