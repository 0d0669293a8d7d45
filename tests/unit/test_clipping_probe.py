"""The closed forms of optimizers by hand, and clipping held against its own."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from harness.autograd import Tensor, optim
from harness.backends import load
from harness.backends.base import Backend
from harness.faults.ground import Ground
from harness.measurement import Measurement
from harness.oracles.optimizers import SGD, Adam, Rule, clipped, global_norm, linear_decay
from harness.probes.runs import optimizer_manners
from tests.specimens import culprits, wrong

CLIP = "clip_grad_norm"
# (gradients, the largest norm that is allowed) -> what all gradients are multiplied by.
Factor = Callable[[list[np.ndarray], float], float]


# --- the closed forms, by hand ----------------------------------------------------------------


def changes(
    rule: Rule, gradients: Sequence[float], rate: float = 0.1, p: float = 1.0
) -> list[float]:
    """What a rule adds to one number in each step; it always starts from the same number."""
    return [float(rule.change(np.array(p), np.array(g), rate)) for g in gradients]


def test_momentum_by_hand() -> None:
    assert changes(SGD(momentum=0.5), [1.0, 2.0, 0.0]) == pytest.approx([-0.1, -0.25, -0.125])
    nesterov = changes(SGD(momentum=0.5, nesterov=True), [1.0, 2.0])
    assert nesterov == pytest.approx([-0.15, -0.325])
    assert changes(SGD(weight_decay=0.5), [1.0], p=4.0) == pytest.approx([-0.3])


def test_first_step_of_adam_is_the_learning_rate() -> None:
    """Both moments are corrected to the gradient itself, whatever its size."""
    for g in (1e-3, 1.0, -1e3):
        assert changes(Adam(eps=0.0), [g]) == pytest.approx([-0.1 * math.copysign(1.0, g)])


def test_adam_by_hand() -> None:
    """Of gradients 1 and 0: m = 0.09 of (1 - 0.81), v = 0.25 of (1 - 0.25)."""
    _, second = changes(Adam(betas=(0.9, 0.5), eps=0.0), [1.0, 0.0])
    assert second == pytest.approx(-0.1 * (0.09 / 0.19) / math.sqrt(0.25 / 0.75))


def test_decoupled_decay_does_not_touch_the_moments() -> None:
    coupled, decoupled = (
        changes(Adam(eps=0.0, weight_decay=0.5, decoupled=which), [1.0], p=2.0)[0]
        for which in (False, True)
    )
    assert coupled == pytest.approx(-0.1)
    assert decoupled == pytest.approx(-0.1 - 0.1 * 0.5 * 2.0)


def test_clipping_by_hand() -> None:
    some = [np.array([3.0]), None, np.array([[4.0]])]
    assert global_norm(some) == 5.0
    first, missing, last = clipped(some, 1.0, eps=0.0)
    assert missing is None
    assert first == pytest.approx(np.array([0.6]))
    assert last == pytest.approx(np.array([[0.8]]))
    untouched = clipped(some, 5.0)
    assert untouched[0] is not None
    assert untouched[0].tolist() == [3.0]


def test_linear_decay_ends_one_part_above_zero() -> None:
    assert linear_decay(1.0, 4) == [1.0, 0.75, 0.5, 0.25]


# --- clipping ---------------------------------------------------------------------------------


def measured(backend: Backend) -> list[Measurement]:
    return list(optimizer_manners.clipping(backend))


@contextmanager
def clipping(factor_for: Factor) -> Iterator[Backend]:
    """The engine with another factor that all gradients are multiplied by."""

    def clip(parameters: Sequence[Tensor], max_norm: float) -> float:
        grads = [each.grad for each in parameters if each.grad is not None]
        factor = factor_for(grads, max_norm)
        for grad in grads:
            grad *= factor
        return 0.0

    ground = Ground(load("numpy"))
    ground.patch(optim, CLIP, clip)
    try:
        yield ground.backend
    finally:
        ground.restore()


def norm_of(grads: Sequence[np.ndarray]) -> float:
    return math.sqrt(sum(float(np.sum(np.square(grad))) for grad in grads))


def the_papers(grads: list[np.ndarray], max_norm: float) -> float:
    return min(1.0, max_norm / max(norm_of(grads), 1e-30))


def pytorchs(grads: list[np.ndarray], max_norm: float) -> float:
    return min(1.0, max_norm / (norm_of(grads) + 1e-6))


def always(grads: list[np.ndarray], max_norm: float) -> float:
    return max_norm / max(norm_of(grads), 1e-30)


def of_the_first(grads: list[np.ndarray], max_norm: float) -> float:
    return the_papers(grads[:1], max_norm)


def of_the_largest(grads: list[np.ndarray], max_norm: float) -> float:
    return min(the_papers([grad], max_norm) for grad in grads)


def of_the_sum(grads: list[np.ndarray], max_norm: float) -> float:
    return min(1.0, max_norm / max(sum(norm_of([grad]) for grad in grads), 1e-30))


def mean_square(grads: list[np.ndarray], max_norm: float) -> float:
    return the_papers([grad / len(grads) for grad in grads], max_norm)


def never(grads: list[np.ndarray], max_norm: float) -> float:
    return 1.0


@pytest.mark.parametrize("factor_for", [the_papers, pytorchs])
def test_either_way_of_clipping_is_right(
    factor_for: Factor,
) -> None:
    with clipping(factor_for) as backend:
        assert wrong(measured(backend)) == []


@pytest.mark.parametrize(
    "factor_for", [always, of_the_first, of_the_largest, of_the_sum, mean_square, never]
)
def test_clipping_by_another_norm_is_seen(
    factor_for: Factor,
) -> None:
    with clipping(factor_for) as backend:
        assert culprits(measured(backend)) == [CLIP]


@given(st.floats(0.5, 1.5))
def test_any_wrong_factor_of_clipping_is_seen(factor: float) -> None:
    assume(abs(factor - 1.0) > 1e-3)
    with clipping(lambda grads, max_norm: factor * the_papers(grads, max_norm)) as backend:
        assert culprits(measured(backend)) == [CLIP]


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
