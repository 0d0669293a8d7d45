"""Gradients and losses that are off by a factor."""

from __future__ import annotations

from harness.autograd.ops.losses import CrossEntropyBackward
from harness.faults.base import fault
from harness.faults.ground import Ground

_SOFTMAX_LOSS = ("mlp", "cnn", "transformer")


@fault(
    *_SOFTMAX_LOSS, component=("cross_entropy", "CrossEntropyLoss"), seen_by=("gradients_agree",)
)
def ce_grad_factor2(ground: Ground) -> None:
    """The gradient of cross-entropy is multiplied by 2."""
    right = CrossEntropyBackward.apply
    ground.patch(CrossEntropyBackward, "apply", lambda self, g: (2.0 * right(self, g)[0],))
