"""HIPS autograd as a backend: its tracer and its rules, with leaves that keep their gradients.

autograd itself differentiates functions. What it records while one runs is used here directly:
every tensor is one of its boxes, and a backward pass goes back from any of them.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from importlib.metadata import version
from importlib.util import find_spec

import numpy as np
from autograd.core import add_outgrads
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.util import toposort

from harness.backends.autograd.nodes import boxed, no_grad
from harness.backends.autograd.ops import AutogradOps
from harness.backends.autograd.tracing import traced
from harness.backends.base import Trace
from harness.backends.numpy_like.backend import NumpyLikeBackend


class AutogradBackend(NumpyLikeBackend):
    """See `Backend` for what each function does."""

    name = "autograd"
    version = version("autograd")

    def __init__(self) -> None:
        self._ops = AutogradOps()
        # autograd takes the error function from scipy, and does without where that is missing.
        super().__init__(self._ops, has_erf=find_spec("scipy") is not None)

    def tensor(self, array: np.ndarray) -> ArrayBox:
        return boxed(array, in_graph=False)

    def leaf(self, array: np.ndarray) -> ArrayBox:
        return boxed(array, in_graph=True)

    def array(self, tensor: ArrayBox) -> np.ndarray:
        return self._ops.array(tensor)

    def backward(self, output: ArrayBox, gradient: np.ndarray | None = None) -> None:
        """As autograd's own backward pass, which keeps the gradient of one input only."""
        if not output._node.in_graph:
            return
        if gradient is None:
            gradient = np.ones(output.shape, dtype=output.dtype)
        arrived = {output._node: (gradient, False)}
        for node in toposort(output._node):
            given, _ = arrived.pop(node)
            if node.is_kept:
                before = node.gradient
                node.gradient = np.array(given) if before is None else before + given
            for parent, part in zip(node.parents, node.vjp(given), strict=True):
                arrived[parent] = add_outgrads(arrived.get(parent), part)

    def gradient(self, tensor: ArrayBox) -> np.ndarray | None:
        found: np.ndarray | None = tensor._node.gradient
        return found

    def set_value(self, parameter: ArrayBox, array: np.ndarray) -> None:
        parameter._value = array

    def set_gradient(self, parameter: ArrayBox, array: np.ndarray | None) -> None:
        parameter._node.gradient = array

    def no_grad(self) -> AbstractContextManager[None]:
        return no_grad()

    def keep_gradient(self, tensor: ArrayBox) -> None:
        """Only where history leads on: others have been left out of the graph already."""
        if not tensor._node.in_graph:
            super().keep_gradient(tensor)
        tensor._node.is_kept = True

    def trace(self, call: Callable[[], ArrayBox]) -> Trace:
        return traced(call)


BACKEND = AutogradBackend()
