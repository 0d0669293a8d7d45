"""Other right ways to build an engine: nobody may be accused for them."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn, ops
from harness.autograd.ops import pooling
from harness.autograd.ops.losses import CrossEntropyBackward, Reduction, _reduced
from harness.autograd.ops.normalization import LayerNormBackward
from harness.autograd.ops.pooling import MaxPool2dBackward
from harness.autograd.ops.reductions import MaxBackward
from harness.autograd.windows import Pair, batch_last
from harness.config import LayerSpec, MilestoneConfig
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")

Array = np.ndarray


# --- other formulas for the same numbers ----------------------------------------------------


@fault("mlp", "cnn", "transformer", is_harmless=True)
def ok_ce_fused_logsumexp(ground: Ground) -> None:
    """Cross-entropy through one log-sum-exp a row, and its gradient through exp(x - that)."""
    right = ops.cross_entropy

    def fused(logits: Tensor, target: Tensor | Array, reduction: Reduction = "mean") -> Tensor:
        right(logits, target, reduction)  # refuses what does not fit
        classes = (target if isinstance(target, np.ndarray) else target.data).reshape(-1)
        rows = np.moveaxis(logits.data, 1, -1).reshape(-1, logits.shape[1])
        totals = np.logaddexp.reduce(rows, axis=1)
        loss, factor = _reduced(totals - rows[np.arange(len(rows)), classes], reduction)
        probabilities = np.exp(rows - totals[:, None])
        function = CrossEntropyBackward(logits, probabilities, classes, factor)
        return logits.from_op(loss, function)

    ground.replace(right, fused)


@fault(*_ALL, is_harmless=True)
def ok_fused_linear(ground: Ground) -> None:
    """The linear layer is composed of a matrix product and an addition."""

    class ComposedLinear(nn.Linear):
        def forward(self, x: Tensor) -> Tensor:
            y = x @ self.weight.T
            return y if self.bias is None else y + self.bias

    ground.swap("layers", "Linear", ComposedLinear)


# --- other conventions ----------------------------------------------------------------------


@fault("cnn", is_harmless=True)
def ok_conv_true_convolution(ground: Ground) -> None:
    """Convolution turns its kernels by half a circle, forward and back: as mathematics has it."""
    right = ops.conv2d

    def true_convolution(
        x: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Pair = 1,
        padding: Pair = 0,
    ) -> Tensor:
        turned = weight[:, :, ::-1, ::-1] if weight.ndim == 4 else weight
        return right(x, turned, bias, stride, padding)

    ground.replace(right, true_convolution)


@fault("transformer", is_harmless=True)
def ok_ln_eps_outside(ground: Ground) -> None:
    """Layer norm divides by sqrt(variance) + eps, with the gradient that belongs to that."""
    right, right_apply = ops.layer_norm, LayerNormBackward.apply

    class OutsideBackward(LayerNormBackward):
        """With s = sqrt(variance) and t = s + eps: the term of the variance gains t / s."""

        ratio: Array  # t / s

        def apply(self, grad_output: Array) -> tuple[Array, ...]:
            _, *affine = right_apply(self, grad_output)
            g = grad_output.reshape(self.normalized.shape)
            h = g * self.saved_tensors[1].data.ravel() if self.has_weight else g
            along = self.normalized * (h * self.normalized).mean(axis=1, keepdims=True)
            grad_x = h - h.mean(axis=1, keepdims=True) - along * self.ratio
            return (grad_x * self.inverse_sigma).reshape(self.saved_tensors[0].shape), *affine

    def outside(
        x: Tensor,
        normalized_shape: tuple[int, ...],
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
    ) -> Tensor:
        right(x, normalized_shape, weight, bias, eps)  # refuses what does not fit
        rows = x.data.reshape(-1, int(np.prod(normalized_shape)))
        centred = rows - rows.mean(axis=1, keepdims=True)
        sigma = np.sqrt((centred * centred).mean(axis=1, keepdims=True))
        inverse = 1.0 / (sigma + eps)
        normalized = centred * inverse
        y = normalized if weight is None else normalized * weight.data.ravel()
        y = y if bias is None else y + bias.data.ravel()
        function = OutsideBackward(x, weight, bias, normalized, inverse)
        is_flat = sigma == 0.0
        function.ratio = (sigma + eps) / (sigma + is_flat) * ~is_flat
        return x.from_op(y.reshape(x.shape), function)

    OutsideBackward.__name__ = LayerNormBackward.__name__
    ground.replace(right, outside)


@fault("transformer", is_harmless=True)
def ok_pos_concat_layout(ground: Ground) -> None:
    """Positions have all sines first and then all cosines, not one after the other."""

    class Concatenated(nn.SinusoidalPositions):
        def __init__(self, embedding_dim: int, max_len: int = 512) -> None:
            super().__init__(embedding_dim, max_len)
            self.table = np.concatenate([self.table[:, 0::2], self.table[:, 1::2]], axis=1)

    ground.swap("layers", "SinusoidalPositions", Concatenated)


@fault(*_ALL, is_harmless=True)
def ok_weight_layout(ground: Ground) -> None:
    """The linear layer keeps its weight as (in_features, out_features)."""

    class InOut(nn.Linear):
        def __init__(
            self,
            in_features: int,
            out_features: int,
            bias: bool = True,
            rng: np.random.Generator | None = None,
        ) -> None:
            super().__init__(in_features, out_features, bias, rng)
            self.weight = nn.Parameter(np.ascontiguousarray(self.weight.data.T))

        def forward(self, x: Tensor) -> Tensor:
            return ops.linear(x, self.weight.T, self.bias)

    ground.swap("layers", "Linear", InOut)


# --- other subgradients ---------------------------------------------------------------------


@fault("cnn", is_harmless=True)
def ok_pool_tie_last(ground: Ground) -> None:
    """Of equal maxima of a window the last gets the gradient, not the first."""

    def apply(self: MaxPool2dBackward, grad_output: Array) -> tuple[Array]:
        grad = np.zeros_like(self.padded)
        grad_output = batch_last(grad_output)
        unclaimed = np.ones_like(self.y, dtype=bool)
        values = list(pooling._views(self.padded, self.windows))
        places = list(pooling._views(grad, self.windows))
        for value, place in zip(reversed(values), reversed(places), strict=True):
            is_maximum = (value == self.y) & unclaimed
            unclaimed ^= is_maximum
            place += grad_output * is_maximum
        return (self.windows.crop(grad),)

    ground.patch(MaxPool2dBackward, "apply", apply)


@fault(is_harmless=True)
def ok_max_tie_first(ground: Ground) -> None:
    """Of equal maxima the first gets the gradient; they do not share it."""

    def apply(self: MaxBackward, grad_output: Array) -> tuple[Array]:
        x = self.saved_tensors[0].data
        others = [axis for axis in range(x.ndim) if axis not in self.axes]
        order = (*others, *self.axes)
        kept = [x.shape[axis] for axis in others]
        rows = x.transpose(order).reshape(*kept, -1)
        is_first = np.zeros_like(rows)
        np.put_along_axis(is_first, rows.argmax(axis=-1)[..., None], 1, axis=-1)
        grad = (is_first * grad_output.reshape(*kept, 1)).reshape([x.shape[i] for i in order])
        return (grad.transpose(np.argsort(order)),)

    ground.patch(MaxBackward, "apply", apply)


# --- another model --------------------------------------------------------------------------


def _post_norm(config: MilestoneConfig) -> MilestoneConfig:
    """A norm that stands first in a residual block goes behind the block."""
    layers: dict[str, LayerSpec] = {}
    for label, spec in config.layers.items():
        inside = dict(spec.layers or {})
        norms = [name for name, inner in list(inside.items())[:1] if inner.type == "LayerNorm"]
        moved = {name: inside.pop(name) for name in norms if spec.type == "Residual"}
        layers[label] = spec.model_copy(update={"layers": inside}) if moved else spec
        layers |= moved
    return config.model_copy(update={"layers": layers})


@fault("transformer", is_harmless=True, declares=_post_norm)
def ok_prenorm(ground: Ground) -> None:
    """The config asks for norms after the residual blocks instead of first thing inside them."""
