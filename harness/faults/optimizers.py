"""Update rules of SGD that are almost right, and steps that no optimizer should take."""

from __future__ import annotations

import math

import numpy as np

from harness.autograd.optim import SGD, Optimizer
from harness.autograd.tensor import Tensor
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_PLAIN = ("perceptron", "xor", "mlp")
_MOMENTUM = ("mlp",)
_EVERY = ("SGD", "Adam", "AdamW", "the training loop")
_RULE = ("optimizers_follow_their_rule",)

Array = np.ndarray
Moments = list[np.ndarray]


# --- SGD ------------------------------------------------------------------------------------


@fault(*_MOMENTUM, component=("SGD",), seen_by=_RULE)
def mom_alias_first(ground: Ground) -> None:
    """Momentum: the buffer starts as the gradient and takes it once more in the first step."""
    right = SGD._update

    def update(self: SGD, data: Array, grad: Array, moments: Moments, count: int) -> None:
        if count == 1:
            moments[0][...] = grad
        right(self, data, grad, moments, count)

    ground.patch(SGD, "_update", update)


@fault(*_MOMENTUM, component=("SGD",), seen_by=_RULE)
def mom_reset(ground: Ground) -> None:
    """Momentum: the buffer is made anew at every step, so that nothing is remembered."""
    right = SGD._update

    def update(self: SGD, data: Array, grad: Array, moments: Moments, count: int) -> None:
        right(self, data, grad, [np.zeros_like(data)], count)

    ground.patch(SGD, "_update", update)


@fault(*_MOMENTUM, component=("SGD",), seen_by=_RULE)
def mom_wrong_term(ground: Ground) -> None:
    """Momentum: v = v + mu g instead of v = mu v + g, so that the velocity never decays."""

    def update(self: SGD, data: Array, grad: Array, moments: Moments, count: int) -> None:
        g = grad + self.weight_decay * data if self.weight_decay else grad
        if self.momentum:
            (velocity,) = moments
            velocity += self.momentum * g
            g = g + self.momentum * velocity if self.nesterov else velocity
        data -= self.lr * g

    ground.patch(SGD, "_update", update)


@fault(*_MOMENTUM, component=("SGD",), seen_by=_RULE)
def mom_dampened(ground: Ground) -> None:
    """Momentum: v = mu v + (1 - mu) g, an average where a sum is meant."""

    def update(self: SGD, data: Array, grad: Array, moments: Moments, count: int) -> None:
        g = grad + self.weight_decay * data if self.weight_decay else grad
        if self.momentum:
            (velocity,) = moments
            velocity *= self.momentum
            velocity += (1.0 - self.momentum) * g
            g = g + self.momentum * velocity if self.nesterov else velocity
        data -= self.lr * g

    ground.patch(SGD, "_update", update)


@fault(*_MOMENTUM, component=("SGD",), seen_by=_RULE)
def nesterov_ignored(ground: Ground) -> None:
    """SGD takes `nesterov` and steps with plain momentum."""
    right = SGD.__init__

    def init(
        self: SGD,
        parameters: list[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        right(self, parameters, lr, momentum, weight_decay, nesterov=False)

    ground.patch(SGD, "__init__", init)


@fault(*_PLAIN, component=("SGD",), seen_by=_RULE)
def opt_sign_only(ground: Ground) -> None:
    """SGD steps with 0.01 sign(g) instead of g."""
    right = SGD._update

    def update(self: SGD, data: Array, grad: Array, moments: Moments, count: int) -> None:
        right(self, data, 0.01 * np.sign(grad), moments, count)

    ground.patch(SGD, "_update", update)


@fault(component=("SGD",), seen_by=_RULE)
def wd_twice(ground: Ground) -> None:
    """SGD adds the weight decay to the gradient and shrinks the weights by it as well."""
    right = SGD._update

    def update(self: SGD, data: Array, grad: Array, moments: Moments, count: int) -> None:
        shrunk = self.lr * self.weight_decay * data
        right(self, data, grad, moments, count)
        data -= shrunk

    ground.patch(SGD, "_update", update)


@fault(component=("SGD",), seen_by=_RULE)
def wd_after_momentum(ground: Ground) -> None:
    """SGD adds the weight decay after the momentum, so that the velocity never sees it."""

    def update(self: SGD, data: Array, grad: Array, moments: Moments, count: int) -> None:
        g = grad
        if self.momentum:
            (velocity,) = moments
            velocity *= self.momentum
            velocity += g
            g = g + self.momentum * velocity if self.nesterov else velocity
        data -= self.lr * (g + self.weight_decay * data if self.weight_decay else g)

    ground.patch(SGD, "_update", update)


@fault(*_PLAIN, component=("SGD",), seen_by=_RULE)
def lr_by_tensor_size(ground: Ground) -> None:
    """SGD divides the learning rate by the square root of each tensor's size."""

    def step(self: SGD) -> None:
        for group in self._groups:
            arrived = group.flat.gather()
            group.steps = [n + has for n, has in zip(group.steps, arrived, strict=True)]
            lr, starts, ends = self.lr, group.flat.starts, group.flat.ends
            for i in np.flatnonzero(arrived):
                run = slice(starts[i], ends[i])
                self.lr = lr / math.sqrt(max(ends[i] - starts[i], 1))
                moments = [moment[run] for moment in group.moments]
                self._update(group.flat.data[run], group.flat.grad[run], moments, group.steps[i])
            self.lr = lr

    ground.patch(SGD, "step", step)


# --- any optimizer --------------------------------------------------------------------------


@fault(*_ALL, component=_EVERY, seen_by=_RULE)
def opt_grad_int(ground: Ground) -> None:
    """Gradients are cut to two decimals before the step, so that small ones are ignored."""
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        for parameter in self.parameters:
            if parameter.grad is not None:
                parameter.grad = np.trunc(parameter.grad * 100) / 100
        right(self)

    ground.patch(Optimizer, "step", step)


@fault(*_ALL, component=_EVERY, seen_by=_RULE)
def fp16_weights(ground: Ground) -> None:
    """Weights are rounded to float16 after each step, so that tiny updates are lost."""
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        right(self)
        for parameter in self.parameters:
            parameter.data[...] = parameter.data.astype(np.float16)

    ground.patch(Optimizer, "step", step)


@fault(*_ALL, component=_EVERY, seen_by=_RULE)
def gradient_noise(ground: Ground) -> None:
    """Every step adds noise to the gradients, a twentieth of their size."""
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        rng = vars(self).setdefault("noise", np.random.default_rng(0))
        for parameter in self.parameters:
            g = parameter.grad
            if g is not None and g.size:
                size = 0.05 * np.sqrt(np.mean(g * g))
                parameter.grad = (g + size * rng.standard_normal(g.shape)).astype(g.dtype)
        right(self)

    ground.patch(Optimizer, "step", step)


@fault(*_ALL, component=_EVERY, seen_by=_RULE)
def update_every_second_step(ground: Ground) -> None:
    """Every second call of step() does nothing."""
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        calls = vars(self)["calls"] = vars(self).get("calls", 0) + 1
        if calls % 2:
            right(self)

    ground.patch(Optimizer, "step", step)


@fault(*_ALL, component=_EVERY, seen_by=_RULE)
def update_from_old_weights(ground: Ground) -> None:
    """Steps start from a copy of the weights that was made once: data = start - lr g."""
    right = Optimizer.step

    def step(self: Optimizer) -> None:
        starts = vars(self).setdefault("starts", [p.data.copy() for p in self.parameters])
        for parameter, start in zip(self.parameters, starts, strict=True):
            parameter.data = start.copy()
        right(self)

    ground.patch(Optimizer, "step", step)
