"""Losses as objects: CrossEntropyLoss, BCEWithLogitsLoss, MSELoss."""

from __future__ import annotations

from harness.autograd import ops
from harness.autograd.ops.losses import Reduction
from harness.autograd.tensor import Tensor


class CrossEntropyLoss:
    """-log softmax(logits)[target]; logits (N, C, ...), target (N, ...) of classes."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        self.reduction = reduction

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        return ops.cross_entropy(logits, target, self.reduction)


class BCEWithLogitsLoss:
    """Binary cross-entropy of a logit; both inputs of one shape, targets in [0, 1]."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        self.reduction = reduction

    def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
        return ops.binary_cross_entropy_with_logits(logits, target, self.reduction)


class MSELoss:
    """Squared difference; both inputs of one shape."""

    def __init__(self, reduction: Reduction = "mean") -> None:
        self.reduction = reduction

    def __call__(self, x: Tensor, target: Tensor) -> Tensor:
        return ops.mse_loss(x, target, self.reduction)
