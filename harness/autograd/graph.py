"""The backward pass: from a loss to every leaf, each op once, without recursion."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harness.autograd.errors import GraphError

if TYPE_CHECKING:
    from harness.autograd.function import Function
    from harness.autograd.tensor import Tensor


def backpropagate(root: Tensor, gradient: np.ndarray) -> None:
    """Add the gradient of `root` with respect to every leaf to that leaf's `.grad`.

    An op is applied when the gradients of all its uses have been added up (Kahn's
    algorithm), so the cost is linear in the graph however many paths it has, and each
    intermediate gradient is released as soon as it has been used.
    """
    waiting = _count_uses(root)
    gradients: dict[int, np.ndarray] = {id(root): gradient}
    ready = [root]
    applied = 0
    while ready:
        tensor = ready.pop()
        applied += 1
        grad_output = gradients.pop(id(tensor), None)
        function = tensor._grad_fn
        if grad_output is not None and (tensor._keeps_grad or function is None):
            _add_to_grad(tensor, grad_output)
        if function is None:
            continue
        if grad_output is not None:
            _pass_on(function, grad_output, gradients)
        for source in function.saved_tensors:
            if source._grad_fn is not None:
                waiting[id(source)] -= 1
                if waiting[id(source)] == 0:
                    ready.append(source)
    if applied <= len(waiting):
        raise GraphError("the graph has a circle: some tensor is made from itself")


def _count_uses(root: Tensor) -> dict[int, int]:
    """How many ops use each intermediate tensor (by id) on the way to `root`."""
    uses: dict[int, int] = {}
    stack = [root]
    while stack:
        function = stack.pop()._grad_fn
        if function is None:
            continue
        for source in function.saved_tensors:
            if source._grad_fn is None:
                continue
            key = id(source)
            if key in uses:
                uses[key] += 1
            else:
                uses[key] = 1
                stack.append(source)
    return uses


def _pass_on(function: Function, grad_output: np.ndarray, gradients: dict[int, np.ndarray]) -> None:
    """Apply one op and hand its gradients to its inputs."""
    sources = function.saved_tensors
    grads = function.apply(grad_output)
    if type(grads) is not tuple or len(grads) != len(sources):
        raise GraphError(_wrong_return(function, grads))
    for position, (source, grad) in enumerate(zip(sources, grads, strict=True)):
        if grad is None:
            continue
        shape = getattr(grad, "shape", None)
        if shape != source.data.shape:
            got = type(grad).__name__ if shape is None else f"gradient of shape {shape}"
            raise GraphError(
                f"{type(function).__name__}.apply returned a {got} "
                f"for input {position} of shape {source.data.shape}"
            )
        if source._grad_fn is None:
            if source.requires_grad:
                _add_to_grad(source, grad)
        elif (before := gradients.get(id(source))) is None:
            gradients[id(source)] = grad
        else:
            # Not in place: ops may return one array for several inputs.
            gradients[id(source)] = before + grad


def _wrong_return(function: Function, grads: Sequence[object] | object) -> str:
    got = f"{len(grads)} gradients" if isinstance(grads, tuple) else f"a {type(grads).__name__}"
    return (
        f"{type(function).__name__}.apply returned {got}, expected a tuple with one gradient "
        f"for each of its {len(function.saved_tensors)} inputs"
    )


def _add_to_grad(tensor: Tensor, grad: np.ndarray) -> None:
    buffer, data = tensor._grad_buffer, tensor.data
    if tensor.grad is not None:
        tensor.grad += grad
    # The buffer is of no use for data that somebody replaced by another kind.
    elif buffer is None or buffer.dtype != data.dtype or buffer.shape != data.shape:
        tensor.grad = np.array(grad, dtype=data.dtype)
    else:
        np.copyto(buffer, grad)
        tensor.grad = buffer
