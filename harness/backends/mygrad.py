"""MyGrad as a backend: its own tensors, and its own functions wherever it has them.

MyGrad forgets the gradient of a tensor that is used again, so gradients of several passes do
not add up; and it has no error function, so there is no GELU.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.metadata import version
from typing import cast

import mygrad
import mygrad.nnet
import numpy as np
from mygrad import Tensor

from harness.backends.base import EngineTensor, Event, Place, Trace
from harness.backends.numpy_like.backend import NumpyLikeBackend
from harness.backends.numpy_like.images import windows_along
from harness.backends.numpy_like.ops import NumpyLikeOps, Reduction


class MyGradOps(NumpyLikeOps):
    """MyGrad's functions, and those of mygrad.nnet."""

    lib = mygrad

    def parameter(self, array: np.ndarray) -> Tensor:
        return mygrad.tensor(array, constant=False)

    def array(self, tensor: EngineTensor) -> np.ndarray:
        return np.asarray(tensor)

    def relu(self, x: Tensor) -> Tensor:
        return mygrad.nnet.relu(x)

    def sigmoid(self, x: Tensor) -> Tensor:
        return mygrad.nnet.sigmoid(x)

    def softmax(self, x: Tensor, dim: int = -1) -> Tensor:
        return mygrad.nnet.softmax(x, axis=dim)

    def log_softmax(self, x: Tensor, dim: int = -1) -> Tensor:
        return mygrad.nnet.logsoftmax(x, axis=dim)

    def permute(self, x: Tensor, dims: tuple[int, ...]) -> Tensor:
        return mygrad.transpose(x, *dims)

    def _convolved(
        self, x: Tensor, weight: Tensor, stride: tuple[int, int], padding: tuple[int, int]
    ) -> Tensor:
        kernel = weight.shape[2:]
        fitting = _fitting(self.pad(x, padding, 0.0), kernel, stride)
        return mygrad.nnet.conv_nd(fitting, weight, stride=stride)

    def _max_pooled(self, x: Tensor, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
        return mygrad.nnet.max_pool(_fitting(x, kernel, stride), kernel, stride)

    def _classified(self, rows: Tensor, classes: np.ndarray, reduction: Reduction) -> Tensor:
        if reduction != "mean":
            return super()._classified(rows, classes, reduction)
        return mygrad.nnet.softmax_crossentropy(rows, classes)


def _fitting(x: Tensor, kernel: tuple[int, int], stride: tuple[int, int]) -> Tensor:
    """`x` without the rows and columns that no window covers: MyGrad refuses them."""
    sizes = [
        (windows_along(length, size, step, 0) - 1) * step + size
        for length, size, step in zip(x.shape[2:], kernel, stride, strict=True)
    ]
    if tuple(sizes) == x.shape[2:]:
        return x
    return x[:, :, : sizes[0], : sizes[1]]


class MyGradBackend(NumpyLikeBackend):
    """See `Backend` for what each function does."""

    name = "mygrad"
    version = version("mygrad")

    def __init__(self) -> None:
        super().__init__(MyGradOps(), has_erf=False)

    def tensor(self, array: np.ndarray) -> Tensor:
        return mygrad.tensor(array, constant=True)

    def leaf(self, array: np.ndarray) -> Tensor:
        return mygrad.tensor(array, constant=False)

    def array(self, tensor: Tensor) -> np.ndarray:
        array: np.ndarray = tensor.data
        return array

    def backward(self, output: Tensor, gradient: np.ndarray | None = None) -> None:
        # Its own: MyGrad keeps the array, and may hand it on to a leaf as it is.
        output.backward(None if gradient is None else gradient.copy())

    def gradient(self, tensor: Tensor) -> np.ndarray | None:
        return cast("np.ndarray | None", tensor.grad)

    def set_value(self, parameter: Tensor, array: np.ndarray) -> None:
        parameter.data = array.copy()

    def set_gradient(self, parameter: Tensor, array: np.ndarray | None) -> None:
        if array is None:
            parameter.null_grad()
        else:
            parameter.backward(array.copy())  # of a leaf: there is no other way in

    def no_grad(self) -> AbstractContextManager[None]:
        return cast("AbstractContextManager[None]", mygrad.no_autodiff)

    def keep_gradient(self, tensor: Tensor) -> None:
        """Every tensor that is no constant keeps its gradient anyway."""
        if tensor.constant:
            super().keep_gradient(tensor)

    def trace(self, call: Callable[[], Tensor]) -> Trace:
        """What leads to the output, as its tensors tell: each knows the operation that made it.

        What leads nowhere is not told of, and what was made before the call is, as far as the
        output goes back to it.
        """
        output = call()
        made = list(_made(output))
        inputs = {id(each): each for tensor in made for each in tensor.creator.variables}
        own = set(map(id, made))
        leaves = {key: each for key, each in inputs.items() if key not in own and not each.constant}
        return Trace(tuple(map(_event, made)), output, tuple(made), leaves)


def _made(output: Tensor) -> Iterator[Tensor]:
    """Every tensor on the way to one that an operation made, each after its inputs."""
    seen: set[int] = set()
    waiting = [(output, False)]
    while waiting:
        tensor, is_ready = waiting.pop()
        if is_ready:
            yield tensor
        elif tensor.creator is not None and id(tensor) not in seen:
            seen.add(id(tensor))
            waiting.append((tensor, True))
            waiting += [(each, False) for each in reversed(tensor.creator.variables)]


def _event(tensor: Tensor) -> Event:
    """One tensor; instead of the stack, which nobody has kept, where its operation is written."""
    kind, variables = type(tensor.creator), tensor.creator.variables
    made, back = (_written(kind, half) for half in ("__call__", "backward_var"))
    sources = tuple(map(id, variables))
    if tensor.constant:
        return Event(id(tensor), tensor.data, "", (), sources, made, None)
    inputs = tuple(id(each) for each in variables if not each.constant)
    return Event(id(tensor), tensor.data, kind.__name__, inputs, sources, made, back[0])


def _written(kind: type, half: str) -> tuple[Place, ...]:
    code = getattr(kind, half).__code__
    return (Place(code.co_filename, code.co_firstlineno, kind.__name__),)


BACKEND = MyGradBackend()
