"""Numbers that overflow, are rounded, clipped or cut down to integers on the way."""

from __future__ import annotations

from importlib import import_module

import numpy as np

from harness.autograd import Tensor, nn, ops
from harness.autograd.ops.activations import stable_sigmoid
from harness.autograd.ops.losses import CrossEntropyBackward, Reduction, _reduced
from harness.autograd.ops.softmax import LogSoftmaxBackward
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_SOFTMAX_LOSS = ("mlp", "cnn", "transformer")
_LOGISTIC_LOSS = ("perceptron", "xor")

_CROSS_ENTROPY = ("cross_entropy", "CrossEntropyLoss")
_BINARY = ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss")
_VALUES = ("ops_compute_right", "loss_is_honest")
_OP_VALUE = ("ops_compute_right",)

Array = np.ndarray


# --- losses ---------------------------------------------------------------------------------


def _rows(logits: Tensor, target: Tensor | Array) -> tuple[Array, Array]:
    """Logits (N, C, ...) as rows, and the class of each."""
    rows = np.moveaxis(logits.data, 1, -1).reshape(-1, logits.shape[1])
    return rows, (target if isinstance(target, np.ndarray) else target.data).reshape(-1)


@fault(*_LOGISTIC_LOSS, component=_BINARY, seen_by=_VALUES)
def bce_clip_large(ground: Ground) -> None:
    """Binary cross-entropy clips probabilities to [0.2, 0.8]; its gradient does not know."""
    right = ops.binary_cross_entropy_with_logits

    def clipped(x: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        loss = right(x, target, reduction)
        p, y = np.clip(stable_sigmoid(x.data), 0.2, 0.8), target.data
        loss.data = _reduced(-y * np.log(p) - (1.0 - y) * np.log(1.0 - p), reduction)[0]
        return loss

    ground.replace(right, clipped)


@fault(*_LOGISTIC_LOSS, component=_BINARY, seen_by=_OP_VALUE)
def bce_log_of_sigmoid(ground: Ground) -> None:
    """Binary cross-entropy takes log(sigmoid(x)), which is -inf for large logits."""
    right = ops.binary_cross_entropy_with_logits

    def naive(x: Tensor, target: Tensor, reduction: Reduction = "mean") -> Tensor:
        loss = right(x, target, reduction)
        p, y = stable_sigmoid(x.data), target.data
        with np.errstate(all="ignore"):
            losses = -y * np.log(p) - (1.0 - y) * np.log(1.0 - p)
        loss.data = _reduced(losses, reduction)[0]
        return loss

    ground.replace(right, naive)


@fault(*_SOFTMAX_LOSS, component=_CROSS_ENTROPY, seen_by=_VALUES)
def ce_log_eps_big(ground: Ground) -> None:
    """Cross-entropy takes log(p + 0.01), so that it never gets large; its gradient does not."""
    right = ops.cross_entropy

    def padded(logits: Tensor, target: Tensor | Array, reduction: Reduction = "mean") -> Tensor:
        loss = right(logits, target, reduction)
        rows, classes = _rows(logits, target)
        e = np.exp(rows - rows.max(axis=1, keepdims=True))
        picked = e[np.arange(len(rows)), classes] / e.sum(axis=1)
        loss.data = _reduced(-np.log(picked + 1e-2), reduction)[0]
        return loss

    ground.replace(right, padded)


@fault(*_SOFTMAX_LOSS, component=_CROSS_ENTROPY, seen_by=_OP_VALUE)
def ce_overflows(ground: Ground) -> None:
    """Cross-entropy does not take the largest logit off first: large ones overflow."""
    right = ops.cross_entropy

    def naive(logits: Tensor, target: Tensor | Array, reduction: Reduction = "mean") -> Tensor:
        right(logits, target, reduction)  # refuses what does not fit
        rows, classes = _rows(logits, target)
        with np.errstate(all="ignore"):
            e = np.exp(rows)
            totals = e.sum(axis=1, keepdims=True)
            losses = np.log(totals[:, 0]) - rows[np.arange(len(rows)), classes]
            loss, factor = _reduced(losses, reduction)
            function = CrossEntropyBackward(logits, e / totals, classes, factor)
        return logits.from_op(loss, function)

    ground.replace(right, naive)


# --- ops ------------------------------------------------------------------------------------


@fault(component=("softmax", "Softmax"), seen_by=_OP_VALUE)
def softmax_overflows(ground: Ground) -> None:
    """Softmax does not take the largest logit off first: large ones overflow to NaN."""

    def naive(x: Array, axis: int) -> Array:
        with np.errstate(all="ignore"):
            e = np.exp(x)
            return np.asarray(e / e.sum(axis=axis, keepdims=True))

    # The module, which the function of the same name hides.
    ground.patch(import_module("harness.autograd.ops.softmax"), "softmax_array", naive)


@fault(component=("log_softmax",), seen_by=_OP_VALUE)
def log_softmax_of_softmax(ground: Ground) -> None:
    """Log-softmax is the logarithm of softmax: -inf where that is 0."""
    right = ops.softmax

    def naive(x: Tensor, dim: int = -1) -> Tensor:
        with np.errstate(divide="ignore"):
            y = np.log(right(x, dim).data)
        return x.from_op(y, LogSoftmaxBackward(x, y, dim))

    ground.replace(ops.log_softmax, naive)


@fault(component=("softmax", "Softmax", "linear", "Linear"), seen_by=_OP_VALUE)
def ops_int_input(ground: Ground) -> None:
    """Softmax and linear give integers for integers, so that everything is cut to 0 and 1."""
    softmax, linear = ops.softmax, ops.linear

    def cut(y: Tensor, x: Tensor) -> Tensor:
        if x.dtype.kind in "iu":
            y.data = y.data.astype(x.dtype)
        return y

    def integer_softmax(x: Tensor, dim: int = -1) -> Tensor:
        return cut(softmax(x, dim), x)

    def integer_linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        return cut(linear(x, weight, bias), x)

    ground.replace(softmax, integer_softmax)
    ground.replace(linear, integer_linear)


@fault(component=("sum",), seen_by=_OP_VALUE)
def sum_in_float16(ground: Ground) -> None:
    """Sums are added up in float16."""
    right = ops.sum

    def halved(
        x: Tensor, dim: int | tuple[int, ...] | None = None, keepdim: bool = False
    ) -> Tensor:
        y = right(x, dim, keepdim)
        with np.errstate(over="ignore"):
            total = np.sum(x.data, axis=dim, keepdims=keepdim, dtype=np.float16)
        y.data = np.asarray(total, dtype=y.dtype)
        return y

    ground.replace(right, halved)


@fault(*_ALL, component=("linear", "Linear", "MultiHeadAttention"), seen_by=_OP_VALUE)
def linear_half_weights(ground: Ground) -> None:
    """Linear computes with its weight rounded to float16."""
    right = ops.linear

    def halved(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        y = right(x, weight, bias)
        lost = weight.data - weight.data.astype(np.float16)
        y.data = y.data - (x.data @ lost.T).astype(y.dtype, copy=False)
        return y

    ground.replace(right, halved)


@fault("transformer", component=("SinusoidalPositions", "add"), seen_by=("ops_behave",))
def positions_float64(ground: Ground) -> None:
    """The table of positions is in float64, and so is everything after it."""

    class WidePositions(nn.SinusoidalPositions):
        def forward(self, x: Tensor) -> Tensor:
            return x + self.table[: x.shape[-2]].astype(np.float64)

    ground.swap("layers", "SinusoidalPositions", WidePositions)
