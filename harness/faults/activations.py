"""Activations whose slope is not that of their curve."""

from __future__ import annotations

from typing import Literal

import numpy as np

from harness.autograd import Tensor
from harness.autograd.ops import activations
from harness.autograd.ops.activations import (
    ReLUBackward,
    SigmoidBackward,
    TanhBackward,
    gelu,
)
from harness.faults.base import fault
from harness.faults.ground import Ground

_RELU = ("relu", "ReLU")
_SIGMOID = ("sigmoid", "Sigmoid")
_TANH = ("tanh", "Tanh")
_GELU = ("gelu", "GELU")
_WITH_RELU = ("mlp", "cnn", "transformer")
_OP_GRADIENT = ("ops_differentiate_right",)
_GRADIENTS = ("ops_differentiate_right", "gradients_agree")

Array = np.ndarray


@fault(*_WITH_RELU, component=_RELU, seen_by=_GRADIENTS)
def relu_passthrough(ground: Ground) -> None:
    """ReLU lets every gradient pass, also where the number did not."""
    ground.patch(ReLUBackward, "apply", lambda self, grad_output: (grad_output,))


@fault(*_WITH_RELU, component=_RELU, seen_by=_GRADIENTS)
def relu_by_gradient(ground: Ground) -> None:
    """ReLU is applied to the gradient as well: only positive gradients pass."""
    right = ReLUBackward.apply

    def apply(self: ReLUBackward, grad_output: Array) -> tuple[Array]:
        return right(self, np.maximum(grad_output, 0))

    ground.patch(ReLUBackward, "apply", apply)


@fault(*_WITH_RELU, component=_RELU, seen_by=_GRADIENTS)
def relu_leaks_backward(ground: Ground) -> None:
    """ReLU goes back as a leaky one: a hundredth of the gradient passes below 0."""
    right = ReLUBackward.apply

    def apply(self: ReLUBackward, grad_output: Array) -> tuple[Array]:
        (grad,) = right(self, grad_output)
        return (grad + 0.01 * (grad_output - grad),)

    ground.patch(ReLUBackward, "apply", apply)


@fault("xor", component=_TANH, seen_by=_GRADIENTS)
def tanh_bwd_preact(ground: Ground) -> None:
    """The slope of tanh is made from its input instead of its output: 1 - x^2."""

    def apply(self: TanhBackward, grad_output: Array) -> tuple[Array]:
        x = self.saved_tensors[0].data
        return (grad_output * (1.0 - x * x),)

    ground.patch(TanhBackward, "apply", apply)


@fault("xor", component=_TANH, seen_by=_GRADIENTS)
def tanh_bwd_not_squared(ground: Ground) -> None:
    """The slope of tanh is 1 - |y| instead of 1 - y^2."""

    def apply(self: TanhBackward, grad_output: Array) -> tuple[Array]:
        return (grad_output * (1.0 - np.abs(self.y)),)

    ground.patch(TanhBackward, "apply", apply)


@fault(component=_SIGMOID, seen_by=_OP_GRADIENT)
def sigmoid_bwd_missing_factor(ground: Ground) -> None:
    """The slope of sigmoid is y instead of y (1 - y)."""
    ground.patch(SigmoidBackward, "apply", lambda self, grad_output: (grad_output * self.y,))


@fault(component=_SIGMOID, seen_by=_OP_GRADIENT)
def sigmoid_bwd_preact(ground: Ground) -> None:
    """The slope of sigmoid is made from its input instead of its output: x (1 - x)."""

    def apply(self: SigmoidBackward, grad_output: Array) -> tuple[Array]:
        x = self.saved_tensors[0].data
        return (grad_output * x * (1.0 - x),)

    ground.patch(SigmoidBackward, "apply", apply)


@fault(component=_GELU, seen_by=_OP_GRADIENT)
def gelu_bwd_other_form(ground: Ground) -> None:
    """GELU goes forward exactly and back by the slope of its tanh form, which is 1e-3 off."""
    exact, fast = activations._gelu_exact, activations._gelu_tanh

    def mixed(x: Array) -> tuple[Array, Array]:
        return exact(x)[0], fast(x)[1]

    ground.patch(activations, "_gelu_exact", mixed)


@fault(component=_GELU, seen_by=("ops_compute_right",))
def gelu_always_fast(ground: Ground) -> None:
    """GELU takes its tanh form, whichever is asked for."""
    right = gelu

    def fast(x: Tensor, approximate: Literal["none", "tanh"] = "none") -> Tensor:
        return right(x, "tanh")

    ground.replace(right, fast)


@fault(component=_GELU, seen_by=_OP_GRADIENT)
def gelu_bwd_no_density(ground: Ground) -> None:
    """The slope of GELU lacks the term x times the density."""
    right = activations._gelu_exact

    def without(x: Array) -> tuple[Array, Array]:
        y, slope = right(x)
        density = np.exp(-0.5 * x * x) / np.sqrt(2.0 * np.pi)
        return y, (slope - x * density).astype(x.dtype)

    ground.patch(activations, "_gelu_exact", without)
