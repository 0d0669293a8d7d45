"""Gradients against finite differences: the judge that needs no second engine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from harness.autograd.tensor import Tensor

# Central differences are off by about h^2 f'''/6 + eps |f| / h. In float64 the best step
# is near eps^(1/3) = 6e-6, where both parts stay below 1e-9 for values around 1.
STEP = 1e-5
# Two orders above the error just named; a wrong factor or a lost term is off by far more.
TOLERANCE = {np.dtype(np.float64): 1e-6}


@dataclass(frozen=True)
class Comparison:
    """The slope along one random direction of one input, by backward and by differences."""

    input: int
    backward: float
    differences: float

    @property
    def agrees(self) -> bool:
        """Equal up to the tolerance of float64, relative to the larger of the two and 1."""
        scale = max(abs(self.backward), abs(self.differences), 1.0)
        return abs(self.backward - self.differences) <= TOLERANCE[np.dtype(np.float64)] * scale


def gradcheck(
    function: Callable[..., Tensor],
    inputs: Sequence[np.ndarray],
    rng: np.random.Generator,
    varied: Sequence[int] | None = None,
) -> list[Comparison]:
    """Compare the gradient of `function` with central differences, input by input.

    The output is reduced with a random cotangent, and each float64 input is moved along
    a random direction of unit length: an error in any element shows with probability 1.
    `varied` are the positions to check, all when None; the other inputs are held fixed.
    Keep the inputs away from kinks.
    """
    positions = range(len(inputs)) if varied is None else varied
    tensors = [Tensor(a, requires_grad=i in positions) for i, a in enumerate(inputs)]
    output = function(*tensors)
    cotangent = rng.standard_normal(output.shape)
    output.backward(cotangent)

    def value(arrays: Sequence[np.ndarray]) -> float:
        return float(np.vdot(function(*map(Tensor, arrays)).data, cotangent))

    comparisons = []
    for position in positions:
        tensor = tensors[position]
        direction = _unit(tensor.shape, rng)
        slope = (
            value(_moved(inputs, position, STEP * direction))
            - value(_moved(inputs, position, -STEP * direction))
        ) / (2.0 * STEP)
        grad = np.zeros(tensor.shape) if tensor.grad is None else tensor.grad
        comparisons.append(Comparison(position, float(np.vdot(grad, direction)), slope))
    return comparisons


def _unit(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    direction = np.asarray(rng.standard_normal(shape))
    norm = np.linalg.norm(direction)
    return direction / norm if norm > 0 else direction


def _moved(arrays: Sequence[np.ndarray], position: int, shift: np.ndarray) -> list[np.ndarray]:
    return [array + shift if i == position else array for i, array in enumerate(arrays)]
