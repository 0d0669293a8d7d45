"""`Tensor`: an array that remembers how it was made, so that gradients can flow back.

x = Tensor([[1.0, 2.0]], requires_grad=True)
(x * x).sum().backward()
x.grad                                          # array([[2., 4.]], dtype=float32)
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from harness.autograd import ops
from harness.autograd.errors import GraphError
from harness.autograd.function import Function
from harness.autograd.graph import backpropagate

if TYPE_CHECKING:
    from harness.autograd.flat import Flat

Dims = int | tuple[int, ...] | None


class Tensor:
    """An n-dimensional array of numbers in a graph of ops.

    `data` is the ndarray, `grad` the gradient (an ndarray of the same shape, or None
    before the first one arrived), `_grad_fn` the op that made it (None for a leaf). Once
    an optimizer exists, its parameters' gradients share one buffer that the next backward
    pass writes again: copy `grad` to keep it.
    Python floats and lists of them become float32; arrays keep their dtype, so float64
    stays float64. Integers stay integers (indices, classes) unless `requires_grad` is set.
    Comparing with == asks for the same object; compare `data` for numbers.
    """

    __slots__ = (
        "__weakref__",
        "_flat",
        "_grad_buffer",
        "_grad_fn",
        "_keeps_grad",
        "data",
        "grad",
        "requires_grad",
    )  # fmt: skip

    data: np.ndarray
    grad: np.ndarray | None
    requires_grad: bool
    _grad_fn: Function | None
    _grad_buffer: np.ndarray | None
    _flat: Flat | None
    _keeps_grad: bool

    def __init__(
        self,
        data: npt.ArrayLike | Tensor,
        requires_grad: bool = False,
        dtype: npt.DTypeLike | None = None,
    ) -> None:
        self.data = _as_array(data, requires_grad, dtype)
        self.grad = None
        self.requires_grad = requires_grad
        self._grad_fn = None
        self._grad_buffer = None
        self._flat = None
        self._keeps_grad = False
        if _graph.made is not None:
            _note(self)

    @staticmethod
    def from_op(data: np.ndarray, function: Function) -> Tensor:
        """The output of an op: `data`, linked to `function` when any input needs a gradient."""
        out = Tensor.__new__(Tensor)
        out.data = np.asanyarray(data)  # a ufunc gives a scalar for arrays without axes
        out.grad = None
        out.requires_grad = False
        out._grad_fn = None
        out._grad_buffer = None
        out._flat = None
        out._keeps_grad = False
        if _graph.is_recorded:
            for source in function.saved_tensors:
                if source.in_graph:
                    out.requires_grad = True
                    out._grad_fn = function
                    break
        if _graph.made is not None:
            _note(out, function)
        return out

    # --- what it is -------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, ...]:
        """Length of every axis."""
        return self.data.shape

    @property
    def ndim(self) -> int:
        """Number of axes."""
        return self.data.ndim

    @property
    def size(self) -> int:
        """Number of elements."""
        return self.data.size

    @property
    def dtype(self) -> np.dtype:
        """Type of the elements."""
        return self.data.dtype

    @property
    def in_graph(self) -> bool:
        """Whether a gradient is wanted here or further back."""
        return self.requires_grad or self._grad_fn is not None

    def numpy(self) -> np.ndarray:
        """The array itself, not a copy."""
        return self.data

    def item(self) -> float:
        """The only element, as a Python number."""
        return self.data.item()  # type: ignore[no-any-return]  # numpy types item() as Any

    def __len__(self) -> int:
        return len(self.data)

    def __iter__(self) -> Iterator[Tensor]:
        return (self[i] for i in range(len(self)))

    def __bool__(self) -> bool:
        return bool(self.data)  # numpy refuses where several numbers would be meant

    def __repr__(self) -> str:
        made_by = f", grad_fn={type(self._grad_fn).__name__}" if self._grad_fn else ""
        leaf = ", requires_grad=True" if self.requires_grad and not self._grad_fn else ""
        return (
            f"Tensor({np.array2string(self.data, separator=', ', prefix='Tensor(')}{leaf}{made_by})"
        )

    # --- the graph --------------------------------------------------------------------

    def backward(self, gradient: npt.ArrayLike | None = None) -> None:
        """Add the gradient of this tensor to `.grad` of every leaf that it depends on.

        `gradient` is the gradient of what is minimised with respect to this tensor, of
        its shape; it may be left out for a tensor with one element. A second call adds
        a second time. Raises GraphError when there is nothing to go back through.
        """
        if self._grad_fn is None and not self.requires_grad:
            raise GraphError(
                f"backward() on a tensor of shape {self.shape} that has no graph: no op made it "
                "and it does not require a gradient. Was it built from another tensor's .data, "
                "or under no_grad()?"
            )
        backpropagate(self, self._output_gradient(gradient))

    def _output_gradient(self, gradient: npt.ArrayLike | None) -> np.ndarray:
        if gradient is not None:
            array = np.asarray(gradient, dtype=self.data.dtype)
            if array.shape != self.shape:
                raise GraphError(
                    f"backward() got a gradient of shape {array.shape} for a tensor "
                    f"of shape {self.shape}"
                )
            return array
        if self.data.size != 1:
            raise GraphError(
                f"backward() without a gradient needs one element, got shape {self.shape}. "
                "Reduce it first (.sum() or .mean()), or pass a gradient."
            )
        return np.ones_like(self.data)

    def retain_grad(self) -> None:
        """Keep this tensor's `.grad` in the backward pass although an op made it."""
        self._keeps_grad = True

    def detach(self) -> Tensor:
        """The same data, outside the graph."""
        return Tensor(self.data)

    # --- operators --------------------------------------------------------------------

    def _wrap(self, other: Tensor | npt.ArrayLike) -> Tensor:
        """`other` as a tensor; a Python number takes this tensor's dtype."""
        if isinstance(other, Tensor):
            return other
        if isinstance(other, (int, float)):
            dtype = self.data.dtype if self.data.dtype.kind == "f" else None
            return Tensor(np.asarray(other, dtype=dtype))
        return Tensor(other)

    def __add__(self, other: Tensor | npt.ArrayLike) -> Tensor:
        return ops.add(self, self._wrap(other))

    def __radd__(self, other: npt.ArrayLike) -> Tensor:
        return ops.add(self._wrap(other), self)

    def __sub__(self, other: Tensor | npt.ArrayLike) -> Tensor:
        return ops.sub(self, self._wrap(other))

    def __rsub__(self, other: npt.ArrayLike) -> Tensor:
        return ops.sub(self._wrap(other), self)

    def __mul__(self, other: Tensor | npt.ArrayLike) -> Tensor:
        return ops.mul(self, self._wrap(other))

    def __rmul__(self, other: npt.ArrayLike) -> Tensor:
        return ops.mul(self._wrap(other), self)

    def __truediv__(self, other: Tensor | npt.ArrayLike) -> Tensor:
        return ops.div(self, self._wrap(other))

    def __rtruediv__(self, other: npt.ArrayLike) -> Tensor:
        return ops.div(self._wrap(other), self)

    def __pow__(self, exponent: Tensor | float) -> Tensor:
        return ops.pow(self, self._wrap(exponent))

    def __rpow__(self, base: float) -> Tensor:
        return ops.pow(self._wrap(base), self)

    def __matmul__(self, other: Tensor | npt.ArrayLike) -> Tensor:
        return ops.matmul(self, self._wrap(other))

    def __rmatmul__(self, other: npt.ArrayLike) -> Tensor:
        return ops.matmul(self._wrap(other), self)

    def __neg__(self) -> Tensor:
        return ops.neg(self)

    def __getitem__(self, key: ops.Key) -> Tensor:
        return ops.index(self, key)

    # Lets `ndarray @ tensor` and `ndarray + tensor` reach the methods above.
    __array_ufunc__ = None

    # --- methods ----------------------------------------------------------------------

    def matmul(self, other: Tensor) -> Tensor:
        """See `ops.matmul`."""
        return ops.matmul(self, other)

    def pow(self, exponent: Tensor | float) -> Tensor:
        """See `ops.pow`."""
        return self**exponent

    def exp(self) -> Tensor:
        """See `ops.exp`."""
        return ops.exp(self)

    def log(self) -> Tensor:
        """See `ops.log`."""
        return ops.log(self)

    def sqrt(self) -> Tensor:
        """See `ops.sqrt`."""
        return ops.sqrt(self)

    def relu(self) -> Tensor:
        """See `ops.relu`."""
        return ops.relu(self)

    def tanh(self) -> Tensor:
        """See `ops.tanh`."""
        return ops.tanh(self)

    def sigmoid(self) -> Tensor:
        """See `ops.sigmoid`."""
        return ops.sigmoid(self)

    def softmax(self, dim: int = -1) -> Tensor:
        """See `ops.softmax`."""
        return ops.softmax(self, dim)

    def log_softmax(self, dim: int = -1) -> Tensor:
        """See `ops.log_softmax`."""
        return ops.log_softmax(self, dim)

    def sum(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None) -> Tensor:
        """See `ops.sum`. `axis` is numpy's name for `dim`."""
        return ops.sum(self, axis if dim is None else dim, keepdim)

    def mean(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None) -> Tensor:
        """See `ops.mean`. `axis` is numpy's name for `dim`."""
        return ops.mean(self, axis if dim is None else dim, keepdim)

    def max(self, dim: Dims = None, keepdim: bool = False, *, axis: Dims = None) -> Tensor:
        """See `ops.max`. `axis` is numpy's name for `dim`."""
        return ops.max(self, axis if dim is None else dim, keepdim)

    def reshape(self, *shape: int | tuple[int, ...]) -> Tensor:
        """See `ops.reshape`; takes `reshape(2, 3)` and `reshape((2, 3))`."""
        return ops.reshape(self, _one_tuple(shape))

    def flatten(self, start_dim: int = 0, end_dim: int = -1) -> Tensor:
        """See `ops.flatten`."""
        return ops.flatten(self, start_dim, end_dim)

    def transpose(self, dim0: int = -2, dim1: int = -1) -> Tensor:
        """See `ops.transpose`."""
        return ops.transpose(self, dim0, dim1)

    def permute(self, *dims: int | tuple[int, ...]) -> Tensor:
        """See `ops.permute`; takes `permute(1, 0)` and `permute((1, 0))`."""
        return ops.permute(self, _one_tuple(dims))

    @property
    def T(self) -> Tensor:  # noqa: N802  (numpy's and PyTorch's name)
        """The axes in reverse order."""
        return ops.permute(self, tuple(range(self.ndim))[::-1])


def _one_tuple(values: tuple[int | tuple[int, ...], ...]) -> tuple[int, ...]:
    """(2, 3) from either (2, 3) or ((2, 3),)."""
    if len(values) == 1 and not isinstance(values[0], int):
        return tuple(values[0])
    return values  # type: ignore[return-value]  # all are ints here


def _as_array(data: object, requires_grad: bool, dtype: npt.DTypeLike | None) -> np.ndarray:
    if isinstance(data, Tensor):
        data = data.data
    array = np.asanyarray(data, dtype=dtype)
    if array.dtype.kind not in "biuf":
        raise TypeError(f"Tensor takes numbers, got an array of {array.dtype}")
    python_floats = dtype is None and array.dtype == np.float64 and not hasattr(data, "dtype")
    if python_floats or (requires_grad and array.dtype.kind != "f"):
        return array.astype(np.float32)
    return array


# The lines that led to a tensor, innermost first: (file, line, function) of each.
Stack = tuple[tuple[str, int, str], ...]
# A tensor, the op that made it, also where no graph was wanted, and the lines that led to it.
Made = tuple[Tensor, Function | None, Stack]
_DEEPEST = 12


class _Graph(threading.local):
    """Whether ops of this thread build a graph, and what they made while somebody traces."""

    is_recorded = True
    made: list[Made] | None = None


_graph = _Graph()


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside this block ops build no graph: for evaluation, where no gradient is wanted.

    Other threads are not affected.
    """
    before, _graph.is_recorded = _graph.is_recorded, False
    try:
        yield
    finally:
        _graph.is_recorded = before


@contextmanager
def tracing() -> Iterator[list[Made]]:
    """Inside this block every tensor of this thread is noted with the lines that made it."""
    before, _graph.made = _graph.made, []
    try:
        yield _graph.made
    finally:
        _graph.made = before


def _note(tensor: Tensor, function: Function | None = None) -> None:
    stack: list[tuple[str, int, str]] = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and len(stack) < _DEEPEST:
        code = frame.f_code
        if code.co_filename != __file__:  # the line that used a Tensor says more
            stack.append((code.co_filename, frame.f_lineno, code.co_qualname))
        frame = frame.f_back
    if _graph.made is not None:
        _graph.made.append((tensor, function, tuple(stack)))
