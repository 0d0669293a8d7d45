"""Optimizers, clipping and decay from their papers: what one step should add to a tensor.

`RULES[name]` gives every right reading of an optimizer, PyTorch's first. Each makes a rule that
remembers the moments of its numbers: `rule.change(p, g, rate)`, step by step. Rules work number
by number, so one may take several tensors end to end, as long as their gradients come together.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Protocol

import numpy as np

from harness.oracles.formulas import wide


class Rule(Protocol):
    """An optimizer, as some numbers feel it."""

    def change(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        """What a step with gradient g and learning rate `rate` adds to the numbers p."""

    def rest(self) -> None:
        """A step to which these numbers bring no gradient: they stay where they are."""


class SGD:
    """v = momentum v + (1 - dampening) g; p -= rate v (with nesterov: p -= rate (g + momentum v)).

    `rate_inside` has the learning rate in the velocity, v = momentum v + rate g, p -= v: the
    same as long as the rate stays. The first velocity is g itself, unless `damps_first`.
    Sutskever et al. 2013; PyTorch keeps the rate outside.
    """

    def __init__(
        self,
        momentum: float = 0.0,
        weight_decay: float = 0.0,
        nesterov: bool = False,
        dampening: float = 0.0,
        *,
        rate_inside: bool = False,
        damps_first: bool = False,
    ) -> None:
        self.momentum, self.weight_decay = momentum, weight_decay
        self.nesterov, self.dampening = nesterov, dampening
        self.rate_inside = rate_inside
        self.share = 1.0 - dampening if damps_first else 1.0
        self.velocity = np.zeros(())

    def change(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        """See Rule."""
        inside, outside = (rate, 1.0) if self.rate_inside else (1.0, rate)
        g = inside * (wide(g) + self.weight_decay * wide(p))
        if not self.momentum:
            return np.asarray(-outside * g)
        self.velocity = self.momentum * self.velocity + self.share * g
        self.share = 1.0 - self.dampening
        step = g + self.momentum * self.velocity if self.nesterov else self.velocity
        return np.asarray(-outside * step)

    def rest(self) -> None:
        """See Rule."""


class Adam:
    """p -= rate m' / (sqrt(v') + eps), m' and v' corrected for starting at zero.

    `decoupled` shrinks p itself, by rate weight_decay p, where weight decay is otherwise a part
    of the gradient. `amsgrad` divides by the largest v so far. `eps_corrected` adds eps before
    v is corrected, as section 2 of the paper has it for speed; `counts_rests` has one count of
    steps for all tensors, whether they bring a gradient or not. Kingma and Ba 2015, algorithm 1;
    Loshchilov and Hutter 2019, algorithm 2; Reddi et al. 2018, algorithm 2.
    """

    def __init__(
        self,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
        amsgrad: bool = False,
        *,
        decoupled: bool = False,
        eps_corrected: bool = False,
        counts_rests: bool = False,
    ) -> None:
        self.betas, self.eps, self.weight_decay, self.amsgrad = betas, eps, weight_decay, amsgrad
        self.decoupled, self.eps_corrected = decoupled, eps_corrected
        self.counts_rests = counts_rests
        self.mean, self.square, self.largest = np.zeros(()), np.zeros(()), np.zeros(())
        self.steps = 0

    def change(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
        """See Rule."""
        decay = self.weight_decay * wide(p)
        g = wide(g) if self.decoupled else wide(g) + decay
        (beta1, beta2), self.steps = self.betas, self.steps + 1
        self.mean = beta1 * self.mean + (1.0 - beta1) * g
        self.square = beta2 * self.square + (1.0 - beta2) * g * g
        self.largest = np.maximum(self.largest, self.square)
        mean = self.mean / (1.0 - beta1**self.steps)
        correction = math.sqrt(1.0 - beta2**self.steps)
        root = np.sqrt(self.largest if self.amsgrad else self.square) / correction
        eps = self.eps / correction if self.eps_corrected else self.eps
        change = -rate * mean / (root + eps)
        return np.asarray(change - rate * decay if self.decoupled else change)

    def rest(self) -> None:
        """See Rule."""
        self.steps += self.counts_rests


def _readings(adam: Callable[..., Rule]) -> list[Callable[..., Rule]]:
    """Every right reading of a kind of Adam."""
    return [
        partial(adam, eps_corrected=eps_corrected, counts_rests=counts_rests)
        for eps_corrected in (False, True)
        for counts_rests in (False, True)
    ]


# By name, all readings that are right; each takes PyTorch's options but for lr.
RULES: Mapping[str, Sequence[Callable[..., Rule]]] = {
    "SGD": [
        partial(SGD, rate_inside=rate_inside, damps_first=damps_first)
        for damps_first in (False, True)
        for rate_inside in (False, True)
    ],
    "Adam": _readings(Adam),
    "AdamW": _readings(partial(Adam, weight_decay=1e-2, decoupled=True)),
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
