"""Normalisation over the wrong axis, by the wrong statistics, or with half of its gradient."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from harness.autograd import Tensor, nn, ops
from harness.autograd.kernels import row_means
from harness.autograd.ops.normalization import LayerNormBackward
from harness.faults.base import fault
from harness.faults.composed import ComposedLayerNorm
from harness.faults.ground import Ground

_NORM = ("LayerNorm", "layer_norm")
_GRADIENTS = ("ops_differentiate_right", "gradients_agree")
_FORWARD = ("forward_agrees",)

Array = np.ndarray
Axes = tuple[int, ...]


# --- statistics -----------------------------------------------------------------------------


@fault("transformer", component=_NORM, seen_by=("forward_agrees", "causality_holds"))
def ln_axis_batch(ground: Ground) -> None:
    """Layer norm takes mean and variance over the batch: an example depends on the others."""

    class OverTheBatch(ComposedLayerNorm):
        def axes(self, x: Tensor) -> Axes:
            return (0,)

    ground.swap("layers", "LayerNorm", OverTheBatch)


@fault("transformer", component=_NORM, seen_by=_FORWARD)
def ln_no_center(ground: Ground) -> None:
    """Layer norm does not take the mean off."""

    class NotCentred(ComposedLayerNorm):
        def centred(self, x: Tensor, axes: Axes) -> Tensor:
            return x

    ground.swap("layers", "LayerNorm", NotCentred)


@fault("transformer", component=_NORM, seen_by=_FORWARD)
def ln_no_sqrt(ground: Ground) -> None:
    """Layer norm divides by the variance instead of its square root."""

    class ByVariance(ComposedLayerNorm):
        def sigma(self, centred: Tensor, axes: Axes) -> Tensor:
            return (centred * centred).mean(axes, keepdim=True) + self.eps

    ground.swap("layers", "LayerNorm", ByVariance)


@fault("transformer", component=_NORM, seen_by=_FORWARD)
def ln_unbiased_variance(ground: Ground) -> None:
    """Layer norm takes the variance over D - 1 numbers instead of D."""

    class Unbiased(ComposedLayerNorm):
        def sigma(self, centred: Tensor, axes: Axes) -> Tensor:
            count = int(np.prod([centred.shape[axis] for axis in axes]))
            total = (centred * centred).sum(axes, keepdim=True)
            return (total / max(count - 1, 1) + self.eps).sqrt()

    ground.swap("layers", "LayerNorm", Unbiased)


@fault("transformer", component=_NORM, seen_by=_FORWARD)
def ln_variance_not_centred(ground: Ground) -> None:
    """Layer norm takes the mean of the squares for the variance, mean included."""

    class MeanOfSquares(ComposedLayerNorm):
        def forward(self, x: Tensor) -> Tensor:
            axes = self.axes(x)
            return self.affine(self.centred(x, axes) / self.sigma(x, axes))

    ground.swap("layers", "LayerNorm", MeanOfSquares)


@fault("transformer", component=_NORM, seen_by=_FORWARD)
def ln_shift_before_scale(ground: Ground) -> None:
    """Layer norm adds its bias before the weight is applied: right as long as the bias is 0."""

    class ShiftedFirst(ComposedLayerNorm):
        def affine(self, normalized: Tensor) -> Tensor:
            return (normalized + self.bias) * self.weight

    ground.swap("layers", "LayerNorm", ShiftedFirst)


@fault(component=_NORM, seen_by=("ops_compute_right",))
def ln_eps_fixed(ground: Ground) -> None:
    """Layer norm has an eps of its own, whatever it is given."""

    class OwnEps(nn.LayerNorm):
        def forward(self, x: Tensor) -> Tensor:
            return ops.layer_norm(x, self.normalized_shape, self.weight, self.bias)

    ground.swap("layers", "LayerNorm", OwnEps)


@fault("transformer", component=_NORM, seen_by=_FORWARD)
def ln_eps_large(ground: Ground) -> None:
    """The eps of layer norm is 1e-2 instead of 1e-5."""

    class LargeEps(nn.LayerNorm):
        def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-2) -> None:
            super().__init__(normalized_shape, eps)

    ground.swap("layers", "LayerNorm", LargeEps)


# --- backward -------------------------------------------------------------------------------


def _with_input_gradient(
    ground: Ground, formula: Callable[[LayerNormBackward, Array, Array], Array]
) -> None:
    """Another gradient of x, by a formula of the node, g = grad_output and h = g * weight."""
    right = LayerNormBackward.apply

    def apply(self: LayerNormBackward, grad_output: Array) -> tuple[Array, ...]:
        x, *affine = self.saved_tensors
        g = grad_output.reshape(self.normalized.shape)
        h = g * affine[0].data.ravel() if self.has_weight else g
        return formula(self, g, h).reshape(x.shape), *right(self, grad_output)[1:]

    ground.patch(LayerNormBackward, "apply", apply)


@fault("transformer", component=_NORM, seen_by=_GRADIENTS)
def ln_bwd_const_stats(ground: Ground) -> None:
    """The backward half of layer norm takes mean and variance for constants."""

    def gradient(self: LayerNormBackward, g: Array, h: Array) -> Array:
        return np.asarray(h * self.inverse_sigma)

    _with_input_gradient(ground, gradient)


@fault("transformer", component=_NORM, seen_by=_GRADIENTS)
def ln_bwd_ignores_gamma(ground: Ground) -> None:
    """The gradient through layer norm lacks the factor weight: right as long as that is 1."""

    def gradient(self: LayerNormBackward, g: Array, h: Array) -> Array:
        centred = g - row_means(g) - self.normalized * row_means(g * self.normalized)
        return np.asarray(centred * self.inverse_sigma)

    _with_input_gradient(ground, gradient)


@fault("transformer", component=_NORM, seen_by=_GRADIENTS)
def ln_bwd_no_xhat(ground: Ground) -> None:
    """The gradient through layer norm lacks the term of the variance."""

    def gradient(self: LayerNormBackward, g: Array, h: Array) -> Array:
        return np.asarray((h - row_means(h)) * self.inverse_sigma)

    _with_input_gradient(ground, gradient)


@fault("transformer", component=_NORM, seen_by=_GRADIENTS)
def ln_bwd_weight_twice(ground: Ground) -> None:
    """The gradient of layer norm's weight is multiplied by it: right as long as that is 1."""
    right = LayerNormBackward.apply

    def apply(self: LayerNormBackward, grad_output: Array) -> tuple[Array, ...]:
        grads = list(right(self, grad_output))
        if self.has_weight:
            grads[1] = grads[1] * self.saved_tensors[1].data
        return tuple(grads)

    ground.patch(LayerNormBackward, "apply", apply)
