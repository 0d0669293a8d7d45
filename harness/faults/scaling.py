"""Gradients and losses that are off by a factor."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn
from harness.autograd.ops.arithmetic import AddBackward
from harness.autograd.ops.convolution import Conv2dBackward
from harness.autograd.ops.embedding import EmbeddingBackward
from harness.autograd.ops.losses import (
    BinaryCrossEntropyWithLogitsBackward,
    CrossEntropyBackward,
    MSELossBackward,
)
from harness.autograd.ops.matmul import LinearBackward
from harness.autograd.ops.normalization import LayerNormBackward
from harness.autograd.ops.pooling import AvgPool2dBackward
from harness.autograd.ops.reductions import MeanBackward
from harness.faults.base import fault
from harness.faults.ground import Ground

_ALL = ("perceptron", "xor", "mlp", "cnn", "transformer")
_SOFTMAX_LOSS = ("mlp", "cnn", "transformer")
_LOGISTIC_LOSS = ("perceptron", "xor")

_CROSS_ENTROPY = ("cross_entropy", "CrossEntropyLoss")
_BINARY = ("binary_cross_entropy_with_logits", "BCEWithLogitsLoss")
_GRADIENTS = ("ops_differentiate_right", "gradients_agree")

Array = np.ndarray


# --- losses ---------------------------------------------------------------------------------


@fault(*_SOFTMAX_LOSS, component=_CROSS_ENTROPY, seen_by=_GRADIENTS)
def ce_grad_factor2(ground: Ground) -> None:
    """The gradient of cross-entropy is multiplied by 2."""
    right = CrossEntropyBackward.apply
    ground.patch(CrossEntropyBackward, "apply", lambda self, g: (2.0 * right(self, g)[0],))


@fault(*_SOFTMAX_LOSS, component=_CROSS_ENTROPY, seen_by=("gradients_agree", "loss_is_honest"))
def ce_mean_over_classes(ground: Ground) -> None:
    """The mean of cross-entropy is taken over examples and classes, not over examples alone."""

    class MeanOverClasses(nn.CrossEntropyLoss):
        def __call__(self, logits: Tensor, target: Tensor) -> Tensor:
            loss = super().__call__(logits, target)
            return loss / logits.shape[1] if self.reduction == "mean" else loss

    ground.swap("losses", "CrossEntropyLoss", MeanOverClasses)


@fault(*_SOFTMAX_LOSS, component=_CROSS_ENTROPY, seen_by=("gradients_agree", "loss_is_honest"))
def ce_sum_not_mean(ground: Ground) -> None:
    """Cross-entropy adds up over the batch by default instead of taking the mean."""
    ground.swap(
        "losses", "CrossEntropyLoss", lambda reduction="sum": nn.CrossEntropyLoss(reduction)
    )


@fault(*_LOGISTIC_LOSS, component=_BINARY, seen_by=_GRADIENTS)
def bce_grad_sum(ground: Ground) -> None:
    """Binary cross-entropy gives the mean, and goes back as if it had been the sum."""
    right = BinaryCrossEntropyWithLogitsBackward.apply

    def apply(
        self: BinaryCrossEntropyWithLogitsBackward, grad_output: Array
    ) -> tuple[Array, Array | None]:
        self.factor = 1.0
        return right(self, grad_output)

    ground.patch(BinaryCrossEntropyWithLogitsBackward, "apply", apply)


@fault(component=("mse_loss", "MSELoss"), seen_by=("ops_differentiate_right",))
def mse_grad_no_two(ground: Ground) -> None:
    """The gradient of the squared error lacks its factor 2."""
    right = MSELossBackward.apply
    ground.patch(MSELossBackward, "apply", lambda self, g: right(self, 0.5 * g))


# --- layers ---------------------------------------------------------------------------------


@fault("transformer", component=("embedding", "Embedding"), seen_by=_GRADIENTS)
def emb_count_normalised(ground: Ground) -> None:
    """The gradient of each row of an embedding is divided by how often its token occurs."""
    right = EmbeddingBackward.apply

    def apply(self: EmbeddingBackward, grad_output: Array) -> tuple[Array]:
        (grad,) = right(self, grad_output)
        counts = np.bincount(self.indices.data.ravel(), minlength=len(grad))
        return (grad / np.maximum(counts, 1).astype(grad.dtype)[:, None],)

    ground.patch(EmbeddingBackward, "apply", apply)


@fault("transformer", component=("layer_norm", "LayerNorm"), seen_by=_GRADIENTS)
def ln_affine_grad_mean(ground: Ground) -> None:
    """Layer norm: the gradients of weight and bias are means over the tokens, not sums."""
    right = LayerNormBackward.apply

    def apply(self: LayerNormBackward, grad_output: Array) -> tuple[Array, ...]:
        grad_x, *affine = right(self, grad_output)
        return grad_x, *(grad / max(len(self.normalized), 1) for grad in affine)

    ground.patch(LayerNormBackward, "apply", apply)


@fault(*_ALL, component=("linear", "Linear"), seen_by=_GRADIENTS)
def linear_weight_grad_mean(ground: Ground) -> None:
    """Linear: the gradient of the weight is averaged over the rows, which the loss did already."""
    right = LinearBackward.apply

    def apply(self: LinearBackward, grad_output: Array) -> tuple[Array | None, ...]:
        grads = list(right(self, grad_output))
        rows = max(grad_output.size // max(grad_output.shape[-1], 1), 1)
        grads[1] = None if grads[1] is None else grads[1] / rows
        return tuple(grads)

    ground.patch(LinearBackward, "apply", apply)


@fault("cnn", component=("conv2d", "Conv2d"), seen_by=_GRADIENTS)
def conv_bias_grad_mean(ground: Ground) -> None:
    """Convolution: the gradient of the bias is a mean over the places, not a sum."""
    right = Conv2dBackward.apply

    def apply(self: Conv2dBackward, grad_output: Array) -> tuple[Array | None, ...]:
        grad_x, grad_weight, *bias = right(self, grad_output)
        height, width = grad_output.shape[2:]
        return grad_x, grad_weight, *(grad / (height * width) for grad in bias if grad is not None)

    ground.patch(Conv2dBackward, "apply", apply)


@fault("transformer", component=("Residual", "add"), seen_by=("gradients_agree",))
def residual_grad_half(ground: Ground) -> None:
    """A residual block shares its gradient between the two ways: each gets half of it."""

    class HalvedAddBackward(AddBackward):
        def apply(self, grad_output: Array) -> tuple[Array, Array]:
            return super().apply(0.5 * grad_output)

    class SharingResidual(nn.Residual):
        def forward(self, x: Tensor) -> Tensor:
            inner = nn.Sequential.forward(self, x)
            return x.from_op(x.data + inner.data, HalvedAddBackward(x, inner))

    ground.swap("layers", "Residual", SharingResidual)


# --- reductions -----------------------------------------------------------------------------


@fault(component=("mean",), seen_by=("ops_differentiate_right",))
def mean_grad_first_axis(ground: Ground) -> None:
    """The mean over several axes goes back divided by the length of the first of them only."""
    right = MeanBackward.apply

    def apply(self: MeanBackward, grad_output: Array) -> tuple[Array]:
        self.count = int(np.prod([self.saved_tensors[0].shape[axis] for axis in self.axes[:1]]))
        return right(self, grad_output)

    ground.patch(MeanBackward, "apply", apply)


@fault(component=("avg_pool2d", "AvgPool2d"), seen_by=("ops_differentiate_right",))
def avg_pool_grad_whole(ground: Ground) -> None:
    """Average pooling: every number of a window gets the whole gradient, not its share."""
    right = AvgPool2dBackward.apply

    def apply(self: AvgPool2dBackward, grad_output: Array) -> tuple[Array]:
        kernel = self.windows.kernel
        return right(self, grad_output * (kernel[0] * kernel[1]))

    ground.patch(AvgPool2dBackward, "apply", apply)
