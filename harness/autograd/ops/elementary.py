"""Elementary functions of one number: exp, log, sqrt."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.function import Function
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


class ExpBackward(Function):
    """d exp(x)/dx = exp(x)."""

    def __init__(self, x: Tensor, y: np.ndarray) -> None:
        super().__init__(x)
        self.y = y

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output * self.y,)


def exp(x: Tensor) -> Tensor:
    """e to the power x, elementwise."""
    y = np.exp(x.data)
    return x.from_op(y, ExpBackward(x, y))


class LogBackward(Function):
    """d ln(x)/dx = 1/x."""

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        (x,) = self.saved_tensors
        return (grad_output / x.data,)


def log(x: Tensor) -> Tensor:
    """Natural logarithm, elementwise."""
    return x.from_op(np.log(x.data), LogBackward(x))


class SqrtBackward(Function):
    """d sqrt(x)/dx = 1 / (2 sqrt(x))."""

    def __init__(self, x: Tensor, y: np.ndarray) -> None:
        super().__init__(x)
        self.y = y

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output / (2.0 * self.y),)


def sqrt(x: Tensor) -> Tensor:
    """Square root, elementwise."""
    y = np.sqrt(x.data)
    return x.from_op(y, SqrtBackward(x, y))


CASES = [
    *[OpCase(exp, [shape]) for shape in ((3, 4), (), (0, 2))],
    *[
        OpCase(op, [shape], positive=True)
        for op in (log, sqrt)
        for shape in ((3, 4), (), (2, 1, 3))
    ],
]
