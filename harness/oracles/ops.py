"""Every op as a closed form on arrays: `OPS[name]` gives all right ways, PyTorch's first.

`DEFAULTS[name]` are all that a tensor's method of that name may mean without arguments. The others
take the arguments of PyTorch's op of that name. All give float64.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from harness.oracles import formulas
from harness.oracles.formulas import Pair, wide

Array = np.ndarray
Dims = int | tuple[int, ...] | None
Formula = Callable[..., Array]

# --- one number at a time, and broadcast --------------------------------------------------------

_ONE_NUMBER: dict[str, Formula] = {
    "abs": np.abs,
    "cos": np.cos,
    "exp": np.exp,
    "log": np.log,
    "neg": np.negative,
    "reciprocal": np.reciprocal,
    "relu": formulas.relu,
    "sigmoid": formulas.sigmoid,
    "sin": np.sin,
    "sqrt": np.sqrt,
    "square": np.square,
    "tanh": np.tanh,
}
_TWO_NUMBERS: dict[str, Formula] = {
    "add": np.add,
    "div": np.divide,
    "maximum": np.maximum,
    "minimum": np.minimum,
    "mul": np.multiply,
    "pow": np.power,
    "sub": np.subtract,
}


def _on_wide(formula: Formula, *arrays: Array) -> Array:
    return np.asarray(formula(*map(wide, arrays)))


def _gelu(x: Array, approximate: str = "none") -> Array:
    return formulas.gelu(wide(x), approximate)


# --- along axes ---------------------------------------------------------------------------------


def _reduced(formula: Formula, x: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    return np.asarray(formula(wide(x), axis=dim, keepdims=keepdim))


def _softmax(formula: Formula, x: Array, dim: int = -1) -> Array:
    return formula(wide(x), dim)


def _of_all(formula: Formula, x: Array) -> Array:
    return formula(wide(x).reshape(-1), -1).reshape(x.shape)


def _layer_norm(
    eps_outside: bool,
    x: Array,
    normalized_shape: tuple[int, ...],
    weight: Array | None = None,
    bias: Array | None = None,
    eps: float = 1e-5,
) -> Array:
    axes = len(normalized_shape)
    return formulas.layer_norm(wide(x), axes, weight, bias, eps, eps_outside)


# --- products and images ------------------------------------------------------------------------


def _matmul(a: Array, b: Array) -> Array:
    """y[..., i, j] = sum over k of a[..., i, k] b[..., k, j]; a vector's axis is gone from y."""
    left = wide(a)[None, :] if a.ndim == 1 else wide(a)
    right = wide(b)[:, None] if b.ndim == 1 else wide(b)
    y = (left[..., :, :, None] * right[..., None, :, :]).sum(axis=-2)
    y = y[..., 0] if b.ndim == 1 else y
    return np.asarray(y[..., 0] if a.ndim == b.ndim == 1 else y[..., 0, :] if a.ndim == 1 else y)


def _linear(x: Array, weight: Array, bias: Array | None = None) -> Array:
    y = wide(x) @ wide(weight).T
    return np.asarray(y if bias is None else y + bias)


def _cross_correlation(
    x: Array, weight: Array, bias: Array | None = None, stride: Pair = 1, padding: Pair = 0
) -> Array:
    return formulas.conv2d(wide(x), wide(weight), bias, stride, padding)


def _true_convolution(
    x: Array, weight: Array, bias: Array | None = None, stride: Pair = 1, padding: Pair = 0
) -> Array:
    return _cross_correlation(x, weight[:, :, ::-1, ::-1], bias, stride, padding)


def _pooled(
    formula: Formula, x: Array, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> Array:
    return formula(wide(x), kernel_size, stride, padding)


def _attention(
    query: Array,
    key: Array,
    value: Array,
    attn_mask: Array | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> Array:
    return formulas.attention(wide(query), wide(key), wide(value), attn_mask, is_causal, scale)


def _embedding(indices: Array, weight: Array) -> Array:
    return np.asarray(wide(weight)[indices])


def _dropout(x: Array, p: float = 0.5, training: bool = True, **_: object) -> Array:
    """Known where nothing is drawn: outside training and for p of 0 and 1."""
    if training and 0.0 < p < 1.0:
        raise NotImplementedError("it is drawn")
    return wide(x) * (0.0 if training and p == 1.0 else 1.0)


# --- the same numbers in another shape ----------------------------------------------------------


def _reshape(x: Array, shape: tuple[int, ...]) -> Array:
    return wide(x).reshape(shape)


def _flatten(x: Array, start_dim: int = 0, end_dim: int = -1) -> Array:
    start, end = start_dim % max(x.ndim, 1), end_dim % max(x.ndim, 1)
    merged = int(np.prod(x.shape[start : end + 1]))
    return wide(x).reshape(*x.shape[:start], merged, *x.shape[end + 1 :])


def _permute(x: Array, dims: tuple[int, ...]) -> Array:
    return wide(x).transpose(dims)


def _transpose(x: Array, dim0: int = -2, dim1: int = -1) -> Array:
    return wide(x).swapaxes(dim0, dim1)


def _index(x: Array, key: Any) -> Array:  # whatever numpy takes as an index
    return np.asarray(wide(x)[key])


def _concatenate(tensors: Sequence[Array], dim: int = 0) -> Array:
    return np.concatenate([wide(each) for each in tensors], axis=dim)


# --- losses -------------------------------------------------------------------------------------


def _loss(formula: Formula, x: Array, target: Array, reduction: str = "mean") -> Array:
    target = target if target.dtype.kind in "iu" else wide(target)
    return formula(wide(x), target, reduction)


OPS: dict[str, tuple[Formula, ...]] = {
    **{name: (partial(_on_wide, formula),) for name, formula in _ONE_NUMBER.items()},
    **{name: (partial(_on_wide, formula),) for name, formula in _TWO_NUMBERS.items()},
    "gelu": (_gelu,),
    "sum": (partial(_reduced, np.sum),),
    "mean": (partial(_reduced, np.mean),),
    "max": (partial(_reduced, np.max),),
    "min": (partial(_reduced, np.min),),
    "amax": (partial(_reduced, np.max),),
    "amin": (partial(_reduced, np.min),),
    "softmax": (partial(_softmax, formulas.softmax),),
    "log_softmax": (partial(_softmax, formulas.log_softmax),),
    "layer_norm": (partial(_layer_norm, False), partial(_layer_norm, True)),
    "matmul": (_matmul,),
    "linear": (_linear,),
    "conv2d": (_cross_correlation, _true_convolution),
    "max_pool2d": (partial(_pooled, formulas.max_pool2d),),
    "avg_pool2d": (partial(_pooled, formulas.avg_pool2d),),
    "scaled_dot_product_attention": (_attention,),
    "embedding": (_embedding,),
    "dropout": (_dropout,),
    "reshape": (_reshape,),
    "flatten": (_flatten,),
    "permute": (_permute,),
    "transpose": (_transpose,),
    "index": (_index,),
    "concatenate": (_concatenate,),
    "cat": (_concatenate,),
    "cross_entropy": (partial(_loss, formulas.cross_entropy),),
    "binary_cross_entropy_with_logits": (
        partial(_loss, formulas.binary_cross_entropy_with_logits),
    ),
    "mse_loss": (partial(_loss, formulas.mse_loss),),
}
DEFAULTS: dict[str, tuple[Formula, ...]] = {
    "flatten": (_flatten,),
    "max": (OPS["max"][0],),
    "mean": (OPS["mean"][0],),
    # Along the last axis, or of all numbers.
    "softmax": (OPS["softmax"][0], partial(_of_all, formulas.softmax)),
    "log_softmax": (OPS["log_softmax"][0], partial(_of_all, formulas.log_softmax)),
    "sum": (OPS["sum"][0],),
    # Swaps the last two axes, or reverses all.
    "transpose": (_transpose, lambda x: wide(x).transpose()),
}
# Losses as objects, by the op that each of them is.
LOSSES = {
    "CrossEntropyLoss": "cross_entropy",
    "BCEWithLogitsLoss": "binary_cross_entropy_with_logits",
    "MSELoss": "mse_loss",
}
