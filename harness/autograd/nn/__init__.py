"""Layers and losses under PyTorch's names, with its arguments, meanings and weights."""

from harness.autograd.nn.activations import (
    GELU,
    Dropout,
    Flatten,
    ReLU,
    Sigmoid,
    Softmax,
    Tanh,
)
from harness.autograd.nn.images import AvgPool2d, Conv2d, MaxPool2d
from harness.autograd.nn.linear import Linear
from harness.autograd.nn.losses import BCEWithLogitsLoss, CrossEntropyLoss, MSELoss
from harness.autograd.nn.module import Module, Parameter, Residual, Sequential
from harness.autograd.nn.normalization import LayerNorm
from harness.autograd.nn.tokens import Embedding, MultiHeadAttention, SinusoidalPositions

__all__ = [
    "GELU",
    "AvgPool2d",
    "BCEWithLogitsLoss",
    "Conv2d",
    "CrossEntropyLoss",
    "Dropout",
    "Embedding",
    "Flatten",
    "LayerNorm",
    "Linear",
    "MSELoss",
    "MaxPool2d",
    "Module",
    "MultiHeadAttention",
    "Parameter",
    "ReLU",
    "Residual",
    "Sequential",
    "Sigmoid",
    "SinusoidalPositions",
    "Softmax",
    "Tanh",
]
