"""Attention and layer norm out of small ops, each step a method that a fault can get wrong.

As they stand here both are right: they compute what the engine's own layers compute.
"""

from __future__ import annotations

import math

import numpy as np

from harness.autograd import Tensor, nn


class ComposedAttention(nn.MultiHeadAttention):
    """Multi-head self-attention, step by step: project, score, mask, weigh, mix, merge."""

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, embed_dim) -> the same."""
        query, key, value = self.projected(x)
        weights = self.weights(self.scores(query, key))
        return self.out(self.merged(self.mixed(weights, value)))

    def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Query, key and value, each (N, heads, T, D)."""
        return self._split(self.query(x)), self._split(self.key(x)), self._split(self.value(x))

    def scores(self, query: Tensor, key: Tensor) -> Tensor:
        """How well each key fits each query: (N, heads, T, T)."""
        return query @ key.transpose() * (1.0 / math.sqrt(query.shape[-1]))

    def weights(self, scores: Tensor) -> Tensor:
        """How much each query takes of each value; every row sums to 1."""
        return self.masked(scores).softmax(-1)

    def masked(self, scores: Tensor) -> Tensor:
        """The scores with -inf for what may not be seen."""
        return scores + bias_against(~self.visible(scores), scores)

    def visible(self, scores: Tensor) -> np.ndarray:
        """Which key each query may see: (T, T), or any shape that broadcasts to the scores."""
        shape = scores.shape[-2:]
        return np.tril(np.ones(shape, dtype=bool)) if self.is_causal else np.ones(shape, dtype=bool)

    def mixed(self, weights: Tensor, value: Tensor) -> Tensor:
        """The weighted means of the values: (N, heads, T, D)."""
        return weights @ value

    def merged(self, heads: Tensor) -> Tensor:
        """(N, heads, T, D) -> (N, T, heads * D)."""
        count, _, length, _ = heads.shape
        return heads.transpose(1, 2).reshape(count, length, -1)


def bias_against(hidden: np.ndarray, like: Tensor, value: float = -np.inf) -> np.ndarray:
    """What to add to scores so that `hidden` ones take no part: `value` there, 0 elsewhere."""
    bias = np.zeros(hidden.shape, dtype=like.dtype)
    bias[hidden] = value
    return bias


class ComposedLayerNorm(nn.LayerNorm):
    """Layer norm, step by step: centre, divide, scale and shift."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., *normalized_shape) -> the same."""
        axes = self.axes(x)
        centred = self.centred(x, axes)
        return self.affine(centred / self.sigma(centred, axes))

    def axes(self, x: Tensor) -> tuple[int, ...]:
        """The axes that are normalised together: the last ones."""
        return tuple(range(x.ndim - len(self.normalized_shape), x.ndim))

    def centred(self, x: Tensor, axes: tuple[int, ...]) -> Tensor:
        """x without its mean."""
        return x - x.mean(axes, keepdim=True)

    def sigma(self, centred: Tensor, axes: tuple[int, ...]) -> Tensor:
        """The standard deviation, with eps inside the root."""
        return ((centred * centred).mean(axes, keepdim=True) + self.eps).sqrt()

    def affine(self, normalized: Tensor) -> Tensor:
        """Scaled by weight, then shifted by bias."""
        return normalized * self.weight + self.bias
