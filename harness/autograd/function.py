"""The extension API: a `Function` is the backward half of an op.

Subclass it, pass every input that may need a gradient to `Function.__init__`, and give
`apply`, which turns the gradient of the output into one gradient per input.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from harness.autograd.tensor import Tensor


class Function:
    """A node of the graph: the inputs of one op and the way back to them.

    `saved_tensors` are the inputs in order. An input that is not handed to `__init__`
    is not in the graph and never receives a gradient.
    """

    saved_tensors: tuple[Tensor, ...]

    def __init__(self, *inputs: Tensor) -> None:
        self.saved_tensors = inputs

    def apply(self, grad_output: np.ndarray) -> tuple[np.ndarray | None, ...]:
        """Turn the gradient of the output into a tuple with one gradient per input.

        Each gradient has the shape of its input; None stands for "no gradient", as for
        integer indices. `grad_output` must not be changed in place.
        """
        raise NotImplementedError(f"{type(self).__name__} has no apply(grad_output)")
