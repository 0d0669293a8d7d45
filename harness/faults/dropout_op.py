"""Dropout as an op: it scales or draws wrongly, or goes back by another mask."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, ops
from harness.autograd.ops.dropout import DropoutBackward
from harness.faults.base import fault
from harness.faults.ground import Ground

_DROPOUT = ("dropout", "Dropout")

Array = np.ndarray
Rng = np.random.Generator


@fault(component=_DROPOUT, seen_by=("ops_behave",))
def dropout_no_scale(ground: Ground) -> None:
    """Dropout does not scale up what it leaves while training."""
    right = ops.dropout

    def unscaled(
        x: Tensor, p: float = 0.5, training: bool = True, rng: Rng | None = None
    ) -> Tensor:
        if not training or p in (0.0, 1.0):
            return right(x, p, training, rng)
        keep = right(Tensor(np.ones_like(x.data)), p, training, rng).data * (1.0 - p)
        return x.from_op(x.data * keep, DropoutBackward(x, keep))

    ground.replace(right, unscaled)


@fault(component=_DROPOUT, seen_by=("ops_behave",))
def dropout_keeps_p(ground: Ground) -> None:
    """Dropout keeps numbers with probability p instead of dropping them, and scales by 1/p."""
    right = ops.dropout

    def inverted(
        x: Tensor, p: float = 0.5, training: bool = True, rng: Rng | None = None
    ) -> Tensor:
        return right(x, 1.0 - p if 0.0 < p < 1.0 else p, training, rng)

    ground.replace(right, inverted)


@fault(component=_DROPOUT, seen_by=("ops_differentiate_right",))
def dropout_bwd_no_mask(ground: Ground) -> None:
    """Gradients pass dropout as if nothing had been dropped."""
    ground.patch(DropoutBackward, "apply", lambda self, grad_output: (grad_output,))


@fault(component=_DROPOUT, seen_by=("ops_differentiate_right",))
def dropout_bwd_new_mask(ground: Ground) -> None:
    """The backward half of dropout draws a mask of its own."""

    def apply(self: DropoutBackward, grad_output: Array) -> tuple[Array]:
        fresh = np.random.default_rng(self.factors.size)
        return (grad_output * fresh.permuted(self.factors.ravel()).reshape(self.factors.shape),)

    ground.patch(DropoutBackward, "apply", apply)


@fault(component=_DROPOUT, seen_by=("ops_behave",))
def dropout_whole_rows(ground: Ground) -> None:
    """Dropout draws once a row and drops whole rows."""
    right = ops.dropout

    def by_row(x: Tensor, p: float = 0.5, training: bool = True, rng: Rng | None = None) -> Tensor:
        if not training or p in (0.0, 1.0) or x.ndim < 2:
            return right(x, p, training, rng)
        ones = Tensor(np.ones((len(x), *[1] * (x.ndim - 1)), dtype=x.dtype))
        factors = np.broadcast_to(right(ones, p, training, rng).data, x.shape)
        return x.from_op(x.data * factors, DropoutBackward(x, factors))

    ground.replace(right, by_row)
