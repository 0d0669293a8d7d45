"""Ops as functions of tensors: PyTorch's own, and those that it spells differently.

`OPS` has them under the names and with the arguments of the built-in engine.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from harness.backends.base import Factory

Dims = int | tuple[int, ...] | None


def viewable(array: np.ndarray) -> np.ndarray:
    """The array itself, or a copy where PyTorch cannot share its numbers."""
    is_viewable = array.flags.writeable and min(array.strides, default=0) >= 0
    return array if is_viewable else array.copy()


def dropout(
    x: Tensor, p: float = 0.5, training: bool = True, rng: np.random.Generator | None = None
) -> Tensor:
    """Zero each number with probability p and scale the others by 1/(1-p).

    Written out, because PyTorch's own cannot draw from `rng`.
    """
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"p must be between 0 and 1, got {p}")
    if not training or p == 0.0:
        return x
    draws = (np.random.default_rng() if rng is None else rng).random(x.shape, dtype=np.float32)
    keep = torch.as_tensor(draws >= p).to(x.dtype)
    return x * (keep / (1.0 - p) if p < 1.0 else keep * 0.0)


def _gelu(x: Tensor, approximate: str = "none") -> Tensor:
    return functional.gelu(x, approximate=approximate)


def _softmax(x: Tensor, dim: int = -1) -> Tensor:
    return torch.softmax(x, dim)


def _log_softmax(x: Tensor, dim: int = -1) -> Tensor:
    return torch.log_softmax(x, dim)


def _max(x: Tensor, dim: Dims = None, keepdim: bool = False) -> Tensor:
    """Values only; PyTorch's `max` would also say where they stand."""
    return torch.amax(x, () if dim is None else dim, keepdim)


def _transpose(x: Tensor, dim0: int = -2, dim1: int = -1) -> Tensor:
    return torch.transpose(x, dim0, dim1)


def _index(x: Tensor, key: Any) -> Tensor:  # whatever numpy takes as an index
    """x[key] by numpy's rules, which PyTorch's own indexing follows only in part.

    It knows no negative steps, and puts axes elsewhere where a number stands beside an array.
    """
    parts = key if isinstance(key, tuple) else (key,)
    plain = tuple(each.numpy() if isinstance(each, Tensor) else each for each in parts)
    places = np.arange(x.numel()).reshape(x.shape)[plain]
    return torch.take(x, torch.from_numpy(np.array(places)))


def _plain(part: Any) -> Any:
    return torch.as_tensor(viewable(part)) if isinstance(part, np.ndarray) else part


def _cross_entropy(logits: Tensor, target: Tensor | np.ndarray, reduction: str = "mean") -> Tensor:
    return functional.cross_entropy(logits, _plain(target), reduction=reduction)


def _attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Tensor:
    mask = _plain(attn_mask)
    if mask is not None and mask.dtype != torch.bool:
        mask = mask.to(query.dtype)
    return functional.scaled_dot_product_attention(
        query, key, value, mask, is_causal=is_causal, scale=scale
    )


OPS: Mapping[str, Factory] = {
    "add": torch.add,
    "avg_pool2d": functional.avg_pool2d,
    "binary_cross_entropy_with_logits": functional.binary_cross_entropy_with_logits,
    "concatenate": torch.cat,
    "conv2d": functional.conv2d,
    "cross_entropy": _cross_entropy,
    "div": torch.div,
    "dropout": dropout,
    "embedding": functional.embedding,
    "exp": torch.exp,
    "flatten": torch.flatten,
    "gelu": _gelu,
    "index": _index,
    "layer_norm": functional.layer_norm,
    "linear": functional.linear,
    "log": torch.log,
    "log_softmax": _log_softmax,
    "matmul": torch.matmul,
    "max": _max,
    "max_pool2d": functional.max_pool2d,
    "mean": torch.mean,
    "mse_loss": functional.mse_loss,
    "mul": torch.mul,
    "neg": torch.neg,
    "permute": torch.permute,
    "pow": torch.pow,
    "relu": functional.relu,
    "reshape": torch.reshape,
    "scaled_dot_product_attention": _attention,
    "sigmoid": torch.sigmoid,
    "softmax": _softmax,
    "sqrt": torch.sqrt,
    "sub": torch.sub,
    "sum": torch.sum,
    "tanh": torch.tanh,
    "transpose": _transpose,
}
