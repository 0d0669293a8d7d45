"""PyTorch's layers with weights, masks and arguments of the harness: `LAYERS` by name.

Weights are drawn from numpy generators in the order and the distributions of the built-in engine,
so that a seed stands for the same bits in both. PyTorch's own generator is never drawn from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.backends.base import Factory
from harness.backends.torch.ops import dropout

Pair = int | tuple[int, int]
Generator = np.random.Generator


def _fresh(rng: Generator | None) -> Generator:
    """`rng`, or one with entropy of its own."""
    return np.random.default_rng() if rng is None else rng


def _fill(parameter: Tensor, drawn: np.ndarray) -> None:
    """Numbers drawn in float64, rounded to what the parameter holds."""
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(drawn.astype(np.float32)))


def _fill_uniform(layer: nn.Module, fan_in: int, rng: Generator) -> None:
    """Weight, then bias, uniform in +-1/sqrt(fan_in), which is PyTorch's own distribution."""
    bound = 1.0 / math.sqrt(fan_in) if fan_in > 0 else 0.0
    for parameter in layer.parameters(recurse=False):
        _fill(parameter, rng.uniform(-bound, bound, tuple(parameter.shape)))


# --- what has weights: PyTorch calls reset_parameters when it builds a layer ----------------------


class Linear(nn.Linear):
    """torch.nn.Linear, drawn from `rng`."""

    def __init__(
        self, in_features: int, out_features: int, bias: bool = True, rng: Generator | None = None
    ) -> None:
        self._rng = _fresh(rng)
        super().__init__(in_features, out_features, bias)

    def reset_parameters(self) -> None:
        """Draw the weights."""
        _fill_uniform(self, self.in_features, self._rng)


class Conv2d(nn.Conv2d):
    """torch.nn.Conv2d, drawn from `rng`."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        bias: bool = True,
        rng: Generator | None = None,
    ) -> None:
        self._rng = _fresh(rng)
        super().__init__(in_channels, out_channels, kernel_size, stride, padding, bias=bias)

    def reset_parameters(self) -> None:
        """Draw the weights."""
        _fill_uniform(self, self.in_channels * math.prod(self.kernel_size), self._rng)


class Embedding(nn.Embedding):
    """torch.nn.Embedding, drawn from `rng`."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, rng: Generator | None = None
    ) -> None:
        self._rng = _fresh(rng)
        super().__init__(num_embeddings, embedding_dim)

    def reset_parameters(self) -> None:
        """Draw the rows."""
        _fill(self.weight, self._rng.standard_normal(tuple(self.weight.shape)))


class MultiHeadAttention(nn.Module):
    """Self-attention by PyTorch's scaled_dot_product_attention, with four Linear layers.

    torch.nn.MultiheadAttention holds the same weights in one matrix, under other names.
    """

    def __init__(
        self,
        embed_dim: int,
        num_heads: int,
        is_causal: bool = False,
        rng: Generator | None = None,
    ) -> None:
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(f"embed_dim {embed_dim} cannot be split into {num_heads} heads")
        super().__init__()
        rng = _fresh(rng)
        self.query = Linear(embed_dim, embed_dim, rng=rng)
        self.key = Linear(embed_dim, embed_dim, rng=rng)
        self.value = Linear(embed_dim, embed_dim, rng=rng)
        self.out = Linear(embed_dim, embed_dim, rng=rng)
        self.num_heads = num_heads
        self.is_causal = is_causal

    def forward(self, x: Tensor) -> Tensor:
        """(N, T, embed_dim) -> the same."""
        if x.ndim != 3:
            raise ValueError(f"expected (N, T, embed_dim), got {tuple(x.shape)}")
        heads = functional.scaled_dot_product_attention(
            self._split(self.query(x)),
            self._split(self.key(x)),
            self._split(self.value(x)),
            is_causal=self.is_causal,
        )
        y: Tensor = self.out(heads.transpose(1, 2).reshape(x.shape))
        return y

    def _split(self, x: Tensor) -> Tensor:
        """(N, T, D) -> (N, heads, T, D / heads)."""
        count, length, width = x.shape
        return x.reshape(count, length, self.num_heads, width // self.num_heads).transpose(1, 2)


class LayerNorm(nn.LayerNorm):
    """torch.nn.LayerNorm, whose shape may be a tuple, as YAML has it."""

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5) -> None:
        super().__init__(normalized_shape, eps)


# --- what has none --------------------------------------------------------------------------------


class Dropout(nn.Module):
    """Dropout whose masks come from `rng`: torch.nn.Dropout draws from PyTorch's generator."""

    def __init__(self, p: float = 0.5, rng: Generator | None = None) -> None:
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"p must be between 0 and 1, got {p}")
        super().__init__()
        self.p = p
        self.rng = _fresh(rng)

    def forward(self, x: Tensor) -> Tensor:
        """(...) -> (...)."""
        return dropout(x, self.p, self.training, self.rng)


class Sigmoid(nn.Sigmoid):
    """torch.nn.Sigmoid, which itself does not say that it takes no arguments."""

    def __init__(self) -> None:
        super().__init__()


class Tanh(nn.Tanh):
    """torch.nn.Tanh, which itself does not say that it takes no arguments."""

    def __init__(self) -> None:
        super().__init__()


class Softmax(nn.Softmax):
    """torch.nn.Softmax along the last axis, unless another is given."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)


class SinusoidalPositions(nn.Module):
    """Adds sines and cosines of the position, interleaved; PyTorch has no such layer.

    Source: Vaswani et al. 2017, section 3.5.
    """

    table: Tensor

    def __init__(self, embedding_dim: int, max_len: int = 512) -> None:
        if embedding_dim % 2:
            raise ValueError(f"embedding_dim {embedding_dim} must be even")
        super().__init__()
        position = np.arange(max_len)[:, None]
        angle = position / 10000.0 ** (np.arange(0, embedding_dim, 2) / embedding_dim)
        table = np.stack([np.sin(angle), np.cos(angle)], axis=-1).reshape(max_len, embedding_dim)
        self.register_buffer("table", torch.from_numpy(table.astype(np.float32)))

    def forward(self, x: Tensor) -> Tensor:
        """(..., T, embedding_dim) -> the same, for T up to max_len."""
        if x.shape[-2] > len(self.table):
            raise ValueError(f"{x.shape[-2]} positions are more than max_len, {len(self.table)}")
        return x + self.table[: x.shape[-2]].to(x.dtype)


class Residual(nn.Sequential):
    """x + layers(x): the layers learn what to add (He et al. 2015)."""

    def forward(self, x: Tensor) -> Tensor:
        """The input plus the output of the last layer."""
        y = x
        for layer in self:
            y = layer(y)
        return x + y


LAYERS: Mapping[str, Factory] = {
    "AvgPool2d": nn.AvgPool2d,
    "Conv2d": Conv2d,
    "Dropout": Dropout,
    "Embedding": Embedding,
    "Flatten": nn.Flatten,
    "GELU": nn.GELU,
    "LayerNorm": LayerNorm,
    "Linear": Linear,
    "MaxPool2d": nn.MaxPool2d,
    "MultiHeadAttention": MultiHeadAttention,
    "ReLU": nn.ReLU,
    "Residual": Residual,
    "Sequential": nn.Sequential,
    "Sigmoid": Sigmoid,
    "SinusoidalPositions": SinusoidalPositions,
    "Softmax": Softmax,
    "Tanh": Tanh,
}
