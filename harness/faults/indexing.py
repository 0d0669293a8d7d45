"""Gradients that go back to the wrong place, or to the right one without adding up."""

from __future__ import annotations

import numpy as np

from harness.autograd import Tensor, nn
from harness.autograd.kernels import as_matrix, window_views
from harness.autograd.ops import convolution, pooling
from harness.autograd.ops.embedding import EmbeddingBackward
from harness.autograd.ops.pooling import MaxPool2dBackward
from harness.autograd.ops.reductions import MaxBackward
from harness.autograd.ops.shaping import ConcatenateBackward, IndexBackward
from harness.autograd.windows import Windows, batch_last
from harness.faults.base import fault
from harness.faults.ground import Ground

_EMBEDDING = ("embedding", "Embedding")
_OP_GRADIENT = ("ops_differentiate_right",)
_GRADIENTS = ("ops_differentiate_right", "gradients_agree")

Array = np.ndarray


# --- images ---------------------------------------------------------------------------------


@fault("cnn", component=("conv2d", "Conv2d"), seen_by=_GRADIENTS)
def conv_col2im_assign(ground: Ground) -> None:
    """Where windows overlap, the gradient of the image is overwritten instead of added up."""

    def images(columns: Array, shape: tuple[int, ...], windows: Windows) -> Array:
        result = windows.blank(columns, shape, 0.0)
        size = windows.kernel[0] * windows.kernel[1]
        places = columns.reshape(shape[1], size, *windows.out, shape[0])
        views = window_views(result, windows.kernel, windows.stride, windows.out)
        for place, view in enumerate(views):
            view[...] = places[:, place].transpose(3, 0, 1, 2)
        return windows.crop(result)

    ground.patch(convolution, "_images", images)


@fault("cnn", component=("max_pool2d", "MaxPool2d"), seen_by=_GRADIENTS)
def pool_early_return(ground: Ground) -> None:
    """Max pooling returns inside the loop: only the first place of a window gets gradients."""

    def apply(self: MaxPool2dBackward, grad_output: Array) -> tuple[Array]:
        grad = np.zeros_like(self.padded)
        grad_output = batch_last(grad_output)
        for values, grads in zip(
            pooling._views(self.padded, self.windows),
            pooling._views(grad, self.windows),
            strict=True,
        ):
            grads += grad_output * (values == self.y)
            return (self.windows.crop(grad),)
        return (self.windows.crop(grad),)

    ground.patch(MaxPool2dBackward, "apply", apply)


# --- tables ---------------------------------------------------------------------------------


@fault("transformer", component=_EMBEDDING, seen_by=_GRADIENTS)
def emb_assign(ground: Ground) -> None:
    """Embedding: the gradients of the same row replace each other, and the last one stays."""

    def apply(self: EmbeddingBackward, grad_output: Array) -> tuple[Array]:
        grad = np.zeros(self.saved_tensors[0].shape, dtype=grad_output.dtype)
        grad[self.indices.data] = grad_output
        return (grad,)

    ground.patch(EmbeddingBackward, "apply", apply)


@fault("transformer", component=_EMBEDDING, seen_by=_GRADIENTS)
def emb_iadd_dups(ground: Ground) -> None:
    """Embedding: gradients are added with grad[indices] += g, which numpy does once a row."""

    def apply(self: EmbeddingBackward, grad_output: Array) -> tuple[Array]:
        grad = np.zeros(self.saved_tensors[0].shape, dtype=grad_output.dtype)
        grad[self.indices.data] += grad_output
        return (grad,)

    ground.patch(EmbeddingBackward, "apply", apply)


@fault("transformer", component=_EMBEDDING, seen_by=_GRADIENTS)
def emb_dups_in_sequence(ground: Ground) -> None:
    """Embedding: a token that occurs twice in one sequence gets one of its gradients there."""

    def apply(self: EmbeddingBackward, grad_output: Array) -> tuple[Array]:
        places = np.atleast_1d(self.indices.data)
        sequences = places.reshape(-1, places.shape[-1]) if places.size else places
        grad = np.zeros(self.saved_tensors[0].shape, dtype=grad_output.dtype)
        of_sequences = grad_output.reshape(*sequences.shape, grad.shape[1])
        for sequence, g in zip(sequences, of_sequences, strict=True):
            grad[sequence] += g
        return (grad,)

    ground.patch(EmbeddingBackward, "apply", apply)


@fault("transformer", component=_EMBEDDING, seen_by=_GRADIENTS)
def emb_row_zero_padding(ground: Ground) -> None:
    """Embedding: token 0 is taken for padding, so its row gets no gradient."""
    right = EmbeddingBackward.apply

    def apply(self: EmbeddingBackward, grad_output: Array) -> tuple[Array]:
        (grad,) = right(self, grad_output)
        grad[:1] = 0.0
        return (grad,)

    ground.patch(EmbeddingBackward, "apply", apply)


@fault(component=("index",), seen_by=_OP_GRADIENT)
def index_dups_assign(ground: Ground) -> None:
    """x[[2, 0, 2]]: what is taken twice gets one of its gradients."""

    def apply(self: IndexBackward, grad_output: Array) -> tuple[Array]:
        grad = np.zeros(self.saved_tensors[0].shape, dtype=grad_output.dtype)
        grad[self.key] = grad_output
        return (grad,)

    ground.patch(IndexBackward, "apply", apply)


# --- positions ------------------------------------------------------------------------------


@fault("transformer", component=("SinusoidalPositions",), seen_by=("forward_agrees",))
def pos_all_same(ground: Ground) -> None:
    """Every place gets the encoding of place 0."""

    class AllAtZero(nn.SinusoidalPositions):
        def forward(self, x: Tensor) -> Tensor:
            return x + self.table[:1].astype(x.dtype, copy=False)

    ground.swap("layers", "SinusoidalPositions", AllAtZero)


@fault("transformer", component=("SinusoidalPositions",), seen_by=("forward_agrees",))
def pos_by_sequence(ground: Ground) -> None:
    """Places are counted along the batch instead of along the sequence."""

    class AlongTheBatch(nn.SinusoidalPositions):
        def forward(self, x: Tensor) -> Tensor:
            if x.ndim != 3:
                return super().forward(x)
            places = np.arange(len(x)) % len(self.table)
            return x + self.table[places][:, None].astype(x.dtype, copy=False)

    ground.swap("layers", "SinusoidalPositions", AlongTheBatch)


# --- maxima and pieces ----------------------------------------------------------------------


@fault(component=("max",), seen_by=_OP_GRADIENT)
def max_ties_all(ground: Ground) -> None:
    """Where several numbers are the maximum, each gets the whole gradient."""
    right = MaxBackward.apply

    def apply(self: MaxBackward, grad_output: Array) -> tuple[Array]:
        (shared,) = right(self, np.ones_like(grad_output))
        kept = [1 if axis in self.axes else n for axis, n in enumerate(shared.shape)]
        return ((shared > 0) * grad_output.reshape(kept),)

    ground.patch(MaxBackward, "apply", apply)


@fault(component=("concatenate",), seen_by=_OP_GRADIENT)
def concat_pieces_reversed(ground: Ground) -> None:
    """Concatenate gives pieces of one shape back in reverse order."""
    right = ConcatenateBackward.apply

    def apply(self: ConcatenateBackward, grad_output: Array) -> tuple[Array, ...]:
        pieces = right(self, grad_output)
        are_alike = len({piece.shape for piece in pieces}) == 1
        return pieces[::-1] if are_alike else pieces

    ground.patch(ConcatenateBackward, "apply", apply)


@fault(component=("concatenate",), seen_by=_OP_GRADIENT)
def concat_split_first_axis(ground: Ground) -> None:
    """Concatenate along another axis than the first, of pieces that fit both ways, splits the
    gradient along the first."""
    right = ConcatenateBackward.apply

    def apply(self: ConcatenateBackward, grad_output: Array) -> tuple[Array, ...]:
        pieces = np.array_split(as_matrix(grad_output), len(self.saved_tensors))
        if grad_output.ndim == 2 and self.dim in (1, -1):
            sizes = [tensor.size for tensor in self.saved_tensors]
            if [piece.size for piece in pieces] == sizes:
                shapes = [tensor.shape for tensor in self.saved_tensors]
                return tuple(p.reshape(shape) for p, shape in zip(pieces, shapes, strict=True))
        return right(self, grad_output)

    ground.patch(ConcatenateBackward, "apply", apply)
