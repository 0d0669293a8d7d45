"""Activations, one number at a time: relu, gelu, tanh, sigmoid."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import numpy as np

from harness.autograd.function import Function
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


class ReLUBackward(Function):
    """d max(x, 0)/dx = 1 where x > 0, else 0 (0 at the kink, as everywhere)."""

    def __init__(self, x: Tensor, y: np.ndarray) -> None:
        super().__init__(x)
        self.y = y

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output * (self.y > 0),)


def relu(x: Tensor) -> Tensor:
    """max(x, 0), elementwise."""
    y = np.maximum(x.data, 0)
    return x.from_op(y, ReLUBackward(x, y))


class TanhBackward(Function):
    """d tanh(x)/dx = 1 - tanh(x)^2."""

    def __init__(self, x: Tensor, y: np.ndarray) -> None:
        super().__init__(x)
        self.y = y

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output * (1.0 - self.y * self.y),)


def tanh(x: Tensor) -> Tensor:
    """Hyperbolic tangent, elementwise."""
    y = np.tanh(x.data)
    return x.from_op(y, TanhBackward(x, y))


class SigmoidBackward(Function):
    """d s(x)/dx = s(x) (1 - s(x))."""

    def __init__(self, x: Tensor, y: np.ndarray) -> None:
        super().__init__(x)
        self.y = y

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output * self.y * (1.0 - self.y),)


def stable_sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)) for arrays, without overflow: s(x) = (1 + tanh(x/2)) / 2."""
    return np.asarray(0.5 * (1.0 + np.tanh(0.5 * x)))


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(-x)), elementwise; exact 0 and 1 far out, never an overflow."""
    y = stable_sigmoid(x.data)
    return x.from_op(y, SigmoidBackward(x, y))


_SQRT_HALF = math.sqrt(0.5)
_INV_SQRT_2PI = 1.0 / math.sqrt(2.0 * math.pi)
_TANH_SCALE = math.sqrt(2.0 / math.pi)
_TANH_CUBIC = 0.044715


class GELUBackward(Function):
    """Both forms save their slope dy/dx in the forward pass, where its parts are at hand."""

    def __init__(self, x: Tensor, slope: np.ndarray) -> None:
        super().__init__(x)
        self.slope = slope

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray]:
        return (grad_output * self.slope,)


def gelu(x: Tensor, approximate: Literal["none", "tanh"] = "none") -> Tensor:
    """x times the normal distribution function of x, elementwise.

    `approximate="tanh"` is the usual fast form, off by less than 1e-3.
    Source: Hendrycks and Gimpel 2016, section 2.
    """
    if approximate not in ("none", "tanh"):
        raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
    y, slope = _gelu_exact(x.data) if approximate == "none" else _gelu_tanh(x.data)
    return x.from_op(y, GELUBackward(x, slope))


def _gelu_exact(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    # numpy has no erf; the standard library's is exact, and slow only at sizes not met here.
    erf = np.fromiter(map(math.erf, (x * _SQRT_HALF).ravel().tolist()), x.dtype, x.size)
    below = 0.5 * (1.0 + erf.reshape(x.shape))
    density = _INV_SQRT_2PI * np.exp(-0.5 * x * x)
    return x * below, below + x * density


def _gelu_tanh(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    t = np.tanh(_TANH_SCALE * (x + _TANH_CUBIC * x * x * x))
    inner_slope = _TANH_SCALE * (1.0 + 3.0 * _TANH_CUBIC * x * x)
    return 0.5 * x * (1.0 + t), 0.5 * (1.0 + t) + 0.5 * x * (1.0 - t * t) * inner_slope


_SHAPES: list[tuple[int, ...]] = [(3, 4), (), (2, 3, 4), (0, 4)]
CASES = [
    *[OpCase(op, [shape]) for op in (relu, tanh, sigmoid, gelu) for shape in _SHAPES],
    *[OpCase(gelu, [shape], {"approximate": "tanh"}) for shape in _SHAPES],
]
