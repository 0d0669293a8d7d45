"""Losses that are not the loss they are called."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn, ops
from harness.autograd.ops.losses import (
    BinaryCrossEntropyWithLogitsBackward,
    CrossEntropyBackward,
    Reduction,
    _reduced,
    binary_cross_entropy_with_logits,
    mse_loss,
)
from harness.faults.base import fault
from harness.faults.ground import Ground

_SOFTMAX_LOSS = ("mlp", "cnn", "transformer")
_LOGISTIC_LOSS = ("perceptron", "xor")

_CROSS_ENTROPY = ("cross_entropy", "CrossEntropyLoss")
_BINARY = ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss")
_GRADIENTS = ("ops_differentiate_right", "gradients_agree")
_VALUES = ("ops_compute_right", "loss_is_honest")

Array = np.ndarray


# --- cross-entropy --------------------------------------------------------------------------


@fault(*_SOFTMAX_LOSS, component=_CROSS_ENTROPY, seen_by=("gradients_agree", "loss_is_honest"))
def ce_double_softmax(ground: Ground) -> None:
    """Cross-entropy takes a softmax of the logits, and then another one."""

    class OfProbabilities(nn.CrossEntropyLoss):
        def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
            return super().__call__(ops.softmax(logits, 1), target)

    ground.swap("losses", "CrossEntropyLoss", OfProbabilities)


@fault(*_SOFTMAX_LOSS, component=_CROSS_ENTROPY, seen_by=_GRADIENTS)
def ce_sign_flipped(ground: Ground) -> None:
    """The gradient of cross-entropy points uphill."""
    right = CrossEntropyBackward.apply
    ground.patch(CrossEntropyBackward, "apply", lambda self, g: right(self, -g))


@fault(*_SOFTMAX_LOSS, component=_CROSS_ENTROPY, seen_by=_GRADIENTS)
def ce_grad_no_onehot(ground: Ground) -> None:
    """The gradient of cross-entropy is the softmax, without the target taken off."""

    def apply(self: CrossEntropyBackward, grad_output: Array) -> tuple[Array]:
        (logits,) = self.saved_tensors
        grad = self.probabilities * (grad_output * self.factor)
        moved = grad.reshape(logits.shape[0], *logits.shape[2:], logits.shape[1])
        return (np.moveaxis(moved, -1, 1),)

    ground.patch(CrossEntropyBackward, "apply", apply)


@fault(component=_CROSS_ENTROPY, seen_by=("ops_differentiate_right",))
def ce_grad_not_moved(ground: Ground) -> None:
    """Cross-entropy of (N, C, d): classes stay on the last axis of the gradient, by reshape."""
    right = CrossEntropyBackward.apply

    def apply(self: CrossEntropyBackward, grad_output: Array) -> tuple[Array]:
        (grad,) = right(self, grad_output)
        return (np.moveaxis(grad, 1, -1).reshape(grad.shape),)

    ground.patch(CrossEntropyBackward, "apply", apply)


# --- binary cross-entropy -------------------------------------------------------------------


@fault(*_LOGISTIC_LOSS, component=_BINARY, seen_by=_VALUES)
def bce_no_max_term(ground: Ground) -> None:
    """Binary cross-entropy lacks max(x, 0): too small for every logit above 0."""
    right = binary_cross_entropy_with_logits

    def without(x: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        loss = right(x, target, reduction)
        loss.data = loss.data - _reduced(np.maximum(x.data, 0), reduction)[0]
        return loss

    ground.replace(right, without)


@fault(*_LOGISTIC_LOSS, component=_BINARY, seen_by=_GRADIENTS)
def bce_grad_positive_only(ground: Ground) -> None:
    """The gradient of binary cross-entropy forgets examples whose target is 0."""
    right = BinaryCrossEntropyWithLogitsBackward.apply

    def apply(
        self: BinaryCrossEntropyWithLogitsBackward, grad_output: Array
    ) -> tuple[Array, Array | None]:
        grad, grad_target = right(self, grad_output)
        return grad * (self.saved_tensors[1].data > 0), grad_target

    ground.patch(BinaryCrossEntropyWithLogitsBackward, "apply", apply)


@fault(*_LOGISTIC_LOSS, component=_BINARY, seen_by=_GRADIENTS)
def bce_grad_large_logits(ground: Ground) -> None:
    """The gradient of binary cross-entropy for logits above 0 is that of the hinge: -y + 1/2."""
    right = BinaryCrossEntropyWithLogitsBackward.apply

    def apply(
        self: BinaryCrossEntropyWithLogitsBackward, grad_output: Array
    ) -> tuple[Array, Array | None]:
        x, target = self.saved_tensors
        grad, grad_target = right(self, grad_output)
        hinge = (0.5 - target.data) * (grad_output * self.factor)
        is_positive = (x.data > 0).astype(grad.dtype)
        return hinge * is_positive + grad * (1.0 - is_positive), grad_target

    ground.patch(BinaryCrossEntropyWithLogitsBackward, "apply", apply)


@fault(component=_BINARY, seen_by=("ops_differentiate_right",))
def bce_grad_target_sign(ground: Ground) -> None:
    """Binary cross-entropy: the gradient of the target has the wrong sign."""
    right = BinaryCrossEntropyWithLogitsBackward.apply

    def apply(
        self: BinaryCrossEntropyWithLogitsBackward, grad_output: Array
    ) -> tuple[Array, Array | None]:
        grad, grad_target = right(self, grad_output)
        return grad, None if grad_target is None else -grad_target

    ground.patch(BinaryCrossEntropyWithLogitsBackward, "apply", apply)


# --- squared error --------------------------------------------------------------------------


@fault(component=("mse_loss", "MSELoss"), seen_by=("ops_compute_right",))
def mse_mean_over_rows(ground: Ground) -> None:
    """The mean squared error divides by the number of rows, not of numbers."""
    right = mse_loss

    def by_rows(x: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        loss = right(x, target, reduction)
        return loss if reduction == "sum" or x.ndim == 0 else loss * (x.size / len(x))

    ground.replace(right, by_rows)
