"""Dropout as a layer: switched off or on at the wrong time, or drawing the wrong masks."""

from __future__ import annotations

from copy import deepcopy

import numpy as np

from harness.autograd import Tensor, nn, ops
from harness.faults.base import fault
from harness.faults.ground import Ground

_DROPOUT = ("Dropout", "dropout")
_SEEN = ("ops_behave",)


@fault(component=_DROPOUT, seen_by=_SEEN)
def dropout_never(ground: Ground) -> None:
    """Dropout is never applied: the layer does not pass on that it is training."""

    class Never(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            return ops.dropout(x, self.p, False, self.rng)

    ground.swap("layers", "Dropout", Never)


@fault(component=_DROPOUT, seen_by=_SEEN)
def dropout_eval_on(ground: Ground) -> None:
    """Dropout stays active in evaluation."""

    class Always(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            return ops.dropout(x, self.p, True, self.rng)

    ground.swap("layers", "Dropout", Always)


@fault(component=_DROPOUT, seen_by=_SEEN)
def dropout_stuck_eval(ground: Ground) -> None:
    """Once it has been evaluated, dropout never goes back to training."""

    class Stuck(nn.Dropout):
        was_evaluated = False

        def forward(self, x: Tensor) -> Tensor:
            self.was_evaluated = self.was_evaluated or not self.training
            return ops.dropout(x, self.p, not self.was_evaluated, self.rng)

    ground.swap("layers", "Dropout", Stuck)


@fault(component=_DROPOUT, seen_by=_SEEN)
def dropout_fixed_mask(ground: Ground) -> None:
    """Dropout draws the same mask at every step."""

    class Fixed(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            return ops.dropout(x, self.p, self.training, deepcopy(self.rng))

    ground.swap("layers", "Dropout", Fixed)


@fault(component=_DROPOUT, seen_by=_SEEN)
def dropout_one_mask_per_batch(ground: Ground) -> None:
    """Dropout draws one mask and drops the same numbers of every example in the batch."""

    class Shared(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            ones = Tensor(np.ones((1, *x.shape[1:]), dtype=x.dtype))
            return x * ops.dropout(ones, self.p, self.training, self.rng).data

    ground.swap("layers", "Dropout", Shared)


@fault(component=_DROPOUT, seen_by=_SEEN)
def dropout_scales_twice(ground: Ground) -> None:
    """The layer scales up what dropout leaves, which the op has done already."""

    class ScalesAgain(nn.Dropout):
        def forward(self, x: Tensor) -> Tensor:
            y = super().forward(x)
            return y * (1.0 / (1.0 - self.p)) if self.training and self.p < 1.0 else y

    ground.swap("layers", "Dropout", ScalesAgain)
