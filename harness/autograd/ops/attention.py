"""scaled_dot_product_attention: a weighted mean of values, weighted by query-key fit."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.errors import ShapeError
from harness.autograd.function import Function
from harness.autograd.kernels import unbroadcast
from harness.autograd.opcase import OpCase
from harness.autograd.ops.softmax import softmax_array, softmax_gradient

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


@lru_cache(maxsize=32)
def _causal_bias(queries: int, keys: int, dtype: str) -> np.ndarray:
    """-inf where query i may not see key j, j > i; laid out (keys, queries)."""
    return np.tril(np.full((keys, queries), -np.inf, dtype=dtype), k=-1)


def _mask_bias(mask: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """What to add to the (keys, queries) scores: a bool mask says who takes part."""
    if mask.dtype == bool:
        mask = np.log(mask, where=mask, out=np.full(mask.shape, -np.inf, dtype=dtype))
    return np.atleast_2d(mask).astype(dtype).swapaxes(-1, -2)


def _keys_first(key: np.ndarray, query: np.ndarray) -> np.ndarray:
    """key query^T, (..., keys, queries), with the keys outermost in memory.

    softmax adds up over the keys, which then runs along all queries of the batch at once.
    """
    batch = np.broadcast_shapes(key.shape[:-2], query.shape[:-2])
    shape = (key.shape[-2], *batch, query.shape[-2])
    out = np.empty_like(key, shape=shape, dtype=np.result_type(key, query), order="C")
    # The copy pays: BLAS is slow at small products with a matrix that is turned.
    return np.matmul(key, query.swapaxes(-1, -2).copy(), out=np.moveaxis(out, 0, -2))


def _product(a: np.ndarray, b: np.ndarray, like: np.ndarray) -> np.ndarray:
    """a b, its axes ordered in memory as those of `like`.

    Heads that were split off one row are then beside each other again, and joined by a view.
    """
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    shape = (*batch, a.shape[-2], b.shape[-1])
    return np.matmul(a, b, out=np.empty_like(like, shape=shape, dtype=np.result_type(a, b)))


class ScaledDotProductAttentionBackward(Function):
    """y = P v with P = softmax(q k^T s): dv = P^T g, dS = softmax'(g v^T), dq = dS k s, ..."""

    def __init__(
        self, query: Tensor, key: Tensor, value: Tensor, weights: np.ndarray, scale: float
    ) -> None:
        super().__init__(query, key, value)
        self.weights = weights  # (..., keys, queries)
        self.scale = scale

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray, ...]:
        query, key, value = (tensor.data for tensor in self.saved_tensors)
        grad_value = _product(self.weights, grad_output, value)
        grad_weights = _keys_first(value, grad_output)
        grad_scores = softmax_gradient(self.weights, grad_weights, axis=-2)
        grad_scores *= self.scale
        grad_query = _product(grad_scores.swapaxes(-1, -2), key, query)
        grad_key = _product(grad_scores, query, key)
        return (
            unbroadcast(grad_query, query.shape),
            unbroadcast(grad_key, key.shape),
            unbroadcast(grad_value, value.shape),
        )


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    """softmax(query key^T * scale + mask) value, with scale = 1/sqrt(E) by default.

    Shapes: query (..., L, E), key (..., S, E), value (..., S, V). Returns (..., L, V).
    `attn_mask` broadcasts to (..., L, S): bool says which keys take part, numbers are
    added. `is_causal` lets query i see keys 0 to i. A query that may see no key gets zeros.
    Raises ShapeError when the shapes do not fit. Source: Vaswani et al. 2017, eq. 1.
    """
    if attn_mask is not None and is_causal:
        raise ValueError("scaled_dot_product_attention: give attn_mask or is_causal, not both")
    mask = attn_mask if isinstance(attn_mask, np.ndarray | None) else attn_mask.data
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise _misfit(query, key, value, mask)
    scale = query.shape[-1] ** -0.5 if scale is None else scale
    try:
        scores = _keys_first(key.data, query.data)
        scores *= scale
        if is_causal:
            scores += _causal_bias(query.shape[-2], key.shape[-2], scores.dtype.str)
        if mask is None:
            weights = softmax_array(scores, axis=-2)
        else:
            weights = _masked_softmax(scores + _mask_bias(mask, scores.dtype))
        y = _product(weights.swapaxes(-1, -2), value.data, query.data)
    except ValueError as error:
        raise _misfit(query, key, value, mask) from error
    function = ScaledDotProductAttentionBackward(query, key, value, weights, scale)
    return query.from_op(y, function)


def _misfit(query: Tensor, key: Tensor, value: Tensor, mask: np.ndarray | None) -> ShapeError:
    with_mask = "" if mask is None else f" with attn_mask {mask.shape}"
    return ShapeError(
        f"scaled_dot_product_attention: query {query.shape}, key {key.shape} and value "
        f"{value.shape} do not fit{with_mask}"
    )


def _masked_softmax(scores: np.ndarray) -> np.ndarray:
    """softmax over axis -2 where a whole column may be -inf: it becomes zeros, not NaN."""
    lowest = np.finfo(scores.dtype).min
    e: np.ndarray = np.exp(
        scores - np.maximum(np.maximum.reduce(scores, axis=-2, keepdims=True), lowest)
    )
    e /= np.maximum(np.add.reduce(e, axis=-2, keepdims=True), np.finfo(scores.dtype).tiny)
    return e


_MASK = np.array([[True, False, True], [True, True, False]])
_SHAPES: list[tuple[int, ...]] = [(2, 4, 3), (2, 4, 3), (2, 4, 5)]
CASES = [
    OpCase(scaled_dot_product_attention, _SHAPES),
    OpCase(scaled_dot_product_attention, _SHAPES, {"is_causal": True}),
    OpCase(scaled_dot_product_attention, [(2, 4), (3, 4), (3, 2)], {"attn_mask": _MASK}),
    OpCase(scaled_dot_product_attention, [(2, 2, 2, 4), (2, 1, 3, 4), (3, 4)], {"scale": 0.3}),
    OpCase(
        scaled_dot_product_attention,
        [(2, 4), (3, 4), (3, 2)],
        {"attn_mask": np.array([[0.5, -1.0, 0.0], [-np.inf, -np.inf, -np.inf]])},
    ),
    OpCase(scaled_dot_product_attention, [(1, 1, 1), (1, 1, 1), (1, 1, 1)]),
]
