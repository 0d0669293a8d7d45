"""Functions of autograd.numpy under PyTorch's names; what neural networks need is made of them."""

from __future__ import annotations

import math
from typing import Literal

import autograd.numpy as anp
import numpy as np
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import getval

from harness.backends.autograd.nodes import boxed
from harness.backends.base import EngineTensor
from harness.backends.numpy_like.ops import NumpyLikeOps


class AutogradOps(NumpyLikeOps):
    """See `NumpyLikeOps` for what each op does."""

    lib = anp

    def parameter(self, array: np.ndarray) -> ArrayBox:
        return boxed(array, in_graph=True)

    def array(self, tensor: EngineTensor) -> np.ndarray:
        return np.asarray(getval(tensor))

    def relu(self, x: ArrayBox) -> ArrayBox:
        return x * (x > 0)  # maximum(x, 0) has a slope of 1/2 at 0

    def sigmoid(self, x: ArrayBox) -> ArrayBox:
        return 0.5 * (1.0 + anp.tanh(0.5 * x))

    def gelu(self, x: ArrayBox, approximate: Literal["none", "tanh"] = "none") -> ArrayBox:
        if approximate == "tanh":
            inner = math.sqrt(2.0 / math.pi) * (x + 0.044715 * x * x * x)
            return 0.5 * x * (1.0 + anp.tanh(inner))
        if approximate != "none":
            raise ValueError(f"gelu: approximate must be 'none' or 'tanh', got {approximate!r}")
        from autograd.scipy.special import erf

        return 0.5 * x * (1.0 + erf(x * math.sqrt(0.5)))

    def softmax(self, x: ArrayBox, dim: int = -1) -> ArrayBox:
        e = anp.exp(self._shifted(x, dim))
        return e / anp.sum(e, axis=dim, keepdims=True)

    def log_softmax(self, x: ArrayBox, dim: int = -1) -> ArrayBox:
        shifted = self._shifted(x, dim)
        return shifted - anp.log(anp.sum(anp.exp(shifted), axis=dim, keepdims=True))

    def _shifted(self, x: ArrayBox, dim: int) -> ArrayBox:
        """x less its largest number, which costs no gradient anything."""
        return x - np.max(self.array(x), axis=dim, keepdims=True)

    def _convolved(
        self, x: ArrayBox, weight: ArrayBox, stride: tuple[int, int], padding: tuple[int, int]
    ) -> ArrayBox:
        filters, channels, height, width = weight.shape
        taps = self.taps(self.pad(x, padding, 0.0), (height, width), stride)
        columns = anp.stack(taps, axis=2)  # (N, C, K, H', W')
        kernels = anp.reshape(weight, (filters, channels, height * width))
        y = anp.tensordot(kernels, columns, axes=((1, 2), (1, 2)))  # (F, N, H', W')
        return anp.swapaxes(y, 0, 1)

    def _max_pooled(
        self, x: ArrayBox, kernel: tuple[int, int], stride: tuple[int, int]
    ) -> ArrayBox:
        return anp.max(anp.stack(self.taps(x, kernel, stride), axis=0), axis=0)
