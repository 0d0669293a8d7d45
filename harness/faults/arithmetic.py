"""Elementwise arithmetic and elementary functions with a wrong derivative."""

from __future__ import annotations

import numpy as np

from harness.autograd.kernels import unbroadcast
from harness.autograd.ops.arithmetic import (
    DivBackward,
    MulBackward,
    NegBackward,
    PowBackward,
    SubBackward,
)
from harness.autograd.ops.elementary import ExpBackward, LogBackward, SqrtBackward
from harness.faults.base import fault
from harness.faults.ground import Ground

_OP_GRADIENT = ("ops_differentiate_right",)

Array = np.ndarray


@fault(component=("sub",), seen_by=_OP_GRADIENT)
def neg_sub_sign(ground: Ground) -> None:
    """Both inputs of a subtraction get the gradient with the same sign."""
    right = SubBackward.apply

    def apply(self: SubBackward, grad_output: Array) -> tuple[Array, Array]:
        grad_a, grad_b = right(self, grad_output)
        return grad_a, -grad_b

    ground.patch(SubBackward, "apply", apply)


@fault(component=("neg",), seen_by=_OP_GRADIENT)
def neg_bwd_passes(ground: Ground) -> None:
    """The gradient of a negation keeps its sign."""
    ground.patch(NegBackward, "apply", lambda self, grad_output: (grad_output,))


@fault(component=("mul",), seen_by=_OP_GRADIENT)
def mul_own_factor(ground: Ground) -> None:
    """Factors of one shape get themselves as slope, not each other."""
    right = MulBackward.apply

    def apply(self: MulBackward, grad_output: Array) -> tuple[Array, Array]:
        a, b = self.saved_tensors
        if a.shape != b.shape:
            return right(self, grad_output)
        return grad_output * a.data, grad_output * b.data

    ground.patch(MulBackward, "apply", apply)


@fault(component=("div",), seen_by=_OP_GRADIENT)
def div_denominator_sign(ground: Ground) -> None:
    """The gradient of a denominator has the wrong sign."""
    right = DivBackward.apply

    def apply(self: DivBackward, grad_output: Array) -> tuple[Array, Array]:
        grad_a, grad_b = right(self, grad_output)
        return grad_a, -grad_b

    ground.patch(DivBackward, "apply", apply)


@fault(component=("div",), seen_by=_OP_GRADIENT)
def div_denominator_not_squared(ground: Ground) -> None:
    """The gradient of a denominator is -a/b instead of -a/b^2."""
    right = DivBackward.apply

    def apply(self: DivBackward, grad_output: Array) -> tuple[Array, Array]:
        a, b = self.saved_tensors
        return right(self, grad_output)[0], unbroadcast(-grad_output * a.data / b.data, b.shape)

    ground.patch(DivBackward, "apply", apply)


@fault(component=("pow",), seen_by=_OP_GRADIENT)
def pow_no_log(ground: Ground) -> None:
    """The gradient of an exponent lacks the logarithm of the base."""
    right = PowBackward.apply

    def apply(self: PowBackward, grad_output: Array) -> tuple[Array | None, Array | None]:
        grad_a, grad_b = right(self, grad_output)
        if grad_b is not None:
            grad_b = unbroadcast(grad_output * self.y, grad_b.shape)
        return grad_a, grad_b

    ground.patch(PowBackward, "apply", apply)


@fault(component=("pow",), seen_by=_OP_GRADIENT)
def pow_exponent_kept(ground: Ground) -> None:
    """The slope of a power keeps its exponent: b a^b instead of b a^(b-1)."""
    right = PowBackward.apply

    def apply(self: PowBackward, grad_output: Array) -> tuple[Array | None, Array | None]:
        a, b = self.saved_tensors
        grad_a, grad_b = right(self, grad_output)
        if grad_a is not None:
            grad_a = unbroadcast(grad_output * b.data * self.y, a.shape)
        return grad_a, grad_b

    ground.patch(PowBackward, "apply", apply)


@fault(component=("sqrt",), seen_by=_OP_GRADIENT)
def sqrt_no_half(ground: Ground) -> None:
    """The slope of a square root lacks its 1/2."""
    right = SqrtBackward.apply
    ground.patch(SqrtBackward, "apply", lambda self, g: right(self, 2.0 * g))


@fault(component=("exp",), seen_by=_OP_GRADIENT)
def exp_slope_of_input(ground: Ground) -> None:
    """The slope of exp is its input instead of its output."""

    def apply(self: ExpBackward, grad_output: Array) -> tuple[Array]:
        return (grad_output * self.saved_tensors[0].data,)

    ground.patch(ExpBackward, "apply", apply)


@fault(component=("log",), seen_by=_OP_GRADIENT)
def log_base_ten(ground: Ground) -> None:
    """The slope of the natural logarithm is that of the decimal one."""
    right = LogBackward.apply
    ground.patch(LogBackward, "apply", lambda self, g: right(self, g / np.log(10.0, dtype=g.dtype)))
