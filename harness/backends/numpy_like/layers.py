"""Layers and losses under PyTorch's names, for any engine that gives them its ops.

Each is a class without an engine: `bound(LAYERS, ops=...)` makes those of one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import ClassVar, Literal

import numpy as np

from harness.backends.base import EngineTensor, Parameter
from harness.backends.numpy_like.binding import bound
from harness.backends.numpy_like.draws import fresh, normal, positions, uniform_fan_in
from harness.backends.numpy_like.images import Pair, as_pair
from harness.backends.numpy_like.ops import NumpyLikeOps, Reduction


class Layer:
    """What all layers share: named parameters, and a switch between training and evaluation."""

    ops: ClassVar[NumpyLikeOps]
    training = True

    def __init__(self) -> None:
        self.own: dict[str, Parameter] = {}

    def __call__(self, x: EngineTensor) -> EngineTensor:
        raise NotImplementedError(type(self).__name__)

    def inner(self) -> dict[str, Layer]:
        """The layers in this one, by name."""
        return {}

    def named_parameters(self, prefix: str = "") -> Iterator[tuple[str, Parameter]]:
        """Every parameter with its path, such as ("key.bias", ...); a shared one once."""
        seen: set[int] = set()
        inner = (layer.named_parameters(f"{name}.") for name, layer in self.inner().items())
        for name, parameter in chain(self.own.items(), *inner):
            if id(parameter) not in seen:
                seen.add(id(parameter))
                yield prefix + name, parameter

    def train(self, mode: bool) -> None:
        """Switch this layer and all in it."""
        self.training = mode
        for layer in self.inner().values():
            layer.train(mode)

    def affine(
        self, shape: tuple[int, ...], fan_in: int, bias: bool, rng: np.random.Generator | None
    ) -> None:
        """Make a weight of this shape, then a bias if there is one, of draws from `rng`."""
        rng = fresh(rng)
        self.own["weight"] = self.ops.parameter(uniform_fan_in(shape, fan_in, rng))
        if bias:
            self.own["bias"] = self.ops.parameter(uniform_fan_in(shape[:1], fan_in, rng))


class Linear(Layer):
    """y = x W^T + b. weight (out_features, in_features), bias (out_features,) or None."""

    def __init__(
        self,
        in_features: int,
        out_features: int,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        self.affine((out_features, in_features), in_features, bias, rng)

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.linear(x, **self.own)


class Conv2d(Layer):
    """Cross-correlation. weight (out_channels, in_channels, KH, KW), bias (out_channels,)."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        bias: bool = True,
        rng: np.random.Generator | None = None,
    ) -> None:
        super().__init__()
        height, width = as_pair(kernel_size)
        shape = (out_channels, in_channels, height, width)
        self.affine(shape, in_channels * height * width, bias, rng)
        self.stride, self.padding = stride, padding

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.conv2d(x, **self.own, stride=self.stride, padding=self.padding)


class MaxPool2d(Layer):
    """Largest number of each window; `stride` defaults to `kernel_size`."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.max_pool2d(x, self.kernel_size, self.stride, self.padding)


class AvgPool2d(Layer):
    """Mean of each window; `stride` defaults to `kernel_size`."""

    def __init__(self, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.avg_pool2d(x, self.kernel_size, self.stride, self.padding)


class ReLU(Layer):
    """max(x, 0)."""

    def __init__(self) -> None:
        super().__init__()

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.relu(x)


class Tanh(Layer):
    """Hyperbolic tangent."""

    def __init__(self) -> None:
        super().__init__()

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.tanh(x)


class Sigmoid(Layer):
    """1 / (1 + exp(-x))."""

    def __init__(self) -> None:
        super().__init__()

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.sigmoid(x)


class Softmax(Layer):
    """Probabilities along `dim`."""

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.softmax(x, self.dim)


class Dropout(Layer):
    """Zeroes numbers with probability p while training; draws from a stream of its own."""

    def __init__(self, p: float = 0.5, rng: np.random.Generator | None = None) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"Dropout: p must be between 0 and 1, got {p}")
        self.p = p
        self.rng = fresh(rng)

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.dropout(x, self.p, self.training, self.rng)


class Flatten(Layer):
    """One axis out of the axes from `start_dim` to `end_dim`."""

    def __init__(self, start_dim: int = 1, end_dim: int = -1) -> None:
        super().__init__()
        self.start_dim, self.end_dim = start_dim, end_dim

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.flatten(x, self.start_dim, self.end_dim)


class LayerNorm(Layer):
    """Normalises over the last axes. weight and bias have `normalized_shape`."""

    def __init__(self, normalized_shape: int | tuple[int, ...], eps: float = 1e-5) -> None:
        super().__init__()
        shape = (normalized_shape,) if isinstance(normalized_shape, int) else normalized_shape
        self.normalized_shape = tuple(shape)
        self.own["weight"] = self.ops.parameter(np.ones(self.normalized_shape, np.float32))
        self.own["bias"] = self.ops.parameter(np.zeros(self.normalized_shape, np.float32))
        self.eps = eps

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.layer_norm(x, self.normalized_shape, **self.own, eps=self.eps)


class Embedding(Layer):
    """A row of numbers for every token. weight (num_embeddings, embedding_dim)."""

    def __init__(
        self, num_embeddings: int, embedding_dim: int, rng: np.random.Generator | None = None
    ) -> None:
        super().__init__()
        table = normal((num_embeddings, embedding_dim), fresh(rng))
        self.own["weight"] = self.ops.parameter(table)

    def __call__(self, indices: EngineTensor) -> EngineTensor:
        return self.ops.embedding(indices, self.own["weight"])


class SinusoidalPositions(Layer):
    """Adds sines and cosines of the position, interleaved; nothing to learn."""

    def __init__(self, embedding_dim: int, max_len: int = 512) -> None:
        super().__init__()
        if embedding_dim % 2:
            raise ValueError(f"SinusoidalPositions: embedding_dim {embedding_dim} must be even")
        self.table = positions(max_len, embedding_dim)

    def __call__(self, x: EngineTensor) -> EngineTensor:
        length, width = x.shape[-2:]
        if length > len(self.table) or width != self.table.shape[1]:
            raise ValueError(
                f"SinusoidalPositions: x {x.shape} does not fit a table of {self.table.shape}"
            )
        return self.ops.add(x, self.table[:length].astype(x.dtype))


class MultiHeadAttention(Layer):
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
        super().__init__()
        if num_heads < 1 or embed_dim % num_heads:
            raise ValueError(
                f"MultiHeadAttention: embed_dim {embed_dim} cannot be split into {num_heads} heads"
            )
        rng = fresh(rng)
        (linear,) = bound([Linear], ops=self.ops).values()
        names = ("query", "key", "value", "out")
        self.projections = {name: linear(embed_dim, embed_dim, rng=rng) for name in names}
        self.num_heads = num_heads
        self.is_causal = is_causal

    def inner(self) -> dict[str, Layer]:
        """The four projections."""
        return self.projections

    def __call__(self, x: EngineTensor) -> EngineTensor:
        if x.ndim != 3:
            raise ValueError(f"MultiHeadAttention: expected (N, T, embed_dim), got {x.shape}")
        query, key, value = (
            self._split(self.projections[name](x)) for name in ("query", "key", "value")
        )
        heads = self.ops.scaled_dot_product_attention(query, key, value, is_causal=self.is_causal)
        together = self.ops.reshape(self.ops.transpose(heads, 1, 2), x.shape)
        return self.projections["out"](together)

    def _split(self, x: EngineTensor) -> EngineTensor:
        """(N, T, D) -> (N, heads, T, D / heads)."""
        count, length, width = x.shape
        shape = (count, length, self.num_heads, width // self.num_heads)
        return self.ops.transpose(self.ops.reshape(x, shape), 1, 2)


class Sequential(Layer):
    """Layers one after the other."""

    def __init__(self, *layers: Layer) -> None:
        super().__init__()
        self.layers = layers

    def inner(self) -> dict[str, Layer]:
        """The layers by their places."""
        return {f"layers.{place}": layer for place, layer in enumerate(self.layers)}

    def __call__(self, x: EngineTensor) -> EngineTensor:
        for layer in self.layers:
            x = layer(x)
        return x


class Residual(Sequential):
    """x + layers(x): the layers learn what to add (He et al. 2015)."""

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.add(x, super().__call__(x))


class GELU(Layer):
    """x times the normal distribution function of x; `approximate` "none" or "tanh"."""

    def __init__(self, approximate: Literal["none", "tanh"] = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def __call__(self, x: EngineTensor) -> EngineTensor:
        return self.ops.gelu(x, self.approximate)


class _Loss:
    """A loss with its reduction."""

    ops: ClassVar[NumpyLikeOps]

    def __init__(self, reduction: Reduction = "mean") -> None:
        self.reduction = reduction


class CrossEntropyLoss(_Loss):
    """-log softmax(logits)[target]; logits (N, C, ...), target (N, ...) of classes."""

    def __call__(self, logits: EngineTensor, target: EngineTensor) -> EngineTensor:
        return self.ops.cross_entropy(logits, target, self.reduction)


class BCEWithLogitsLoss(_Loss):
    """Binary cross-entropy of a logit; both inputs of one shape, targets in [0, 1]."""

    def __call__(self, logits: EngineTensor, target: EngineTensor) -> EngineTensor:
        return self.ops.binary_cross_entropy_with_logits(logits, target, self.reduction)


class MSELoss(_Loss):
    """Squared difference; both inputs of one shape."""

    def __call__(self, x: EngineTensor, target: EngineTensor) -> EngineTensor:
        return self.ops.mse_loss(x, target, self.reduction)


# GELU is left to engines that have the error function.
LAYERS = (
    AvgPool2d, Conv2d, Dropout, Embedding, Flatten, LayerNorm, Linear, MaxPool2d,
    MultiHeadAttention, ReLU, Residual, Sequential, Sigmoid, SinusoidalPositions, Softmax, Tanh,
)  # fmt: skip
LOSSES = (BCEWithLogitsLoss, CrossEntropyLoss, MSELoss)
