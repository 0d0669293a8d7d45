"""Attention that looks with the wrong vectors, at the wrong scale or through mixed-up heads."""

from __future__ import annotations

import math

import numpy as np

from harness.autograd import Tensor, nn
from harness.autograd.ops import attention
from harness.autograd.ops.attention import ScaledDotProductAttentionBackward
from harness.autograd.ops.softmax import softmax_array, softmax_gradient
from harness.faults.base import fault
from harness.faults.composed import ComposedAttention
from harness.faults.ground import Ground

_LAYER = ("MultiHeadAttention", "scaled_dot_product_attention")
_OP = ("scaled_dot_product_attention", "MultiHeadAttention", "softmax")
_SCALE = ("MultiHeadAttention", "scaled_dot_product_attention")

Array = np.ndarray


# --- the layer ------------------------------------------------------------------------------


@fault("transformer", component=_LAYER, seen_by=("forward_agrees", "graph_is_whole"))
def attn_k_uses_q(ground: Ground) -> None:
    """Keys come from the projection of the queries; that of the keys is not used."""

    class KeysFromQueries(ComposedAttention):
        def projected(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            query, _, value = super().projected(x)
            return query, self._split(self.query(x)), value

    ground.swap("layers", "MultiHeadAttention", KeysFromQueries)


@fault("transformer", component=_LAYER, seen_by=("forward_agrees", "causality_holds"))
def attn_merge_no_transpose(ground: Ground) -> None:
    """The heads are put together again by a reshape without the transpose before it."""

    class MergedAsTheyStand(ComposedAttention):
        def merged(self, heads: Tensor) -> Tensor:
            count, _, length, _ = heads.shape
            return heads.reshape(count, length, -1)

    ground.swap("layers", "MultiHeadAttention", MergedAsTheyStand)


@fault("transformer", component=_LAYER, seen_by=("forward_agrees", "causality_holds"))
def attn_split_no_transpose(ground: Ground) -> None:
    """The heads are split by a reshape to (N, heads, T, D) without a transpose."""

    class SplitAsTheyStand(nn.MultiHeadAttention):
        def _split(self, x: Tensor) -> Tensor:
            count, length, width = x.shape
            return x.reshape(count, self.num_heads, length, width // self.num_heads)

    ground.swap("layers", "MultiHeadAttention", SplitAsTheyStand)


@fault("transformer", component=_SCALE, seen_by=("forward_agrees",))
def attn_scale_linear(ground: Ground) -> None:
    """Scores are divided by the width of a head instead of its square root."""

    class ScaledByWidth(ComposedAttention):
        def scores(self, query: Tensor, key: Tensor) -> Tensor:
            return query @ key.transpose() / query.shape[-1]

    ground.swap("layers", "MultiHeadAttention", ScaledByWidth)


@fault("transformer", component=_SCALE, seen_by=("forward_agrees",))
def attn_scale_mul(ground: Ground) -> None:
    """Scores are multiplied by the square root of the width of a head, not divided."""

    class ScaledUp(ComposedAttention):
        def scores(self, query: Tensor, key: Tensor) -> Tensor:
            return query @ key.transpose() * math.sqrt(query.shape[-1])

    ground.swap("layers", "MultiHeadAttention", ScaledUp)


@fault("transformer", component=_SCALE, seen_by=("forward_agrees",))
def attn_scale_all_heads(ground: Ground) -> None:
    """Scores are divided by the root of the whole width instead of that of one head."""

    class ScaledByAllHeads(ComposedAttention):
        def scores(self, query: Tensor, key: Tensor) -> Tensor:
            return super().scores(query, key) / math.sqrt(self.num_heads)

    ground.swap("layers", "MultiHeadAttention", ScaledByAllHeads)


@fault(component=_LAYER, seen_by=("ops_compute_right",))
def attn_two_heads_always(ground: Ground) -> None:
    """The number of heads is not passed on: there are two, however many are asked for."""

    class TwoHeads(nn.MultiHeadAttention):
        def __init__(
            self,
            embed_dim: int,
            num_heads: int,
            is_causal: bool = False,
            rng: np.random.Generator | None = None,
        ) -> None:
            super().__init__(embed_dim, math.gcd(embed_dim, 2), is_causal, rng)

    ground.swap("layers", "MultiHeadAttention", TwoHeads)


@fault("transformer", component=_LAYER, seen_by=("forward_agrees", "causality_holds"))
def attn_batch_second(ground: Ground) -> None:
    """Attention takes (T, N, D) while it is given (N, T, D): it looks across the batch."""

    class BatchSecond(nn.MultiHeadAttention):
        def forward(self, x: Tensor) -> Tensor:
            return super().forward(x.transpose(0, 1)).transpose(0, 1)

    ground.swap("layers", "MultiHeadAttention", BatchSecond)


@fault("transformer", component=_LAYER, seen_by=("forward_agrees", "graph_is_whole"))
def attn_no_out(ground: Ground) -> None:
    """The output projection of attention exists but is never applied."""

    class WithoutOut(ComposedAttention):
        def forward(self, x: Tensor) -> Tensor:
            query, key, value = self.projected(x)
            return self.merged(self.mixed(self.weights(self.scores(query, key)), value))

    ground.swap("layers", "MultiHeadAttention", WithoutOut)


# --- the op ---------------------------------------------------------------------------------


@fault("transformer", component=_OP, seen_by=("ops_compute_right", "causality_holds"))
def softmax_wrong_axis(ground: Ground) -> None:
    """The softmax of attention runs over the queries instead of the keys."""
    right, right_gradient = softmax_array, softmax_gradient
    # Scores are laid out (..., keys, queries).
    ground.patch(attention, "softmax_array", lambda x, axis: right(x, -1))
    ground.patch(attention, "softmax_gradient", lambda y, g, axis: right_gradient(y, g, -1))


@fault("transformer", component=_OP, seen_by=("ops_differentiate_right", "gradients_agree"))
def attn_grad_no_scale(ground: Ground) -> None:
    """The gradient of the scores is not scaled, although the scores are."""
    right = ScaledDotProductAttentionBackward.apply

    def apply(self: ScaledDotProductAttentionBackward, grad_output: Array) -> tuple[Array, ...]:
        self.scale = 1.0
        return right(self, grad_output)

    ground.patch(ScaledDotProductAttentionBackward, "apply", apply)


@fault("transformer", component=_OP, seen_by=("ops_differentiate_right", "gradients_agree"))
def attn_grad_swapped(ground: Ground) -> None:
    """The gradients of query and key are returned in each other's place."""
    right = ScaledDotProductAttentionBackward.apply

    def apply(self: ScaledDotProductAttentionBackward, grad_output: Array) -> tuple[Array, ...]:
        query, key, value = right(self, grad_output)
        return (key, query, value) if query.shape == key.shape else (query, key, value)

    ground.patch(ScaledDotProductAttentionBackward, "apply", apply)
