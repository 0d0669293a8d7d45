"""Ops under PyTorch's names and arguments, made of numpy's functions as an engine offers them.

An engine gives its namespace as `lib` and overrides what it has a function of its own for.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np

from harness.backends.base import EngineTensor, Factory, Parameter
from harness.backends.numpy_like.draws import dropout_factors, fresh
from harness.backends.numpy_like.images import ImageOps

Dims = int | tuple[int, ...] | None
Reduction = Literal["mean", "sum"]

OPS = (
    "add", "avg_pool2d", "binary_cross_entropy_with_logits", "concatenate", "conv2d",
    "cross_entropy", "div", "dropout", "embedding", "exp", "flatten", "index", "layer_norm",
    "linear", "log", "log_softmax", "matmul", "max", "max_pool2d", "mean", "mse_loss", "mul",
    "neg", "permute", "pow", "relu", "reshape", "scaled_dot_product_attention", "sigmoid",
    "softmax", "sqrt", "sub", "sum", "tanh", "transpose",
)  # fmt: skip


class NumpyLikeOps(ImageOps):
    """All ops of one engine."""

    @abstractmethod
    def parameter(self, array: np.ndarray) -> Parameter:
        """A tensor that wants a gradient."""

    @abstractmethod
    def array(self, tensor: EngineTensor) -> np.ndarray:
        """The numbers of a tensor, or of an array."""

    def named(self) -> dict[str, Factory]:
        """Every op by name, but for gelu, which not every engine can have."""
        return {name: getattr(self, name) for name in OPS}

    # --- one number at a time, and broadcast ---------------------------------------------

    def add(self, a: EngineTensor, b: EngineTensor) -> EngineTensor:
        """a + b, broadcast."""
        return self.lib.add(a, b)

    def sub(self, a: EngineTensor, b: EngineTensor) -> EngineTensor:
        """a - b, broadcast."""
        return self.lib.subtract(a, b)

    def mul(self, a: EngineTensor, b: EngineTensor) -> EngineTensor:
        """a * b, elementwise and broadcast."""
        return self.lib.multiply(a, b)

    def div(self, a: EngineTensor, b: EngineTensor) -> EngineTensor:
        """a / b, elementwise and broadcast."""
        return self.lib.true_divide(a, b)

    def pow(self, a: EngineTensor, b: EngineTensor) -> EngineTensor:
        """a ** b, elementwise and broadcast."""
        return self.lib.power(a, b)

    def neg(self, a: EngineTensor) -> EngineTensor:
        """-a, elementwise."""
        return self.lib.negative(a)

    def exp(self, x: EngineTensor) -> EngineTensor:
        """e to the power x, elementwise."""
        return self.lib.exp(x)

    def log(self, x: EngineTensor) -> EngineTensor:
        """Natural logarithm, elementwise."""
        return self.lib.log(x)

    def sqrt(self, x: EngineTensor) -> EngineTensor:
        """Square root, elementwise."""
        return self.lib.sqrt(x)

    def tanh(self, x: EngineTensor) -> EngineTensor:
        """Hyperbolic tangent, elementwise."""
        return self.lib.tanh(x)

    @abstractmethod
    def relu(self, x: EngineTensor) -> EngineTensor:
        """max(x, 0), elementwise; its slope at 0 is 0."""

    @abstractmethod
    def sigmoid(self, x: EngineTensor) -> EngineTensor:
        """1 / (1 + exp(-x)), elementwise."""

    def dropout(
        self,
        x: EngineTensor,
        p: float = 0.5,
        training: bool = True,
        rng: np.random.Generator | None = None,
    ) -> EngineTensor:
        """Zero each number with probability p and scale the others by 1/(1-p)."""
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"dropout: p must be between 0 and 1, got {p}")
        if not training or p == 0.0:
            return x
        return self.lib.multiply(x, dropout_factors(x.shape, p, x.dtype, fresh(rng)))

    # --- along axes ----------------------------------------------------------------------

    def sum(self, x: EngineTensor, dim: Dims = None, keepdim: bool = False) -> EngineTensor:
        """Sum over `dim`, all axes when None."""
        return self.lib.sum(x, axis=dim, keepdims=keepdim)

    def mean(self, x: EngineTensor, dim: Dims = None, keepdim: bool = False) -> EngineTensor:
        """Mean over `dim`, all axes when None."""
        return self.lib.mean(x, axis=dim, keepdims=keepdim)

    def max(self, x: EngineTensor, dim: Dims = None, keepdim: bool = False) -> EngineTensor:
        """Largest value over `dim`, all axes when None."""
        return self.lib.max(x, axis=dim, keepdims=keepdim)

    @abstractmethod
    def softmax(self, x: EngineTensor, dim: int = -1) -> EngineTensor:
        """exp(x) / sum(exp(x)) along `dim`."""

    @abstractmethod
    def log_softmax(self, x: EngineTensor, dim: int = -1) -> EngineTensor:
        """x - log(sum(exp(x))) along `dim`."""

    def layer_norm(
        self,
        x: EngineTensor,
        normalized_shape: tuple[int, ...],
        weight: EngineTensor | None = None,
        bias: EngineTensor | None = None,
        eps: float = 1e-5,
    ) -> EngineTensor:
        """(x - mean) / sqrt(variance + eps) * weight + bias over the last axes."""
        axes = tuple(range(-len(normalized_shape), 0))
        centred = x - self._mean(x, axes)
        variance = self._mean(centred * centred, axes)
        y = centred / self.lib.sqrt(variance + x.dtype.type(eps))
        y = y if weight is None else y * weight
        return y if bias is None else y + bias

    def _mean(self, x: EngineTensor, axes: tuple[int, ...]) -> EngineTensor:
        """The mean in the type of x, also on the way back: not every engine's own keeps to it."""
        count = math.prod(x.shape[axis] for axis in axes)
        return self.lib.sum(x, axis=axes, keepdims=True) / x.dtype.type(count)

    # --- products -------------------------------------------------------------

    def matmul(self, a: EngineTensor, b: EngineTensor) -> EngineTensor:
        """Matrix product with numpy's rules."""
        return self.lib.matmul(a, b)

    def linear(
        self, x: EngineTensor, weight: EngineTensor, bias: EngineTensor | None = None
    ) -> EngineTensor:
        """x W^T + b over the last axis."""
        y = self.lib.matmul(x, self.lib.swapaxes(weight, 0, 1))
        return y if bias is None else y + bias

    def embedding(self, indices: EngineTensor, weight: EngineTensor) -> EngineTensor:
        """Row `weight[i]` for every index i."""
        places = self.array(indices)
        if places.dtype.kind not in "iu":
            raise TypeError(f"embedding: indices must be integers, got {places.dtype}")
        if places.size and not 0 <= places.min() <= places.max() < len(weight):
            raise IndexError(
                f"embedding: indices from {places.min()} to {places.max()} do not fit a table of "
                f"{len(weight)} rows"
            )
        return weight[places]

    def scaled_dot_product_attention(
        self,
        query: EngineTensor,
        key: EngineTensor,
        value: EngineTensor,
        attn_mask: EngineTensor | None = None,
        is_causal: bool = False,
        scale: float | None = None,
    ) -> EngineTensor:
        """softmax(query key^T * scale + mask) value, with scale = 1/sqrt(E) by default.

        `attn_mask` broadcasts to (..., L, S): bool says which keys take part, numbers are
        added. A query that may see no key gets zeros. Source: Vaswani et al. 2017, eq. 1.
        """
        if attn_mask is not None and is_causal:
            raise ValueError("scaled_dot_product_attention: give attn_mask or is_causal, not both")
        factor = query.dtype.type(query.shape[-1] ** -0.5 if scale is None else scale)
        scores = self.lib.matmul(query, self.lib.swapaxes(key, -1, -2)) * factor
        if is_causal:
            attn_mask = np.tri(*scores.shape[-2:], dtype=bool)
        if attn_mask is None:
            return self.lib.matmul(self.softmax(scores, -1), value)
        bias, seen = _bias_of(self.array(attn_mask), scores.dtype)
        weights = self.softmax(scores + bias, -1)
        return self.lib.matmul(weights if seen.all() else weights * seen, value)

    # --- the same numbers in another shape -----------------------------------------------

    def reshape(self, x: EngineTensor, shape: tuple[int, ...]) -> EngineTensor:
        """The same numbers in row-major order in another shape; one length may be -1."""
        return self.lib.reshape(x, shape)

    def flatten(self, x: EngineTensor, start_dim: int = 0, end_dim: int = -1) -> EngineTensor:
        """Make one axis of the axes from `start_dim` to `end_dim`, both included."""
        if x.ndim == 0:
            return self.reshape(x, (1,))
        start, end = start_dim % x.ndim, end_dim % x.ndim
        merged = math.prod(x.shape[start : end + 1])
        return self.reshape(x, (*x.shape[:start], merged, *x.shape[end + 1 :]))

    def permute(self, x: EngineTensor, dims: tuple[int, ...]) -> EngineTensor:
        """The axes in another order."""
        return self.lib.transpose(x, dims)

    def transpose(self, x: EngineTensor, dim0: int = -2, dim1: int = -1) -> EngineTensor:
        """Swap two axes."""
        return self.lib.swapaxes(x, dim0, dim1)

    def index(self, x: EngineTensor, key: Any) -> EngineTensor:  # whatever numpy takes
        """x[key] with numpy's rules; a tensor in the key stands for its numbers."""
        return x[tuple(map(self._plain, key)) if isinstance(key, tuple) else self._plain(key)]

    def _plain(self, part: Any) -> Any:
        is_number = part is None or isinstance(part, int | slice | list | type(...))
        return part if is_number else self.array(part)

    def concatenate(self, tensors: Sequence[EngineTensor], dim: int = 0) -> EngineTensor:
        """Join tensors along an axis that they have."""
        return self.lib.concatenate(list(tensors), axis=dim)

    # --- losses --------------------------------------------------------------------------

    def cross_entropy(
        self, logits: EngineTensor, target: EngineTensor, reduction: Reduction = "mean"
    ) -> EngineTensor:
        """Mean (or sum) of -log softmax(logits)[target]; logits (N, C, ...), target (N, ...)."""
        classes = self.array(target)
        if logits.ndim < 2 or classes.shape != (logits.shape[0], *logits.shape[2:]):
            raise ValueError(
                f"cross_entropy: logits {logits.shape} and target {classes.shape} do not fit; "
                "expected (N, C, ...) and (N, ...)"
            )
        if classes.dtype.kind not in "iu":
            raise TypeError(f"cross_entropy: target must be integer classes, got {classes.dtype}")
        count = logits.shape[1]
        if classes.size and not 0 <= classes.min() <= classes.max() < count:
            raise IndexError(
                f"cross_entropy: classes from {classes.min()} to {classes.max()} with "
                f"{count} logits"
            )
        rows = logits
        if logits.ndim > 2:
            rows = self.lib.reshape(self.lib.moveaxis(logits, 1, -1), (-1, count))
        return self._classified(rows, classes.reshape(-1), reduction)

    def _classified(
        self, rows: EngineTensor, classes: np.ndarray, reduction: Reduction
    ) -> EngineTensor:
        """cross_entropy of logits (N, C)."""
        chosen = self.log_softmax(rows, 1)[np.arange(len(classes)), classes]
        return self._reduced(-chosen, reduction)

    def binary_cross_entropy_with_logits(
        self, x: EngineTensor, target: EngineTensor, reduction: Reduction = "mean"
    ) -> EngineTensor:
        """Mean (or sum) of log(1 + exp(x)) - x target; shapes must be the same."""
        self._require_same_shape("binary_cross_entropy_with_logits", x, target)
        nothing = np.zeros((), dtype=x.dtype)
        return self._reduced(self.lib.logaddexp(nothing, x) - x * target, reduction)

    def mse_loss(
        self, x: EngineTensor, target: EngineTensor, reduction: Reduction = "mean"
    ) -> EngineTensor:
        """Mean (or sum) of (x - target)^2; shapes must be the same."""
        self._require_same_shape("mse_loss", x, target)
        difference = x - target
        return self._reduced(difference * difference, reduction)

    def _require_same_shape(self, op: str, x: EngineTensor, target: EngineTensor) -> None:
        if x.shape != target.shape:
            raise ValueError(
                f"{op}: input {x.shape} and target {target.shape} must be the same shape"
            )

    def _reduced(self, losses: EngineTensor, reduction: Reduction) -> EngineTensor:
        if reduction not in ("mean", "sum"):
            raise ValueError(f"reduction must be 'mean' or 'sum', got {reduction!r}")
        total = self.lib.sum(losses)
        return total / losses.dtype.type(losses.size) if reduction == "mean" else total

    # --- what not every engine has -------------------------------------------------------

    def gelu(self, x: EngineTensor, approximate: Literal["none", "tanh"] = "none") -> EngineTensor:
        """x times the normal distribution function of x, elementwise."""
        raise NotImplementedError("this engine has no error function")


def _bias_of(mask: np.ndarray, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
    """What to add to the scores, and 1 for each query that may see a key, 0 for others."""
    bias = np.zeros(mask.shape, dtype) if mask.dtype == bool else mask.astype(dtype)
    if mask.dtype == bool:
        bias[~mask] = -math.inf
    seen = (bias > -math.inf).any(axis=-1, keepdims=True)
    return np.where(seen, bias, dtype.type(0)), seen.astype(dtype)
