"""Watching against doing the same by hand at every step, in float64."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from harness import backends
from harness.autograd import Tensor, nn, optim
from harness.metrics import LOSSES, cross_entropy
from harness.watches.gradients import GradientWatch
from harness.watches.losses import LossWatch

BACKEND = backends.load("numpy")
# Norms are sums of a few hundred squares in the engine's precision.
TOLERANCE = {np.float32: 1e-5, np.float64: 1e-12}


@dataclass
class ByHand:
    """The norms of every step, computed at once and alone."""

    parameters: list[nn.Parameter]
    norms: list[list[float]] = field(default_factory=list)
    moves: list[list[float]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.before = [p.data.astype(np.float64) for p in self.parameters]

    def after_backward(self) -> None:
        self.norms.append([self.norm(p.grad) for p in self.parameters])

    def after_step(self) -> None:
        after = [p.data.astype(np.float64) for p in self.parameters]
        pairs = zip(after, self.before, strict=True)
        self.moves.append([float(np.linalg.norm(new - old)) for new, old in pairs])
        self.before = after

    @staticmethod
    def norm(grad: np.ndarray | None) -> float:
        if grad is None:
            return float("nan")
        norm = float(np.linalg.norm(grad.astype(np.float64)))
        return norm if np.isfinite(norm) else float("inf")


def parameters(rng: np.random.Generator, dtype: type = np.float32) -> list[nn.Parameter]:
    shapes = [(4, 3), (4,), (), (2, 4, 5)]
    return [nn.Parameter(rng.standard_normal(shape).astype(dtype)) for shape in shapes]


def watch(
    params: list[nn.Parameter], steps: int, rng: np.random.Generator, missing: tuple[int, int] = ()
) -> tuple[np.ndarray, np.ndarray, ByHand]:
    """Random gradients and an optimizer for `steps` steps, watched and computed by hand."""
    optimizer = optim.Adam(params, lr=0.05)
    watching, by_hand = GradientWatch(BACKEND, params), ByHand(params)
    for step in range(steps):
        optimizer.zero_grad()
        for column, parameter in enumerate(params):
            if (step, column) not in missing:
                grad = rng.standard_normal(parameter.shape) * 10.0 ** rng.integers(-6, 3)
                parameter.grad = grad.astype(parameter.dtype)
        watching.after_backward()
        by_hand.after_backward()
        optimizer.step()
        watching.after_step()
        by_hand.after_step()
    return *watching.finish(), by_hand


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("steps", [1, 63, 64, 65, 128, 200])
def test_norms_and_movement_are_those_of_every_step(
    steps: int, dtype: type, rng: np.random.Generator
) -> None:
    norms, moves, by_hand = watch(parameters(rng, dtype), steps, rng)
    assert norms.shape == moves.shape == (steps, 4)
    np.testing.assert_allclose(norms, by_hand.norms, rtol=TOLERANCE[dtype])
    # A movement is a difference of numbers near 1: exact to the rounding of those.
    np.testing.assert_allclose(moves, by_hand.moves, rtol=TOLERANCE[dtype], atol=1e-6)


def test_missing_gradient_is_nan_in_its_own_step_and_column(rng: np.random.Generator) -> None:
    missing = ((0, 1), (63, 0), (64, 3), (99, 2))
    norms, moves, by_hand = watch(parameters(rng), 100, rng, missing)
    assert {tuple(place) for place in np.argwhere(np.isnan(norms)).tolist()} == set(missing)
    np.testing.assert_allclose(norms, by_hand.norms, rtol=1e-5)
    assert all(moves[place] == 0.0 for place in missing)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_gradient_that_is_not_finite_has_an_infinite_norm(
    bad: float, rng: np.random.Generator
) -> None:
    params = parameters(rng)
    watching = GradientWatch(BACKEND, params)
    for parameter in params:
        parameter.grad = np.ones_like(parameter.data)
    params[0].grad[1, 1] = bad
    watching.after_backward()
    watching.after_step()
    norms, _ = watching.finish()
    assert norms[0].tolist() == [np.inf, 2.0, 1.0, pytest.approx(np.sqrt(40.0))]


@pytest.mark.parametrize("size", [1e-25, 1e-30, 1e25])
def test_norm_of_a_finite_gradient_is_finite_and_not_zero(
    size: float, rng: np.random.Generator
) -> None:
    """Its square leaves the range of float32; it does not."""
    params = parameters(rng)
    watching = GradientWatch(BACKEND, params)
    for parameter in params:
        parameter.grad = np.full(parameter.shape, size, dtype=np.float32)
    watching.after_backward()
    watching.after_step()
    norms, _ = watching.finish()
    np.testing.assert_allclose(norms[0] / size, np.sqrt([12.0, 4.0, 1.0, 40.0]), rtol=1e-5)


def test_tensor_at_rest_has_exactly_no_movement(rng: np.random.Generator) -> None:
    params = parameters(rng)
    watching = GradientWatch(BACKEND, params)
    for step in range(70):
        watching.after_backward()
        params[0].data[...] += 0.1 * (step + 1)
        watching.after_step()
    _, moves = watching.finish()
    assert (moves[:, 1:] == 0.0).all()
    assert (moves[:, 0] > 0.0).all()


def test_no_step_gives_no_rows(rng: np.random.Generator) -> None:
    norms, moves = GradientWatch(BACKEND, parameters(rng)).finish()
    assert norms.shape == moves.shape == (0, 4)


def test_watching_leaves_gradients_and_values_alone(rng: np.random.Generator) -> None:
    params = parameters(rng)
    watching = GradientWatch(BACKEND, params)
    grads = [rng.standard_normal(p.shape).astype(np.float32) for p in params]
    for parameter, grad in zip(params, grads, strict=True):
        parameter.grad = grad.copy()
    values = [p.data.copy() for p in params]
    watching.after_backward()
    watching.after_step()
    watching.finish()
    for parameter, grad, value in zip(params, grads, values, strict=True):
        np.testing.assert_array_equal(parameter.grad, grad)
        np.testing.assert_array_equal(parameter.data, value)


def test_parameter_that_was_replaced_is_seen(rng: np.random.Generator) -> None:
    """An optimizer that holds another object than the model leaves the model's at rest."""
    params = parameters(rng)
    optimizer = optim.SGD([nn.Parameter(p.data.copy()) for p in params], lr=0.1)
    watching = GradientWatch(BACKEND, params)
    for parameter in params:
        parameter.grad = np.ones_like(parameter.data)
    watching.after_backward()
    optimizer.step()
    watching.after_step()
    _, moves = watching.finish()
    assert (moves == 0.0).all()


# --- losses ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LOSSES)
def test_loss_is_that_of_every_batch(name: str, rng: np.random.Generator) -> None:
    """Also when the last batch of every epoch is smaller."""
    loss = LOSSES[name][0]
    watching, by_hand = LossWatch(loss), []
    for step in range(70):
        count = 3 if step % 10 == 9 else 8
        logits = rng.standard_normal((count, 5)).astype(np.float32)
        targets = rng.standard_normal((count, 5)).astype(np.float32)
        if name == "CrossEntropyLoss":
            targets = rng.integers(0, 5, count)
        watching.after_forward(logits, targets)
        by_hand.append(float(loss(logits, targets)))
        if step % 16 == 0:
            assert watching.sum_up() == pytest.approx(by_hand[-1], rel=1e-12)
    np.testing.assert_allclose(watching.finish(), by_hand, rtol=1e-12)


def test_logits_may_be_reused_by_the_engine(rng: np.random.Generator) -> None:
    watching = LossWatch(cross_entropy)
    logits, targets = rng.standard_normal((4, 3)), np.array([0, 1, 2, 0])
    expected = float(cross_entropy(logits, targets))
    watching.after_forward(logits, targets)
    logits[...] = 0.0
    assert watching.finish().tolist() == [pytest.approx(expected)]


def test_loss_that_is_not_finite_is_kept(rng: np.random.Generator) -> None:
    watching = LossWatch(cross_entropy)
    good, bad = rng.standard_normal((4, 3)), np.full((4, 3), np.nan)
    for logits in (good, bad, good):
        watching.after_forward(logits, np.array([0, 1, 2, 0]))
    assert np.isnan(watching.finish()).tolist() == [False, True, False]


def test_nothing_watched_gives_no_losses() -> None:
    assert LossWatch(cross_entropy).finish().shape == (0,)
    assert LossWatch(cross_entropy).sum_up() == 0.0


def test_watched_loss_is_the_engine_s_up_to_rounding(rng: np.random.Generator) -> None:
    logits = rng.standard_normal((16, 10)).astype(np.float32)
    targets = rng.integers(0, 10, 16)
    watching = LossWatch(cross_entropy)
    watching.after_forward(logits, targets)
    engine = nn.CrossEntropyLoss()(Tensor(logits), Tensor(targets)).item()
    assert watching.finish()[0] == pytest.approx(engine, rel=1e-6)


def test_norms_do_not_hang_on_other_steps() -> None:
    """One step that is not finite, or tiny, leaves the bits of its neighbours as they are."""

    def norms(odd: float) -> np.ndarray:
        params = parameters(np.random.default_rng(0))
        watch = GradientWatch(BACKEND, params)
        rng = np.random.default_rng(1)
        for step in range(10):
            for each in params:
                each.grad = rng.standard_normal(each.shape).astype(np.float32)
                each.grad *= np.float32(odd) if step == 5 else np.float32(1)
            watch.after_backward()
            watch.after_step()
        return watch.finish()[0]

    plain, odd, tiny = norms(1.0), norms(np.nan), norms(1e-25)
    others = np.arange(10) != 5
    np.testing.assert_array_equal(plain[others], odd[others])
    np.testing.assert_array_equal(plain[others], tiny[others])
    assert np.isinf(odd[5]).all()
    np.testing.assert_allclose(tiny[5], plain[5] * 1e-25, rtol=1e-5)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
