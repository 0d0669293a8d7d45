"""dropout: switch numbers off at random while training."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.function import Function
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


class DropoutBackward(Function):
    """The gradient passes where the number passed, with the same factor."""

    def __init__(self, x: Tensor, factors: np.ndarray) -> None:
        super().__init__(x)
        self.factors = factors

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output * self.factors,)


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None
) -> Tensor:
    """Zero each number with probability p and scale the others by 1/(1-p) (Srivastava 2014).

    Outside training, or with p = 0, `x` itself. Without `rng` a fresh one is used.
    Raises ValueError for p outside [0, 1].
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"dropout: p must be between 0 and 1, got {p}")
    if not training or p == 0.0:
        return x
    draws = (np.random.default_rng() if rng is None else rng).random(x.shape, dtype=np.float32)
    keep = (draws >= p).astype(x.dtype)
    factors = keep / (1.0 - p) if p < 1.0 else keep * 0.0
    return x.from_op(x.data * factors, DropoutBackward(x, factors))


def _seeded(x: Tensor, p: float) -> Tensor:
    """The same draws at every call, so that differences can be taken."""
    return dropout(x, p, rng=np.random.default_rng(7))


CASES = [
    OpCase(dropout, [(4, 5)], {"p": 0.5}, adapt=_seeded),
    OpCase(dropout, [(2, 3, 4)], {"p": 0.2}, adapt=_seeded),
]
