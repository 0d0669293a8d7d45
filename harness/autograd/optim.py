"""Optimizers under PyTorch's names: SGD, Adam, AdamW; and clip_grad_norm.

A parameter without a gradient is left alone, as are its moments and its step count.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np

from harness.autograd.flat import Flat
from harness.autograd.tensor import Tensor


class Optimizer:
    """What all optimizers share: the parameters, their buffers, zero_grad and step."""

    def __init__(self, parameters: Iterable[Tensor], lr: float) -> None:
        self.parameters = list(parameters)
        if not self.parameters:
            raise ValueError(f"{type(self).__name__} got no parameters")
        if len({id(parameter) for parameter in self.parameters}) < len(self.parameters):
            raise ValueError(f"{type(self).__name__} got the same parameter twice")
        _at_least_zero(lr=lr)
        self.lr = lr
        dtypes = dict.fromkeys(parameter.dtype for parameter in self.parameters)
        self._groups = [
            _Group([p for p in self.parameters if p.dtype == dtype], self._moments)
            for dtype in dtypes
        ]

    # How many running buffers the rule keeps per parameter.
    _moments = 0

    def zero_grad(self) -> None:
        """Forget the gradients: `.grad` of every parameter is None again."""
        for parameter in self.parameters:
            parameter.grad = None

    def step(self) -> None:
        """Move every parameter that has a gradient."""
        for group in self._groups:
            flat = group.flat
            arrived = flat.gather()
            group.steps = [n + has for n, has in zip(group.steps, arrived, strict=True)]
            for run, count in flat.runs(arrived, group.steps):
                if run is None:
                    self._update(flat.data, flat.grad, group.moments, count)
                    continue
                moments = [moment[run] for moment in group.moments]
                self._update(flat.data[run], flat.grad[run], moments, count)

    def _update(
        self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
    ) -> None:
        """Change `data` and `moments` in place; `grad` is only read. `count` starts at 1."""
        raise NotImplementedError


class _Group:
    """The parameters of one dtype with their buffers, moments and step counts."""

    def __init__(self, parameters: list[Tensor], moments: int) -> None:
        self.flat = Flat(parameters)
        self.moments = [np.zeros_like(self.flat.data) for _ in range(moments)]
        self.steps = [0] * len(parameters)


class SGD(Optimizer):
    """v = momentum v + g; p -= lr v (with nesterov: p -= lr (g + momentum v)).

    Source: Sutskever et al. 2013, in PyTorch's form.
    """

    _moments = 1

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
    ) -> None:
        _at_least_zero(momentum=momentum, weight_decay=weight_decay)
        if nesterov and momentum == 0.0:
            raise ValueError("SGD: nesterov needs a momentum above 0")
        self.momentum = momentum
        self.weight_decay = weight_decay
        self.nesterov = nesterov
        super().__init__(parameters, lr)

    def _update(
        self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
    ) -> None:
        g = grad + self.weight_decay * data if self.weight_decay else grad
        if self.momentum:
            (velocity,) = moments
            velocity *= self.momentum
            velocity += g
            g = g + self.momentum * velocity if self.nesterov else velocity
        data -= self.lr * g


class Adam(Optimizer):
    """p -= lr m' / (sqrt(v') + eps), with bias-corrected moments m' and v'.

    `weight_decay` is added to the gradient. Source: Kingma and Ba 2015, algorithm 1.
    """

    _moments = 2

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        _at_least_zero(eps=eps, weight_decay=weight_decay)
        if not all(0.0 <= beta < 1.0 for beta in betas):
            raise ValueError(f"{type(self).__name__}: betas must be in [0, 1), got {betas}")
        self.betas = betas
        self.eps = eps
        self.weight_decay = weight_decay
        super().__init__(parameters, lr)

    def _update(
        self, data: np.ndarray, grad: np.ndarray, moments: list[np.ndarray], count: int
    ) -> None:
        g = self._decay(data, grad) if self.weight_decay else grad
        # Kept without their factors 1 - beta, which are made up for in one go with the bias.
        mean, square = moments
        beta1, beta2 = self.betas
        mean *= beta1
        mean += g
        # One array for all that lies between: new ones would cost more than the arithmetic.
        part = np.multiply(g, g)
        square *= beta2
        square += part
        np.sqrt(square, out=part)
        part *= math.sqrt((1.0 - beta2) / (1.0 - beta2**count))
        part += self.eps
        np.divide(mean, part, out=part)
        part *= self.lr * (1.0 - beta1) / (1.0 - beta1**count)
        data -= part

    def _decay(self, data: np.ndarray, grad: np.ndarray) -> np.ndarray:
        """The gradient that the moments see."""
        return np.asarray(grad + self.weight_decay * data)


class AdamW(Adam):
    """Adam whose weight decay shrinks the parameters themselves, apart from the moments.

    Source: Loshchilov and Hutter 2019, algorithm 2.
    """

    def __init__(
        self,
        parameters: Iterable[Tensor],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(parameters, lr, betas, eps, weight_decay)

    def _decay(self, data: np.ndarray, grad: np.ndarray) -> np.ndarray:
        data *= 1.0 - self.lr * self.weight_decay
        return grad


def clip_grad_norm(parameters: Iterable[Tensor], max_norm: float) -> float:
    """Scale all gradients together so that their norm is at most `max_norm`.

    Returns the norm before clipping. As in PyTorch, 1e-6 is added to it in the division.
    Source: Pascanu et al. 2013.
    """
    grads = [p.grad for p in parameters if p.grad is not None]
    norm = math.sqrt(sum(float(np.vdot(g, g)) for g in grads))
    if norm > max_norm:
        factor = max_norm / (norm + 1e-6)
        for grad in grads:
            grad *= factor
    return norm


def _at_least_zero(**values: float) -> None:
    for name, value in values.items():
        if not value >= 0.0:
            raise ValueError(f"{name} must be at least 0, got {value}")
