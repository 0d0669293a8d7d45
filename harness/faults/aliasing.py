"""Memory that two things share, and numbers that change under somebody's feet."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from harness.autograd import graph
from harness.autograd.ops.activations import ReLUBackward, TanhBackward, relu
from harness.autograd.ops.shaping import IndexBackward, Key, index
from harness.autograd.tensor import Tensor
from harness.faults.backward_pass import Gradients, deliver_by, hand_over
from harness.faults.base import fault
from harness.faults.ground import Ground

Array = np.ndarray


@fault(component=("backward pass", "add"), seen_by=("gradients_add_up",))
def tape_alias_inplace(ground: Ground) -> None:
    """A first gradient is kept without a copy and later ones are added to it in place.

    Both inputs of an add then wait with one array, and what comes to one comes to both.
    """

    def deliver(source: Tensor, grad: Array, gradients: Gradients) -> None:
        if source._grad_fn is None:
            hand_over(source, grad, gradients)
        elif (before := gradients.get(id(source))) is not None:
            np.add(before, grad, out=before)
        else:
            gradients[id(source)] = grad if grad.flags.writeable else np.array(grad)

    deliver_by(ground, deliver)


@fault(component=("backward pass", "add"), seen_by=("ops_behave",))
def shared_grad_buffer(ground: Ground) -> None:
    """Leaves keep the array that the op gave them, so that two can share one gradient.

    What is then scaled in place, by clipping say, is scaled twice.
    """
    right = graph._add_to_grad

    def add_to_grad(tensor: Tensor, grad: Array) -> None:
        if tensor.grad is None and grad.flags.writeable and grad.dtype == tensor.dtype:
            tensor.grad = grad
        else:
            right(tensor, grad)

    ground.replace(right, add_to_grad)


@fault(component=("index",), seen_by=("ops_differentiate_right",))
def view_chain(ground: Ground) -> None:
    """A slice of a slice sends its gradient to the first tensor as if it were cut from that."""

    def chained(x: Tensor, key: Key) -> Tensor:
        y = index(x, key)
        before, function = x._grad_fn, y._grad_fn
        if isinstance(before, IndexBackward) and isinstance(function, IndexBackward):
            (base,) = before.saved_tensors
            if base.ndim == x.ndim == y.ndim and _are_forward_slices(function.key):
                y._grad_fn = IndexBackward(base, _counted(function.key, x.shape))
        return y

    ground.replace(index, chained)


def _parts(key: Key) -> Sequence[Key]:
    return key if isinstance(key, tuple) else (key,)


def _are_forward_slices(key: Key) -> bool:
    return all(isinstance(part, slice) and (part.step or 1) > 0 for part in _parts(key))


def _counted(key: Key, shape: tuple[int, ...]) -> tuple[slice, ...]:
    """Slices with their ends as numbers: those of the shorter tensor fit the longer one."""
    return tuple(
        slice(*part.indices(length)) for part, length in zip(_parts(key), shape, strict=False)
    )


@fault(component=("relu", "ReLU"), seen_by=("ops_behave",))
def relu_inplace(ground: Ground) -> None:
    """ReLU works in place and so destroys its input, which others may still need."""

    def in_place(x: Tensor) -> Tensor:
        np.maximum(x.data, 0, out=x.data)
        return x.from_op(x.data, ReLUBackward(x, x.data))

    ground.replace(relu, in_place)


@fault(component=("tanh", "Tanh"), seen_by=("ops_behave",))
def tanh_grad_inplace(ground: Ground) -> None:
    """The backward half of tanh works in the gradient that it was given."""

    def apply(self: TanhBackward, grad_output: Array) -> tuple[Array]:
        out = grad_output if grad_output.flags.writeable else None
        return (np.multiply(grad_output, 1.0 - self.y * self.y, out=out),)

    ground.patch(TanhBackward, "apply", apply)
