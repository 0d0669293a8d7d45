"""Every op as a function of tensors, under PyTorch's names.

One family a file; each op's forward, backward and sample cases stand together. The
names below are what `Tensor` and the layers use.
"""

from harness.autograd.ops.activations import gelu, relu, sigmoid, tanh
from harness.autograd.ops.arithmetic import add, div, mul, neg, pow, sub
from harness.autograd.ops.attention import scaled_dot_product_attention
from harness.autograd.ops.convolution import conv2d
from harness.autograd.ops.dropout import dropout
from harness.autograd.ops.elementary import exp, log, sqrt
from harness.autograd.ops.embedding import embedding
from harness.autograd.ops.losses import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
)
from harness.autograd.ops.matmul import linear, matmul
from harness.autograd.ops.normalization import layer_norm
from harness.autograd.ops.pooling import avg_pool2d, max_pool2d
from harness.autograd.ops.reductions import max, mean, sum
from harness.autograd.ops.shaping import (
    Key,
    concatenate,
    flatten,
    index,
    permute,
    reshape,
    transpose,
)
from harness.autograd.ops.softmax import log_softmax, softmax

__all__ = [
    "Key",
    "add",
    "avg_pool2d",
    "binary_cross_entropy_with_logits",
    "concatenate",
    "conv2d",
    "cross_entropy",
    "div",
    "dropout",
    "embedding",
    "exp",
    "flatten",
    "gelu",
    "index",
    "layer_norm",
    "linear",
    "log",
    "log_softmax",
    "matmul",
    "max",
    "max_pool2d",
    "mean",
    "mse_loss",
    "mul",
    "neg",
    "permute",
    "pow",
    "relu",
    "reshape",
    "scaled_dot_product_attention",
    "sigmoid",
    "softmax",
    "sqrt",
    "sub",
    "sum",
    "tanh",
    "transpose",
]
