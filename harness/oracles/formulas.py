"""The mathematics behind layers and ops, each as its textbook has it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

# One length for both axes of an image, or (vertical, horizontal).
Pair = int | tuple[int, int]


def wide(x: Any) -> np.ndarray:
    """Anything that holds numbers, in float64."""
    return np.asarray(x, dtype=np.float64)


# --- one number at a time ----------------------------------------------------------------


def relu(x: np.ndarray) -> np.ndarray:
    """max(x, 0)."""
    return np.asarray(np.where(x > 0, x, 0.0))


def sigmoid(x: np.ndarray) -> np.ndarray:
    """1 / (1 + exp(-x)), with exp of a negative number only."""
    small = np.exp(-np.abs(x))
    return np.asarray(np.where(x >= 0, 1.0, small) / (1.0 + small))


def gelu(x: np.ndarray, approximate: str = "none") -> np.ndarray:
    """x times the normal distribution function of x (Hendrycks and Gimpel 2016)."""
    if approximate == "tanh":
        inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)
        return np.asarray(0.5 * x * (1.0 + np.tanh(inner)))
    erf = np.reshape([math.erf(each / math.sqrt(2.0)) for each in x.ravel()], x.shape)
    return np.asarray(0.5 * x * (1.0 + erf))


# --- along an axis -----------------------------------------------------------------------


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """exp(x) / sum(exp(x)); an axis that is -inf throughout gives zeros."""
    top = x.max(axis=axis, keepdims=True, initial=-np.inf)
    e = np.exp(x - np.where(np.isfinite(top), top, 0.0))
    total = e.sum(axis=axis, keepdims=True)
    return np.asarray(e / np.where(total > 0.0, total, 1.0))


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """x - log(sum(exp(x)))."""
    shifted = x - x.max(axis=axis, keepdims=True, initial=-np.inf)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis=axis, keepdims=True)))


def layer_norm(
    x: np.ndarray,
    axes: int,
    weight: np.ndarray | None = None,
    bias: np.ndarray | None = None,
    eps: float = 1e-5,
    eps_outside: bool = False,
) -> np.ndarray:
    """(x - mean) / sqrt(var + eps) * weight + bias over the last `axes` axes.

    `eps_outside` divides by sqrt(var) + eps instead. Ba et al. 2016, eq. 4.
    """
    over = tuple(range(-axes, 0))
    centred = x - x.mean(axis=over, keepdims=True)
    variance = (centred * centred).mean(axis=over, keepdims=True)
    sigma = np.sqrt(variance) + eps if eps_outside else np.sqrt(variance + eps)
    y = centred / sigma
    y = y if weight is None else y * weight
    return np.asarray(y if bias is None else y + bias)


# --- images (N, C, H, W) -----------------------------------------------------------------


def pair(value: Pair) -> tuple[int, int]:
    """3 -> (3, 3)."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


def windows(x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, border: float) -> np.ndarray:
    """Every window of padded images: (N, C, H, W) -> (N, C, H', W', KH, KW)."""
    (top, left), (down, right) = pair(padding), pair(stride)
    padded = np.pad(x, ((0, 0), (0, 0), (top, top), (left, left)), constant_values=border)
    every = np.lib.stride_tricks.sliding_window_view(padded, pair(kernel), axis=(2, 3))
    return every[:, :, ::down, ::right]


def conv2d(
    x: np.ndarray,
    weight: np.ndarray,
    bias: np.ndarray | None = None,
    stride: Pair = 1,
    padding: Pair = 0,
) -> np.ndarray:
    """y[n, f, i, j] = sum of window[n, :, i, j] * weight[f] + bias[f]: cross-correlation."""
    height, width = weight.shape[2:]
    seen = windows(x, (height, width), stride, padding, 0.0)
    y = np.tensordot(seen, weight, axes=((1, 4, 5), (1, 2, 3))).transpose(0, 3, 1, 2)
    return np.asarray(y if bias is None else y + bias[:, None, None])


def max_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> np.ndarray:
    """The largest number of each window; what lies outside the image is -inf."""
    steps = kernel_size if stride is None else stride
    return np.asarray(windows(x, kernel_size, steps, padding, -np.inf).max(axis=(4, 5)))


def avg_pool2d(
    x: np.ndarray, kernel_size: Pair, stride: Pair | None = None, padding: Pair = 0
) -> np.ndarray:
    """The mean of each window; what lies outside the image counts as zeros."""
    steps = kernel_size if stride is None else stride
    return np.asarray(windows(x, kernel_size, steps, padding, 0.0).mean(axis=(4, 5)))


# --- sequences ---------------------------------------------------------------------------


def attention(
    query: np.ndarray,
    key: np.ndarray,
    value: np.ndarray,
    mask: np.ndarray | None = None,
    is_causal: bool = False,
    scale: float | None = None,
) -> np.ndarray:
    """softmax(q k^T / sqrt(E) + mask) v (Vaswani et al. 2017, eq. 1).

    A mask of truth values says who takes part, one of numbers is added. `is_causal` lets
    query i see keys 0 to i. Shapes: (..., L, E), (..., S, E), (..., S, V) -> (..., L, V).
    """
    scale = 1.0 / math.sqrt(query.shape[-1]) if scale is None else scale
    scores = query @ np.swapaxes(key, -1, -2) * scale
    if is_causal:
        places, seen = np.arange(scores.shape[-2]), np.arange(scores.shape[-1])
        mask = seen[None, :] <= places[:, None]
    if mask is not None and mask.dtype == bool:
        scores = np.where(mask, scores, -np.inf)
    elif mask is not None:
        scores = scores + mask
    return np.asarray(softmax(scores, -1) @ value)


def positions(length: int, width: int, is_interleaved: bool = True) -> np.ndarray:
    """Sines and cosines of places: (length, width) (Vaswani et al. 2017, section 3.5)."""
    place = np.arange(length)[:, None]
    angle = place / 10000.0 ** (np.arange(0, width, 2) / width)
    if not is_interleaved:
        return np.concatenate([np.sin(angle), np.cos(angle)], axis=1)
    return np.stack([np.sin(angle), np.cos(angle)], axis=2).reshape(length, width)


# --- losses ------------------------------------------------------------------------------


def reduced(losses: np.ndarray, reduction: str) -> np.ndarray:
    """The mean of all losses, or their sum."""
    return np.asarray(losses.sum() if reduction == "sum" else losses.mean())


def cross_entropy(logits: np.ndarray, target: np.ndarray, reduction: str = "mean") -> np.ndarray:
    """-log softmax(logits)[target]: logits (N, C, ...), target (N, ...) of classes."""
    log_p = log_softmax(logits, 1)
    picked = np.take_along_axis(log_p, np.expand_dims(target, 1), axis=1)
    return reduced(-picked, reduction)


def binary_cross_entropy_with_logits(
    logits: np.ndarray, target: np.ndarray, reduction: str = "mean"
) -> np.ndarray:
    """-y log s(z) - (1 - y) log(1 - s(z)), with log s(z) = -log(1 + exp(-z))."""
    losses = target * np.logaddexp(0.0, -logits) + (1.0 - target) * np.logaddexp(0.0, logits)
    return reduced(losses, reduction)


def mse_loss(x: np.ndarray, target: np.ndarray, reduction: str = "mean") -> np.ndarray:
    """(x - y)^2."""
    return reduced((x - target) ** 2, reduction)
