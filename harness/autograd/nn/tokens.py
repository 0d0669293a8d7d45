"""Layers for sequences of tokens: Embedding, SinusoidalPositions, MultiHeadAttention."""

from __future__ import annotations

import numpy as np

from harness.autograd import init, ops
from harness.autograd.errors import ShapeError
from harness.autograd.nn.linear import Linear
from harness.autograd.nn.module import Module, Parameter
from harness.autograd.tensor import Tensor


class Embedding(Module):
    """A row of numbers for every token. weight (num_embeddings, embedding_dim)."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, rng: np.random.Generator | None = None
    ) -> None:
        self.weight = Parameter(init.normal((num_embeddings, embedding_dim), init.fresh(rng)))

    def forward(self, indices: Tensor) -> Tensor:
        """Integers (...) -> (..., embedding_dim)."""
        return ops.embedding(indices, self.weight)


class SinusoidalPositions(Module):
    """Adds sines and cosines of the position, interleaved; nothing to learn.

    Source: Vaswani et al. 2017, section 3.5.
    """

    def __init__(self, embedding_dim: int, max_len: int = 512) -> None:
        if embedding_dim % 2:
            raise ShapeError(f"SinusoidalPositions: embedding_dim {embedding_dim} must be even")
        position = np.arange(max_len)[:, None]
        angle = position / 10000.0 ** (np.arange(0, embedding_dim, 2) / embedding_dim)
        table = np.empty((max_len, embedding_dim), dtype=np.float32)
        table[:, 0::2] = np.sin(angle)
        table[:, 1::2] = np.cos(angle)
        self.table = table

    def forward(self, x: Tensor) -> Tensor:
        """(..., T, embedding_dim) -> the same, for T up to max_len."""
        length, width = x.shape[-2:]
        if length > len(self.table) or width != self.table.shape[1]:
            raise ShapeError(
                f"SinusoidalPositions: x {x.shape} does not fit a table of {self.table.shape}"
            )
        return x + self.table[:length].astype(x.dtype, copy=False)


class MultiHeadAttention(Module):
    """Self-attention with several heads; query, key, value and out are Linear layers.

    Source: Vaswani et al. 2017, section 3.2.2.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        is_causal: bool = False,
        rng: np.random.Generator | None = None,
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            raise ShapeError(
                f"MultiHeadAttention: embed_dim {embed_dim} cannot be split into {num_heads} heads"
            )
        rng = init.fresh(rng)
        self.query = Linear(embed_dim, embed_dim, rng=rng)
        self.key = Linear(embed_dim, embed_dim, rng=rng)
        self.value = Linear(embed_dim, embed_dim, rng=rng)
        self.out = Linear(embed_dim, embed_dim, rng=rng)
        self.num_heads = num_heads
        self.is_causal = is_causal

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, embed_dim) -> the same."""
        if x.ndim != 3:
            raise ShapeError(f"MultiHeadAttention: expected (N, T, embed_dim), got {x.shape}")
        heads = ops.scaled_dot_product_attention(
            self._split(self.query(x)),
            self._split(self.key(x)),
            self._split(self.value(x)),
            is_causal=self.is_causal,
        )
        return self.out(heads.transpose(1, 2).reshape(x.shape))

    def _split(self, x: Tensor) -> Tensor:
        """(N, T, D) -> (N, heads, T, D / heads)."""
        count, length, width = x.shape
        return x.reshape(count, length, self.num_heads, width // self.num_heads).transpose(1, 2)
