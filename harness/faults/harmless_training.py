"""Other right ways to start, to step and to order: nobody may be accused of them."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from harness.autograd import init
from harness.autograd.optim import SGD, Optimizer
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.faults.base import fault
from harness.faults.ground import Ground
from harness.streams import stream
from harness.training import Learner, batches

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")

uniform_fan_in = init.uniform_fan_in


@fault(*_ALL, is_harmless=True)
def ok_init_xavier_uniform(ground: Ground) -> None:
    """Weights start uniform by Xavier's rule, from both fan-in and fan-out."""

    def xavier(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        if len(shape) == 1:
            return uniform_fan_in(shape, fan_in, rng)
        fan_out = fan_in * shape[0] // max(shape[1], 1)
        bound = math.sqrt(6.0 / max(fan_in + fan_out, 1))
        return rng.uniform(-bound, bound, shape).astype(np.float32)

    ground.replace(uniform_fan_in, xavier)


@fault(*_ALL, is_harmless=True)
def ok_init_he_normal(ground: Ground) -> None:
    """Weights start normal by He's rule, with variance 2 / fan-in."""

    def he(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        if len(shape) == 1:
            return uniform_fan_in(shape, fan_in, rng)
        weights = math.sqrt(2.0 / max(fan_in, 1)) * rng.standard_normal(shape)
        return weights.astype(np.float32)

    ground.replace(uniform_fan_in, he)


@fault(*_ALL, is_harmless=True)
def ok_bias_init_uniform(ground: Ground) -> None:
    """Biases start at zero (here, they start uniform in +-1/sqrt(fan-in))."""

    def zero_biases(shape: tuple[int, ...], fan_in: int, rng: np.random.Generator) -> np.ndarray:
        start = uniform_fan_in(shape, fan_in, rng)
        return start if len(shape) > 1 else np.zeros_like(start)

    ground.replace(uniform_fan_in, zero_biases)


@fault("mlp", "cnn", "transformer", is_harmless=True)
def ok_warmup_zero_first(ground: Ground) -> None:
    """A schedule whose first step has the learning rate 0: k/warmup instead of (k+1)/warmup."""
    right = Learner.step

    def step(self: Learner, done: float) -> None:
        # done = 1 is where the schedule ends: at zero.
        right(self, 1.0 if done == 0.0 else done)

    ground.patch(Learner, "step", step)


@fault("mlp", is_harmless=True)
def ok_momentum_torch_vs_sutskever(ground: Ground) -> None:
    """The learning rate stands inside the velocity: v = mu v + lr g, p -= v."""

    def update(
        self: SGD, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
    ) -> None:
        g = grad + self.weight_decay * data if self.weight_decay else grad
        if not self.momentum:
            data -= self.lr * g
            return
        (velocity,) = moments
        velocity *= self.momentum
        velocity += self.lr * g
        data -= self.momentum * velocity + self.lr * g if self.nesterov else velocity

    ground.patch(SGD, "_update", update)


@fault(*_ALL, is_harmless=True)
def ok_gradients_zeroed(ground: Ground) -> None:
    """zero_grad writes zeros where others forget the gradient."""

    def zero_grad(self: Optimizer) -> None:
        for parameter in self.parameters:
            parameter.grad = np.zeros_like(parameter.data)

    ground.patch(Optimizer, "zero_grad", zero_grad)


@fault(*_ALL, is_harmless=True)
def ok_order_drawn_otherwise(ground: Ground) -> None:
    """Examples are ordered by sorting random numbers, which gives other orders as random."""

    def changed(
        config: MilestoneConfig, dataset: Dataset, seed: int
    ) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        order, data, size = stream(seed, "order"), stream(seed, "data"), config.training.batch_size
        for _ in range(config.training.epochs):
            x, y = dataset.epoch(data)
            rows = np.argsort(order.random(len(x)))
            for start in range(0, len(x), size):
                chosen = rows[start : start + size]
                yield x[chosen], y[chosen]

    ground.replace(batches, changed)
