"""Who sees what they may not see: the future, other sequences, or too little."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn, ops
from harness.autograd.ops import attention
from harness.autograd.ops.attention import scaled_dot_product_attention
from harness.faults.base import fault
from harness.faults.composed import ComposedAttention, ComposedLayerNorm, bias_against
from harness.faults.ground import Ground

_LAYER = ("MultiHeadAttention", "scaled_dot_product_attention")
_OP = ("scaled_dot_product_attention", "MultiHeadAttention")
_SEEN = ("causality_holds", "forward_agrees")

Array = np.ndarray


# --- the causal mask ------------------------------------------------------------------------


@fault("transformer", component=_OP, seen_by=("ops_compute_right", "causality_holds"))
def mask_offby1(ground: Ground) -> None:
    """Every place sees one place of the future."""

    def bias(queries: int, keys: int, dtype: str) -> Array:
        return np.tril(np.full((keys, queries), -np.inf, dtype=dtype), k=-2)

    ground.replace(attention._causal_bias, bias)


@fault("transformer", component=_OP, seen_by=("ops_compute_right", "causality_holds"))
def mask_strict(ground: Ground) -> None:
    """No place sees itself, and the first, which then sees nothing, looks everywhere."""

    def bias(queries: int, keys: int, dtype: str) -> Array:
        return np.tril(np.full((keys, queries), -1e9, dtype=dtype), k=0)

    ground.replace(attention._causal_bias, bias)


@fault("transformer", component=_OP, seen_by=("ops_compute_right", "causality_holds"))
def mask_weak_fill(ground: Ground) -> None:
    """What may not be seen has its score lowered by 5 only, so that a little shines through."""

    def bias(queries: int, keys: int, dtype: str) -> Array:
        return np.tril(np.full((keys, queries), -5.0, dtype=dtype), k=-1)

    ground.replace(attention._causal_bias, bias)


@fault("transformer", component=_OP, seen_by=("ops_compute_right", "causality_holds"))
def mask_transposed(ground: Ground) -> None:
    """The causal mask is transposed: every place sees the future and not the past."""

    def bias(queries: int, keys: int, dtype: str) -> Array:
        return np.triu(np.full((keys, queries), -np.inf, dtype=dtype), k=1)

    ground.replace(attention._causal_bias, bias)


@fault("transformer", component=_LAYER, seen_by=_SEEN)
def mask_after_softmax(ground: Ground) -> None:
    """The mask is multiplied onto the weights after the softmax, which are not made 1 again."""

    class MaskedAfterwards(ComposedAttention):
        def weights(self, scores: Tensor) -> Tensor:
            return scores.softmax(-1) * self.visible(scores).astype(scores.dtype)

    ground.swap("layers", "MultiHeadAttention", MaskedAfterwards)


@fault("transformer", component=_LAYER, seen_by=_SEEN)
def mask_zero_fill(ground: Ground) -> None:
    """Masked scores are multiplied by 0 instead of set to -inf: they keep a weight."""

    class FilledWithZero(ComposedAttention):
        def masked(self, scores: Tensor) -> Tensor:
            return scores * self.visible(scores).astype(scores.dtype)

    ground.swap("layers", "MultiHeadAttention", FilledWithZero)


@fault("transformer", component=_LAYER, seen_by=_SEEN)
def mask_head0_only(ground: Ground) -> None:
    """The mask reaches the first head only; the others see the future."""

    class FirstHeadMasked(ComposedAttention):
        def masked(self, scores: Tensor) -> Tensor:
            hidden = np.zeros(scores.shape[1:], dtype=bool)
            hidden[0] = ~self.visible(scores)
            return scores + bias_against(hidden, scores)

    ground.swap("layers", "MultiHeadAttention", FirstHeadMasked)


@fault("transformer", component=_LAYER, seen_by=_SEEN)
def mask_not_passed(ground: Ground) -> None:
    """The layer is told to be causal and does not pass it on."""

    class NeverCausal(nn.MultiHeadAttention):
        def forward(self, x: Tensor) -> Tensor:
            self.is_causal = False
            return super().forward(x)

    ground.swap("layers", "MultiHeadAttention", NeverCausal)


@fault("transformer", component=_LAYER, seen_by=("causality_holds", "modes_agree"))
def mask_training_only(ground: Ground) -> None:
    """The causal mask is applied while training only; in evaluation everything is seen."""

    class CausalInTraining(ComposedAttention):
        def visible(self, scores: Tensor) -> Array:
            shape = scores.shape[-2:]
            return super().visible(scores) if self.training else np.ones(shape, dtype=bool)

    ground.swap("layers", "MultiHeadAttention", CausalInTraining)


# --- masks that are given -------------------------------------------------------------------


@fault(component=_OP, seen_by=("ops_compute_right",))
def mask_repeat_order(ground: Ground) -> None:
    """A mask of every example is repeated head by head while tensors lie example by example."""
    right = scaled_dot_product_attention

    def repeating(
        query: Tensor,
        key: Tensor,
        value: Tensor,
        attn_mask: Tensor | Array | None = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> Tensor:
        mask = attn_mask.data if isinstance(attn_mask, Tensor) else attn_mask
        if mask is not None and mask.ndim == query.ndim == 4 and mask.shape[1] == 1:
            examples, heads = query.shape[:2]
            if mask.shape[0] == examples:
                repeated = np.concatenate([mask[:, 0]] * heads)
                mask = repeated.reshape(examples, heads, *mask.shape[2:])
        return right(query, key, value, mask, is_causal, scale)

    ground.replace(right, repeating)


@fault(component=_OP, seen_by=("ops_compute_right",))
def mask_bool_inverted(ground: Ground) -> None:
    """A mask of truth values hides what it should show."""
    right = attention._mask_bias

    def bias(mask: Array, dtype: np.dtype) -> Array:
        return right(~mask if mask.dtype == bool else mask, dtype)

    ground.replace(right, bias)


# --- across the batch -----------------------------------------------------------------------


@fault("transformer", component=("LayerNorm", "layer_norm"), seen_by=_SEEN)
def ln_axis_all(ground: Ground) -> None:
    """Layer norm takes mean and variance over places and features, and so of the future."""

    class OverPlacesToo(ComposedLayerNorm):
        def axes(self, x: Tensor) -> tuple[int, ...]:
            first, *others = super().axes(x)
            return (max(first - 1, 0), first, *others) if first else (first, *others)

    ground.swap("layers", "LayerNorm", OverPlacesToo)


@fault("transformer", component=("Residual", "add"), seen_by=_SEEN)
def skip_shifted(ground: Ground) -> None:
    """The skip of a residual block is one place late: the first place gets the last one's."""

    class LateSkip(nn.Residual):
        def forward(self, x: Tensor) -> Tensor:
            inner = nn.Sequential.forward(self, x)
            if x.ndim != 3:
                return x + inner
            late = np.arange(x.shape[1]) - 1
            return ops.index(x, (slice(None), late)) + inner

    ground.swap("layers", "Residual", LateSkip)
