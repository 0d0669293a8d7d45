"""layer_norm: each example scaled to mean 0 and variance 1 over its features."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.kernels import column_sums, row_means
from harness.autograd.opcase import OpCase

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


class LayerNormBackward(Function):
    """With h = g w: dx = (h - mean(h) - xhat mean(h xhat)) / sigma, dw = g xhat, db = g."""

    def __init__(
        self,
        x: Tensor,
        weight: Tensor | None,
        bias: Tensor | None,
        normalized: np.ndarray,
        inverse_sigma: np.ndarray,
    ) -> None:
        super().__init__(*(tensor for tensor in (x, weight, bias) if tensor is not None))
        self.has_weight = weight is not None
        self.normalized = normalized  # (N, D)
        self.inverse_sigma = inverse_sigma  # (N, 1)

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, ...]:
        g = grad_output.reshape(self.normalized.shape)
        x, *affine = self.saved_tensors
        h = g * affine[0].data.ravel() if self.has_weight else g
        grad_x = h - row_means(h)
        part = h * self.normalized
        np.multiply(self.normalized, row_means(part), out=part)
        grad_x -= part
        grad_x *= self.inverse_sigma
        grads = [grad_x.reshape(x.shape)]
        if self.has_weight:
            np.multiply(g, self.normalized, out=part)
            grads.append(column_sums(part).reshape(affine[0].shape))
        if len(affine) > self.has_weight:
            grads.append(column_sums(g).reshape(affine[-1].shape))
        return tuple(grads)


def layer_norm(
    x: Tensor,
    normalized_shape: tuple[int, ...],
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    eps: float = 1e-5,
) -> Tensor:
    """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes.

    Shapes: x (..., *normalized_shape); weight and bias normalized_shape or None. The
    variance is the biased one. Raises ShapeError when the last axes of x disagree.
    Source: Ba et al. 2016, eq. 4.
    """
    if x.shape[x.ndim - len(normalized_shape) :] != normalized_shape:
        raise ShapeError(f"layer_norm: {x.shape} does not end in {normalized_shape}")
    for affine in (weight, bias):
        if affine is not None and affine.shape != normalized_shape:
            raise ShapeError(
                f"layer_norm: weight or bias {affine.shape} is not of shape {normalized_shape}"
            )
    rows = x.data.reshape(-1, int(np.prod(normalized_shape)))
    normalized = rows - row_means(rows)
    y = normalized * normalized  # on the way, so that its memory is used twice
    inverse_sigma = 1.0 / np.sqrt(row_means(y) + eps)
    normalized *= inverse_sigma
    if weight is None:
        y[...] = normalized
    else:
        np.multiply(normalized, weight.data.ravel(), out=y)
    if bias is not None:
        y += bias.data.ravel()
    function = LayerNormBackward(x, weight, bias, normalized, inverse_sigma)
    return x.from_op(y.reshape(x.shape), function)


def _affine(x: Tensor, *affine: Tensor, axes: int = 1, eps: float = 1e-5) -> Tensor:
    weight, bias, *_ = *affine, None, None
    return layer_norm(x, x.shape[-axes:], weight, bias, eps)


CASES = [
    OpCase(layer_norm, [(3, 4), (4,), (4,)], adapt=_affine),
    OpCase(layer_norm, [(2, 3, 5), (5,), (5,)], adapt=_affine),
    OpCase(layer_norm, [(2, 3, 4), (3, 4), (3, 4)], {"axes": 2, "eps": 0.1}, adapt=_affine),
    OpCase(layer_norm, [(3, 4), (4,)], adapt=_affine),
    OpCase(layer_norm, [(3, 4)], adapt=_affine),
    OpCase(layer_norm, [(1, 2), (2,), (2,)], adapt=_affine),
    OpCase(layer_norm, [(0, 4), (4,), (4,)], adapt=_affine),
]
