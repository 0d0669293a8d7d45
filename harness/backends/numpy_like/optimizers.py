"""Optimizers under PyTorch's names, in plain numpy, for engines that bring none with a state.

`bound(OPTIMIZERS, engine=...)` makes those of one engine. A parameter without a gradient is
left alone, as are its moments and its step count. Numbers are never changed in place: what an
engine or a reader holds of them stays as it was.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import ClassVar

import numpy as np

from harness.backends.base import Backend, Parameter

# What an optimizer remembers of one parameter; nothing before its first step.
Moments = tuple[np.ndarray, ...]


class Optimizer:
    """What all optimizers share: the parameters, their moments, zero_grad and step."""

    engine: ClassVar[Backend]

    def __init__(self, parameters: Iterable[Parameter], lr: float, weight_decay: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__} got no parameters")
        if len(set(map(id, self.parameters))) < len(self.parameters):
            raise ValueError(f"{type(self).__name__} got the same parameter twice")
        _at_least_zero(lr=lr, weight_decay=weight_decay)
        self.lr = lr
        self.weight_decay = weight_decay
        self.steps = [0] * len(self.parameters)
        self.moments: list[Moments] = [()] * len(self.parameters)

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for parameter in self.parameters:
            self.engine.set_gradient(parameter, None)

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for i, parameter in enumerate(self.parameters):
            gradient = self.engine.gradient(parameter)
            if gradient is None:
                continue
            self.steps[i] += 1
            data = self.engine.array(parameter)
            start, g = self._decayed(data, gradient) if self.weight_decay else (data, gradient)
            moved, self.moments[i] = self._moved(start, g, self.moments[i], self.steps[i])
            self.engine.set_value(parameter, moved.astype(data.dtype, copy=False))

    def _decayed(self, data: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Parameter and gradient with the weight decay in one of them: here in the gradient."""
        return data, g + self.weight_decay * data

    def _moved(
        self, data: np.ndarray, g: np.ndarray, moments: Moments, count: int
    ) -> tuple[np.ndarray, Moments]:
        """The parameter and its moments after step `count`, which starts at 1."""
        raise NotImplementedError(type(self).__name__)


class SGD(Optimizer):
    """v = momentum v + g; p -= lr v (with nesterov: p -= lr (g + momentum v)).

    Source: Sutskever et al. 2013, in PyTorch's form.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        _at_least_zero(momentum=momentum)
        if nesterov and momentum == 0.0:
            raise ValueError("SGD: nesterov needs a momentum above 0")
        self.momentum = momentum
        self.nesterov = nesterov

    def _moved(
        self, data: np.ndarray, g: np.ndarray, moments: Moments, count: int
    ) -> tuple[np.ndarray, Moments]:
        if self.momentum:
            velocity = self.momentum * moments[0] + g if moments else g.copy()
            moments = (velocity,)
            g = g + self.momentum * velocity if self.nesterov else velocity
        return data - self.lr * g, moments


class Adam(Optimizer):
    """p -= lr m' / (sqrt(v') + eps), with bias-corrected moments m' and v'.

    `weight_decay` is added to the gradient. Source: Kingma and Ba 2015, algorithm 1.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(parameters, lr, weight_decay)
        _at_least_zero(eps=eps)
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"{type(self).__name__}: betas must be in [0, 1), got {betas}")
        self.betas = betas
        self.eps = eps

    def _moved(
        self, data: np.ndarray, g: np.ndarray, moments: Moments, count: int
    ) -> tuple[np.ndarray, Moments]:
        mean, square = moments or (np.zeros_like(data), np.zeros_like(data))
        beta1, beta2 = self.betas
        mean = beta1 * mean + (1.0 - beta1) * g
        square = beta2 * square + (1.0 - beta2) * (g * g)
        root = np.sqrt(square) * (1.0 / math.sqrt(1.0 - beta2**count)) + self.eps
        return data - self.lr / (1.0 - beta1**count) * (mean / root), (mean, square)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters themselves, apart from the moments.

    Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def _decayed(self, data: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return data * (1.0 - self.lr * self.weight_decay), g


def _at_least_zero(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0.0:
            raise ValueError(f"{name} must be at least 0, got {value}")


OPTIMIZERS = (SGD, Adam, AdamW)
