"""Floating-point operations of one training step, counted from layers and shapes alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from harness.config import LayerSpec, MilestoneConfig

Shape = tuple[int, ...]
# Of one layer for an input of a shape: FLOPs forward, the shape of the output, and FLOPs of
# products by a weight, whose gradients cost as much again.
Counted = tuple[int, Shape, int]

_SOFTMAX = 5  # a number: largest, difference, exp, sum, division
_NORM = 8  # a number: mean, difference, square, mean, division, scale, shift


@dataclass(frozen=True)
class Flops:
    """FLOPs of one training step by its parts."""

    forward: int
    backward: int
    optimizer: int

    @property
    def total(self) -> int:
        """Of the whole step."""
        return self.forward + self.backward + self.optimizer


def step_flops(config: MilestoneConfig, shape: Shape, parameters: int) -> Flops:
    """FLOPs of a step on a batch of `shape` with so many numbers in all parameters.

    A product (M, K) @ (K, N) is 2 M K N. So, for N examples or tokens in all:
      Linear               2 N in out, and out a row for the bias
      Conv2d               2 N C K K F H' W', and F H' W' for the bias
      MultiHeadAttention   four Linears, 2 N T D for scores and again for the mix, 5 a score
      max or mean pooling  1 for each number in a window
      layer norm           8 a number; activations and sums 1, softmax 5 a number
    Backward is twice the forward pass, a gradient for each of two factors, but for the first
    layer with a weight, whose input wants no gradient: once. Embedding: an add a number.
    The loss is a softmax over the outputs, forward and backward. Optimizer: 2 a parameter
    for SGD, 4 with momentum, 12 for Adam.
    """
    forward, backward, out, _ = _through(config.layers, shape, wants_gradient=False)
    loss = _SOFTMAX * math.prod(out)
    return Flops(forward + loss, backward + loss, _a_parameter(config) * parameters)


def _a_parameter(config: MilestoneConfig) -> int:
    if config.training.optimizer != "SGD":
        return 12
    return 4 if config.training.momentum else 2


def _through(
    layers: Mapping[str, LayerSpec], shape: Shape, wants_gradient: bool
) -> tuple[int, int, Shape, bool]:
    """FLOPs forward and backward, the shape that comes out, and whether it wants a gradient."""
    forward = backward = 0
    for spec in layers.values():
        if spec.layers is not None:
            inner, back, out, wants_gradient = _through(spec.layers, shape, wants_gradient)
            added = math.prod(out) if spec.type == "Residual" else 0
            forward, backward, shape = forward + inner + added, backward + back + added, out
            continue
        flops, out, by_weight = _count(spec, shape)
        saved = 0 if wants_gradient else by_weight
        has_weight = spec.type in _WITH_WEIGHT
        if wants_gradient or has_weight:
            backward += math.prod(out) if spec.type == "Embedding" else 2 * flops - saved
        wants_gradient = wants_gradient or has_weight
        forward, shape = forward + flops, out
    return forward, backward, shape, wants_gradient


def _count(spec: LayerSpec, shape: Shape) -> Counted:
    counter = _COUNTERS.get(spec.type)
    if counter is None:  # elementwise: one a number
        return math.prod(shape), shape, 0
    return counter(spec.arguments, shape)


def _linear(given: Mapping[str, Any], shape: Shape) -> Counted:
    rows, out = math.prod(shape[:-1]), given["out_features"]
    product = 2 * rows * shape[-1] * out
    bias = rows * out if given.get("bias", True) else 0
    return product + bias, (*shape[:-1], out), product


def _conv(given: Mapping[str, Any], shape: Shape) -> Counted:
    count, channels, *_ = shape
    kernel = _pair(given["kernel_size"])
    height, width = _windows(given, shape, kernel, given.get("stride", 1))
    maps = given["out_channels"]
    product = 2 * count * channels * math.prod(kernel) * maps * height * width
    bias = count * maps * height * width if given.get("bias", True) else 0
    return product + bias, (count, maps, height, width), product


def _pool(given: Mapping[str, Any], shape: Shape) -> Counted:
    kernel = _pair(given["kernel_size"])
    stride = given.get("stride") or given["kernel_size"]
    out = (*shape[:2], *_windows(given, shape, kernel, stride))
    return math.prod(out) * math.prod(kernel), out, 0


def _windows(
    given: Mapping[str, Any], shape: Shape, kernel: tuple[int, int], stride: object
) -> tuple[int, int]:
    padding, step = _pair(given.get("padding", 0)), _pair(stride)
    high, wide = ((shape[axis + 2] + 2 * padding[axis] - kernel[axis]) // step[axis] + 1
                  for axis in (0, 1))  # fmt: skip
    return high, wide


def _pair(value: Any) -> tuple[int, int]:  # a number or two, as YAML has them
    first, second = (value, value) if isinstance(value, int) else value
    return first, second


def _flatten(given: Mapping[str, Any], shape: Shape) -> Counted:
    first = given.get("start_dim", 1) % len(shape)
    last = given.get("end_dim", -1) % len(shape)
    return 0, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]), 0


def _embedding(given: Mapping[str, Any], shape: Shape) -> Counted:
    return 0, (*shape, given["embedding_dim"]), 0


def _layer_norm(given: Mapping[str, Any], shape: Shape) -> Counted:
    return _NORM * math.prod(shape), shape, 0


def _softmax(given: Mapping[str, Any], shape: Shape) -> Counted:
    return _SOFTMAX * math.prod(shape), shape, 0


def _attention(given: Mapping[str, Any], shape: Shape) -> Counted:
    count, length, width = shape
    linear, _, product = _linear({"out_features": width}, shape)
    scores = count * given["num_heads"] * length * length
    mixing = 2 * (2 * count * length * length * width)
    return 4 * linear + mixing + _SOFTMAX * scores, shape, 3 * product


_COUNTERS: dict[str, Callable[[Mapping[str, Any], Shape], Counted]] = {
    "Linear": _linear,
    "Conv2d": _conv,
    "MaxPool2d": _pool,
    "AvgPool2d": _pool,
    "Flatten": _flatten,
    "Embedding": _embedding,
    "LayerNorm": _layer_norm,
    "Softmax": _softmax,
    "MultiHeadAttention": _attention,
}
_WITH_WEIGHT = ("Linear", "Conv2d", "Embedding", "LayerNorm", "MultiHeadAttention")
