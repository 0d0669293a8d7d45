"""A small numpy autograd engine with PyTorch's names, meanings and defaults.

With this package one can

    build tensors and differentiate through any op      Tensor, ops, no_grad
    add an op with its own backward                     Function
    build models of layers                              nn
    train them                                          optim
    check a gradient against finite differences         gradcheck
    see every tensor that a model makes, and where      tracing

Where it is smaller than PyTorch: `max` gives values only, like amax; losses have no
`ignore_index` and no `reduction="none"`; `MultiHeadAttention` has separate projections.
"""

from harness.autograd import nn, ops, optim
from harness.autograd.errors import AutogradError, GraphError, ShapeError
from harness.autograd.function import Function
from harness.autograd.gradcheck import gradcheck
from harness.autograd.tensor import Tensor, no_grad, tracing

__all__ = [
    "AutogradError",
    "Function",
    "GraphError",
    "ShapeError",
    "Tensor",
    "gradcheck",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "tracing",
]
