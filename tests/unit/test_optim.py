"""Optimizers against their published recursions, written out by hand in float64."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Any

import numpy as np
import pytest

from harness.autograd import ShapeError, Tensor, nn, ops, optim

Arrays = list[np.ndarray]
Recursion = Callable[[np.ndarray, Sequence[np.ndarray]], np.ndarray]

STEPS = 5
LR = 0.1


def start() -> Arrays:
    """Parameters of which the first two have one shape, so that they can be mixed up."""
    rng = np.random.default_rng(0)
    return [rng.standard_normal(shape) for shape in [(2, 3), (2, 3), (3,), ()]]


def gradients() -> list[Arrays]:
    """For every step, gradients of very different sizes: eps matters for the smallest."""
    rng = np.random.default_rng(1)
    sizes = [1.0, 1e-3, 1e-8, 1e3]
    return [[s * rng.standard_normal(p.shape) for s, p in zip(sizes, start(), strict=True)]
            for _ in range(STEPS)]  # fmt: skip


def sgd(momentum: float = 0.0, weight_decay: float = 0.0, nesterov: bool = False) -> Recursion:
    """v = momentum v + g; p -= lr v, or lr (g + momentum v) with Nesterov's momentum."""

    def after(p: np.ndarray, grads: Sequence[np.ndarray]) -> np.ndarray:
        v = np.zeros_like(p)
        for grad in grads:
            g = grad + weight_decay * p
            v = momentum * v + g
            p = p - LR * (g + momentum * v if nesterov else v)
        return p

    return after


def adam(
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    decoupled: bool = False,
) -> Recursion:
    """Kingma and Ba 2015, algorithm 1; decoupled decay as in Loshchilov and Hutter 2019."""

    def after(p: np.ndarray, grads: Sequence[np.ndarray]) -> np.ndarray:
        m, v = np.zeros_like(p), np.zeros_like(p)
        for t, grad in enumerate(grads, start=1):
            g = grad if decoupled else grad + weight_decay * p
            m = betas[0] * m + (1.0 - betas[0]) * g
            v = betas[1] * v + (1.0 - betas[1]) * g**2
            shrunk = p * (1.0 - LR * weight_decay) if decoupled else p
            p = shrunk - LR * (m / (1.0 - betas[0] ** t)) / (
                np.sqrt(v / (1.0 - betas[1] ** t)) + eps
            )
        return p

    return after


RULES = {
    "SGD": (lambda p: optim.SGD(p, LR), sgd()),
    "SGD with momentum": (lambda p: optim.SGD(p, LR, momentum=0.9), sgd(0.9)),
    "SGD with Nesterov's momentum": (
        lambda p: optim.SGD(p, LR, momentum=0.8, nesterov=True),
        sgd(0.8, nesterov=True),
    ),
    "SGD with weight decay": (lambda p: optim.SGD(p, LR, weight_decay=0.3), sgd(0.0, 0.3)),
    "SGD with everything": (
        lambda p: optim.SGD(p, LR, momentum=0.9, weight_decay=0.3, nesterov=True),
        sgd(0.9, 0.3, nesterov=True),
    ),
    "Adam": (lambda p: optim.Adam(p, LR), adam()),
    "Adam with other constants": (
        lambda p: optim.Adam(p, LR, betas=(0.5, 0.9), eps=0.1),
        adam((0.5, 0.9), 0.1),
    ),
    "Adam without memory": (lambda p: optim.Adam(p, LR, betas=(0.0, 0.0)), adam((0.0, 0.0))),
    "Adam with weight decay": (
        lambda p: optim.Adam(p, LR, weight_decay=0.3),
        adam(weight_decay=0.3),
    ),
    "AdamW": (lambda p: optim.AdamW(p, LR), adam(weight_decay=1e-2, decoupled=True)),
    "AdamW with more decay": (
        lambda p: optim.AdamW(p, LR, weight_decay=0.3),
        adam(weight_decay=0.3, decoupled=True),
    ),
    "AdamW without decay": (lambda p: optim.AdamW(p, LR, weight_decay=0.0), adam()),
}
every_rule = pytest.mark.parametrize(("make", "recursion"), RULES.values(), ids=RULES)
Make = Callable[[list[Tensor]], optim.Optimizer]


def parameters(arrays: Arrays) -> list[Tensor]:
    return [Tensor(array.copy(), requires_grad=True) for array in arrays]


def send(tensors: Sequence[Tensor], grads: Sequence[np.ndarray]) -> None:
    """Let these gradients arrive by a backward pass."""
    for tensor, grad in zip(tensors, grads, strict=True):
        (tensor * grad).sum().backward()


# --- the rules ------------------------------------------------------------------------


@every_rule
def test_optimizer_follows_its_recursion(make: Make, recursion: Recursion) -> None:
    tensors = parameters(start())
    optimizer = make(tensors)
    for grads in gradients():
        optimizer.zero_grad()
        send(tensors, grads)
        optimizer.step()

    for i, (tensor, first) in enumerate(zip(tensors, start(), strict=True)):
        assert tensor.data == pytest.approx(recursion(first, [grads[i] for grads in gradients()]))


@every_rule
def test_optimizer_leaves_a_parameter_without_gradient_alone(
    make: Make, recursion: Recursion
) -> None:
    """Its data, its moments and its step count: later it goes on as if nothing had been."""
    arrived = [[True, t in (1, 3), True, t > 0] for t in range(STEPS)]
    tensors = parameters(start())
    optimizer = make(tensors)
    for grads, flags in zip(gradients(), arrived, strict=True):
        optimizer.zero_grad()
        before = [tensor.data.copy() for tensor in tensors]
        for tensor, grad, has_gradient in zip(tensors, grads, flags, strict=True):
            if has_gradient:
                send([tensor], [grad])
        optimizer.step()
        unmoved = [np.array_equal(t.data, b) for t, b in zip(tensors, before, strict=True)]
        assert unmoved == [not has_gradient for has_gradient in flags]

    for i, (tensor, first) in enumerate(zip(tensors, start(), strict=True)):
        seen = [grads[i] for grads, flags in zip(gradients(), arrived, strict=True) if flags[i]]
        assert tensor.data == pytest.approx(recursion(first, seen))


@every_rule
def test_optimizer_honours_gradients_assigned_by_hand(make: Make, recursion: Recursion) -> None:
    tensors = parameters(start())
    optimizer = make(tensors)
    for grads in gradients():
        for tensor, grad in zip(tensors, grads, strict=True):
            tensor.grad = grad.copy()
        optimizer.step()

    for i, (tensor, first) in enumerate(zip(tensors, start(), strict=True)):
        assert tensor.data == pytest.approx(recursion(first, [grads[i] for grads in gradients()]))


@every_rule
def test_optimizer_honours_data_assigned_by_hand(make: Make, recursion: Recursion) -> None:
    """A parameter set by hand before its first step starts from there."""
    tensors = parameters([np.zeros_like(array) for array in start()])
    optimizer = make(tensors)
    for tensor, array in zip(tensors, start(), strict=True):
        tensor.data = array
    for grads in gradients():
        optimizer.zero_grad()
        send(tensors, grads)
        optimizer.step()

    for i, (tensor, first) in enumerate(zip(tensors, start(), strict=True)):
        assert tensor.data == pytest.approx(recursion(first, [grads[i] for grads in gradients()]))


@every_rule
def test_optimizer_keeps_each_dtype_to_itself(make: Make, recursion: Recursion) -> None:
    arrays = [a.astype(d) for a, d in zip(start(), ["f4", "f8", "f4", "f8"], strict=True)]
    tensors = parameters(arrays)
    optimizer = make(tensors)
    for grads in gradients():
        optimizer.zero_grad()
        send(tensors, [np.asarray(g, t.dtype) for g, t in zip(grads, tensors, strict=True)])
        optimizer.step()

    assert [tensor.dtype for tensor in tensors] == [array.dtype for array in arrays]
    for i in (1, 3):  # float32 is left to the recursion's shape: it rounds at every step
        expected = recursion(start()[i], [grads[i] for grads in gradients()])
        assert tensors[i].data == pytest.approx(expected)


# --- what all of them share -----------------------------------------------------------


@pytest.mark.parametrize("rule", [optim.SGD, optim.Adam, optim.AdamW])
def test_first_step_has_its_closed_form(rule: type[optim.Optimizer]) -> None:
    p = Tensor(np.array([2.0]), requires_grad=True)
    optimizer = rule([p], lr=0.5)

    (p * 4.0).sum().backward()
    optimizer.step()

    # Adam's first step is lr sign(g); AdamW shrinks p by lr 1e-2 before.
    assert p.data == pytest.approx({"SGD": 0.0, "Adam": 1.5, "AdamW": 1.49}[rule.__name__])


@pytest.mark.parametrize("rule", [optim.SGD, optim.Adam, optim.AdamW])
def test_zero_grad_leaves_no_gradient(rule: type[optim.Optimizer]) -> None:
    tensors = parameters(start())
    optimizer = rule(tensors)
    send(tensors, gradients()[0])

    optimizer.zero_grad()

    assert [tensor.grad for tensor in tensors] == [None] * 4


def test_gradients_add_up_until_zero_grad() -> None:
    p = Tensor(np.array([1.0]), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)

    for _ in range(3):
        send([p], [np.array([2.0])])
    optimizer.step()

    assert (p.data.tolist(), p.grad.tolist()) == ([-5.0], [6.0])


def test_parameters_may_come_from_a_generator_and_keep_their_values() -> None:
    tensors = parameters(start())
    optimizer = optim.SGD((tensor for tensor in tensors), lr=1.0)

    assert optimizer.parameters == tensors
    assert all(map(np.array_equal, [t.data for t in tensors], start()))


def test_gradient_of_data_assigned_by_hand_has_its_dtype() -> None:
    """A gradient check in float64 looks at a model whose optimizer works in float32."""
    p = Tensor([1.0, 2.0], requires_grad=True)
    optim.SGD([p], lr=1.0)

    p.data = np.array([1.0, 2.0])
    (p * (1.0 / 3.0)).sum().backward()

    assert p.grad.dtype == np.float64
    assert p.grad.tolist() == [1.0 / 3.0] * 2


def test_learning_rate_may_change_between_steps() -> None:
    p = Tensor(np.array([0.0]), requires_grad=True)
    optimizer = optim.SGD([p], lr=1.0)
    for lr in (1.0, 0.25):
        optimizer.lr = lr
        p.grad = np.array([1.0])
        optimizer.step()

    assert p.data.tolist() == [-1.25]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda p: optim.SGD([]), "SGD got no parameters"),
        (lambda p: optim.Adam([p, p]), "Adam got the same parameter twice"),
        (lambda p: optim.SGD([p], lr=-0.1), "lr must be at least 0, got -0.1"),
        (lambda p: optim.SGD([p], lr=math.nan), "lr must be at least 0, got nan"),
        (lambda p: optim.SGD([p], momentum=-1.0), "momentum must be at least 0, got -1.0"),
        (lambda p: optim.SGD([p], weight_decay=-1.0), "weight_decay must be at least 0"),
        (lambda p: optim.SGD([p], nesterov=True), "SGD: nesterov needs a momentum above 0"),
        (lambda p: optim.Adam([p], eps=-1.0), "eps must be at least 0, got -1.0"),
        (lambda p: optim.Adam([p], betas=(0.9, 1.0)), r"Adam: betas must be in \[0, 1\), got \("),
        (lambda p: optim.AdamW([p], betas=(-0.1, 0.9)), r"AdamW: betas must be in \[0, 1\)"),
        (lambda p: optim.AdamW([p], weight_decay=-1.0), "weight_decay must be at least 0"),
    ],
)
def test_optimizer_rejects_bad_arguments(make: Callable[[Tensor], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(Tensor([1.0], requires_grad=True))


# --- clip_grad_norm -------------------------------------------------------------------


def test_clip_grad_norm_scales_all_gradients_together() -> None:
    a, b, without = parameters([np.zeros(1), np.zeros(2), np.zeros(3)])
    send([a, b], [np.array([3e-3]), np.array([0.0, 4e-3])])

    norm = optim.clip_grad_norm([a, b, without], max_norm=1e-3)

    factor = 1e-3 / (5e-3 + 1e-6)  # small numbers, so that PyTorch's 1e-6 shows
    assert norm == pytest.approx(5e-3)
    assert a.grad == pytest.approx(np.array([3e-3 * factor]))
    assert b.grad == pytest.approx(np.array([0.0, 4e-3 * factor]))
    assert without.grad is None


@pytest.mark.parametrize("max_norm", [5.0, 5.1, math.inf])
def test_clip_grad_norm_leaves_small_gradients_alone(max_norm: float) -> None:
    p = Tensor(np.zeros(2), requires_grad=True)
    send([p], [np.array([3.0, 4.0])])

    assert optim.clip_grad_norm([p], max_norm) == 5.0
    assert p.grad.tolist() == [3.0, 4.0]


def test_clip_grad_norm_is_seen_by_the_next_step() -> None:
    tensors = parameters([np.zeros(1), np.zeros(1)])
    optimizer = optim.SGD(tensors, lr=1.0)
    send(tensors, [np.array([30.0]), np.array([40.0])])

    optim.clip_grad_norm(tensors, max_norm=1.0)
    optimizer.step()

    assert [t.data.item() for t in tensors] == pytest.approx([-0.6, -0.8])


def test_clip_grad_norm_without_gradients_is_zero() -> None:
    assert optim.clip_grad_norm([Tensor([1.0], requires_grad=True)], max_norm=1.0) == 0.0


@pytest.mark.parametrize("attribute", ["data", "grad"])
def test_an_assigned_array_of_another_shape_is_refused(attribute: str) -> None:
    parameter = Tensor(np.ones(3), requires_grad=True)
    optimizer = optim.SGD([parameter], lr=0.1)
    parameter.grad = np.ones(3)
    setattr(parameter, attribute, np.ones(1))

    with pytest.raises(ShapeError, match=r"shape \(3,\) was given .* of shape \(1,\)"):
        optimizer.step()


@pytest.mark.parametrize("copied", [deepcopy, lambda both: pickle.loads(pickle.dumps(both))])
def test_copy_of_model_and_optimizer_goes_on_by_itself(copied: Any) -> None:
    def step(layer: nn.Linear, optimizer: optim.Optimizer) -> float:
        optimizer.zero_grad()
        loss = ops.mse_loss(layer(Tensor(x)), Tensor(y))
        loss.backward()
        optimizer.step()
        return loss.item()

    rng = np.random.default_rng(0)
    x, y = (rng.standard_normal((5, n)).astype(np.float32) for n in (3, 2))
    layer = nn.Linear(3, 2, rng=rng)
    optimizer = optim.Adam(layer.parameters(), lr=0.1)
    step(layer, optimizer)
    other_layer, other_optimizer = copied((layer, optimizer))
    expected = [step(layer, optimizer) for _ in range(5)]
    assert [step(other_layer, other_optimizer) for _ in range(5)] == expected
    assert np.array_equal(other_layer.weight.data, layer.weight.data)


if __name__ == "__main__":
    raise SystemExit(pytest.main([__file__, "-q"]))
