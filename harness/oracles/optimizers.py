"""Optimizers, clipping and decay from their papers: what one step should add to a tensor.

`RULES[name]` gives every right reading of an optimizer, PyTorch's first. Each makes one rule
a tensor, which remembers that tensor's moments: `rule.change(p, g, rate)`, step by step.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from harness.oracles.formulas import wide


class Rule(Protocol):
    """One tensor's part of an optimizer."""

    def change(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        """What a step with gradient g and learning rate `rate` adds to the numbers p."""


class SGD:
    """v = momentum v + g; p -= rate v (with nesterov: p -= rate (g + momentum v)).

    `rate_inside` has the learning rate in the velocity, v = momentum v + rate g, p -= v: the
    same as long as the rate stays. Sutskever et al. 2013; PyTorch keeps it outside.
    """

    def __init__(
        self,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        *,
        rate_inside: bool = False,
    ) -> None:
        self.momentum, self.weight_decay = momentum, weight_decay
        self.nesterov, self.rate_inside = nesterov, rate_inside
        self.velocity = np.zeros(())

    def change(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        """See Rule."""
        inside, outside = (rate, 1.0) if self.rate_inside else (1.0, rate)
        g = inside * (wide(g) + self.weight_decay * wide(p))
        self.velocity = self.momentum * self.velocity + g
        step = g + self.momentum * self.velocity if self.nesterov else self.velocity
        return np.asarray(-outside * step)


class Adam:
    """p -= rate m' / (sqrt(v') + eps), m' and v' corrected for starting at zero.

    `decoupled` shrinks p itself, by rate weight_decay p, where weight decay is otherwise a part
    of the gradient. Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
    """

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        *,
        decoupled: bool = False,
    ) -> None:
        self.betas, self.eps, self.weight_decay = betas, eps, weight_decay
        self.decoupled = decoupled
        self.mean, self.square, self.steps = np.zeros(()), np.zeros(()), 0

    def change(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        """See Rule."""
        decay = self.weight_decay * wide(p)
        g = wide(g) if self.decoupled else wide(g) + decay
        (beta1, beta2), self.steps = self.betas, self.steps + 1
        self.mean = beta1 * self.mean + (1.0 - beta1) * g
        self.square = beta2 * self.square + (1.0 - beta2) * g * g
        mean = self.mean / (1.0 - beta1**self.steps)
        root = np.sqrt(self.square / (1.0 - beta2**self.steps))
        change = -rate * mean / (root + self.eps)
        return np.asarray(change - rate * decay if self.decoupled else change)


# By name, all readings that are right; each takes PyTorch's options but for lr.
RULES: Mapping[str, Sequence[Callable[..., Rule]]] = {
    "SGD": (SGD, partial(SGD, rate_inside=True)),
    "Adam": (Adam,),
    "AdamW": (partial(Adam, weight_decay=1e-2, decoupled=True),),
}

# What is added to the norm before dividing by it: PyTorch's number, and the paper's.
CLIP_EPS = (1e-6, 0.0)


def global_norm(gradients: Sequence[np.ndarray | None]) -> float:
    """The Euclidean norm of all gradients together; those that are missing count nothing."""
    return math.sqrt(sum(float(np.sum(wide(g) ** 2)) for g in gradients if g is not None))


def clipped(
    gradients: Sequence[np.ndarray | None], max_norm: float, eps: float = CLIP_EPS[0]
) -> list[np.ndarray | None]:
    """All gradients times one factor, if their norm is above `max_norm` (Pascanu et al. 2013)."""
    norm = global_norm(gradients)
    factor = max_norm / (norm + eps) if norm > max_norm else 1.0
    return [None if g is None else wide(g) * factor for g in gradients]


def linear_decay(lr: float, steps: int) -> list[float]:
    """The learning rate of every step, from lr down to zero in equal parts."""
    return [lr * (1.0 - step / steps) for step in range(steps)]
