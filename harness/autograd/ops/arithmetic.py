"""Elementwise arithmetic with full broadcasting: add, sub, mul, div, neg, pow."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.kernels import unbroadcast
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


def _broadcast(
    name: str, ufunc: Callable[[np.ndarray, np.ndarray], np.ndarray], a: Tensor, b: Tensor
) -> np.ndarray:
    try:
        return ufunc(a.data, b.data)
    except ValueError as error:
        raise ShapeError(
            f"{name}: shapes {a.shape} and {b.shape} do not broadcast together"
        ) from error


class AddBackward(Function):
    """d(a + b) = da + db."""

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.saved_tensors
        return unbroadcast(grad_output, a.shape), unbroadcast(grad_output, b.shape)


def add(a: Tensor, b: Tensor) -> Tensor:
    """a + b, broadcast."""
    return a.from_op(_broadcast("add", np.add, a, b), AddBackward(a, b))


class SubBackward(Function):
    """d(a - b) = da - db."""

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.saved_tensors
        return unbroadcast(grad_output, a.shape), -unbroadcast(grad_output, b.shape)


def sub(a: Tensor, b: Tensor) -> Tensor:
    """a - b, broadcast."""
    return a.from_op(_broadcast("sub", np.subtract, a, b), SubBackward(a, b))


class MulBackward(Function):
    """d(a b) = b da + a db."""

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.saved_tensors
        return (
            unbroadcast(grad_output * b.data, a.shape),
            unbroadcast(grad_output * a.data, b.shape),
        )


def mul(a: Tensor, b: Tensor) -> Tensor:
    """a * b, elementwise and broadcast."""
    return a.from_op(_broadcast("mul", np.multiply, a, b), MulBackward(a, b))


class DivBackward(Function):
    """d(a / b) = da / b - a/b^2 db."""

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        a, b = self.saved_tensors
        grad_a = grad_output / b.data
        return (
            unbroadcast(grad_a, a.shape),
            unbroadcast(-grad_a * a.data / b.data, b.shape),
        )


def div(a: Tensor, b: Tensor) -> Tensor:
    """a / b, elementwise and broadcast."""
    return a.from_op(_broadcast("div", np.true_divide, a, b), DivBackward(a, b))


class NegBackward(Function):
    """d(-a) = -da."""

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (-grad_output,)


def neg(a: Tensor) -> Tensor:
    """-a, elementwise."""
    return a.from_op(-a.data, NegBackward(a))


class PowBackward(Function):
    """d(a^b) = b a^(b-1) da + a^b ln(a) db.

    As in PyTorch: the first is 0 where b is 0, the second is 0 where a is 0 and b >= 0.
    """

    def __init__(self, a: Tensor, b: Tensor, y: np.ndarray) -> None:
        super().__init__(a, b)
        self.y = y

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        a, b = self.saved_tensors
        grad_a = grad_b = None
        if a.in_graph:
            slope = b.data * a.data ** (b.data - (b.data != 0))
            grad_a = unbroadcast(grad_output * slope, a.shape)
        if b.in_graph:
            log_a = np.log(a.data + (a.data == 0))
            grad_b = unbroadcast(grad_output * self.y * log_a, b.shape)
        return grad_a, grad_b


def pow(a: Tensor, b: Tensor) -> Tensor:
    """a ** b, elementwise and broadcast. A negative base needs a whole exponent."""
    y = _broadcast("pow", np.power, a, b)
    return a.from_op(y, PowBackward(a, b, y))


_PAIRS = [((3, 4), (3, 4)), ((3, 4), (4,)), ((2, 1, 4), (3, 1)), ((3, 1), ()), ((), (2, 2)),
          ((0, 3), (3,))]  # fmt: skip
CASES = [
    *[OpCase(op, pair) for op in (add, sub, mul, div) for pair in _PAIRS],
    *[OpCase(pow, pair, positive=True) for pair in _PAIRS],
    OpCase(pow, [(3, 4), np.array(3.0)]),
    OpCase(pow, [(3, 4), np.array(0.0)]),
    OpCase(neg, [(3, 4)]),
    OpCase(neg, [()]),
]
