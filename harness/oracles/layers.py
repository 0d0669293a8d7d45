"""Every layer of the namespace as a closed form: `LAYERS[type]` gives all right ways.

A layer may follow one of several conventions that are equally right, as long as it follows
it everywhere; PyTorch's comes first. Compose them to know what a whole model should give.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from harness.oracles import formulas
from harness.oracles.formulas import wide

Parameters = Mapping[str, np.ndarray]
# `Any` because every layer has arguments of its own.
Arguments = Mapping[str, Any]
# (x, parameters by name such as "weight" or "query.bias", arguments as the YAML gives them)
# -> output in float64. Raises ValueError where a parameter does not have this convention's shape.
Convention = Callable[[np.ndarray, Parameters, Arguments], np.ndarray]


def _linear_out_in(x: np.ndarray, parameters: Parameters, arguments: Arguments) -> np.ndarray:
    """x W^T + b, weight (out_features, in_features)."""
    shape = (arguments["out_features"], arguments["in_features"])
    return _affine(wide(x), _of_shape(parameters["weight"], shape).T, _bias(parameters, arguments))


def _linear_in_out(x: np.ndarray, parameters: Parameters, arguments: Arguments) -> np.ndarray:
    """x W + b, weight (in_features, out_features)."""
    shape = (arguments["in_features"], arguments["out_features"])
    return _affine(wide(x), _of_shape(parameters["weight"], shape), _bias(parameters, arguments))


def _affine(x: np.ndarray, matrix: np.ndarray, bias: np.ndarray | None) -> np.ndarray:
    return np.asarray(x @ matrix if bias is None else x @ matrix + bias)


def _bias(parameters: Parameters, arguments: Arguments) -> np.ndarray | None:
    """The bias, which is there unless it was declined."""
    bias, is_wanted = parameters.get("bias"), arguments.get("bias", True)
    if (bias is not None) != is_wanted:
        raise ValueError(f"{'no' if bias is None else 'a'} bias with bias={is_wanted}")
    return bias


def _of_shape(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    if array.shape != shape:
        raise ValueError(f"a weight of shape {array.shape} where {shape} is this convention's")
    return wide(array)


def _cross_correlation(x: np.ndarray, parameters: Parameters, arguments: Arguments) -> np.ndarray:
    return _convolved(x, parameters["weight"], parameters, arguments)


def _true_convolution(x: np.ndarray, parameters: Parameters, arguments: Arguments) -> np.ndarray:
    return _convolved(x, parameters["weight"][:, :, ::-1, ::-1], parameters, arguments)


def _convolved(
    x: np.ndarray, kernels: np.ndarray, parameters: Parameters, arguments: Arguments
) -> np.ndarray:
    height, width = formulas.pair(arguments["kernel_size"])
    shape = (arguments["out_channels"], arguments["in_channels"], height, width)
    stride, padding = arguments.get("stride", 1), arguments.get("padding", 0)
    kernels = _of_shape(kernels, shape)
    return formulas.conv2d(wide(x), kernels, _bias(parameters, arguments), stride, padding)


def _max_pool(x: np.ndarray, _: Parameters, arguments: Arguments) -> np.ndarray:
    return formulas.max_pool2d(wide(x), **arguments)


def _avg_pool(x: np.ndarray, _: Parameters, arguments: Arguments) -> np.ndarray:
    return formulas.avg_pool2d(wide(x), **arguments)


def _embedding(x: np.ndarray, parameters: Parameters, arguments: Arguments) -> np.ndarray:
    shape = (arguments["num_embeddings"], arguments["embedding_dim"])
    return np.asarray(_of_shape(parameters["weight"], shape)[x])


def _interleaved_positions(x: np.ndarray, _: Parameters, __: Arguments) -> np.ndarray:
    length, width = x.shape[-2:]
    return np.asarray(wide(x) + formulas.positions(length, width))


def _concatenated_positions(x: np.ndarray, _: Parameters, __: Arguments) -> np.ndarray:
    length, width = x.shape[-2:]
    return np.asarray(wide(x) + formulas.positions(length, width, is_interleaved=False))


def _attention_with(linear: Convention) -> Convention:
    """Multi-head self-attention whose four projections follow a convention of Linear."""

    def attend(x: np.ndarray, parameters: Parameters, arguments: Arguments) -> np.ndarray:
        width, heads = arguments["embed_dim"], arguments["num_heads"]
        square = {"in_features": width, "out_features": width}
        square |= {name: arguments[name] for name in ("bias",) if name in arguments}

        def project(name: str, inputs: np.ndarray) -> np.ndarray:
            prefix = f"{name}."
            own = {k.removeprefix(prefix): v for k, v in parameters.items() if k.startswith(prefix)}
            return linear(inputs, own, square)

        query, key, value = (project(name, x) for name in ("query", "key", "value"))
        is_causal, size = arguments.get("is_causal", False), width // heads
        features = [slice(head * size, (head + 1) * size) for head in range(heads)]
        together = [
            formulas.attention(query[..., own], key[..., own], value[..., own], None, is_causal)
            for own in features
        ]
        return project("out", np.concatenate(together, axis=-1))

    return attend


def _layer_norm_with(eps_outside: bool) -> Convention:
    def normalize(x: np.ndarray, parameters: Parameters, arguments: Arguments) -> np.ndarray:
        shape = np.atleast_1d(arguments["normalized_shape"])
        weight, bias = parameters.get("weight"), parameters.get("bias")
        eps = arguments.get("eps", 1e-5)
        return formulas.layer_norm(wide(x), len(shape), weight, bias, eps, eps_outside)

    return normalize


def _softmax(x: np.ndarray, _: Parameters, arguments: Arguments) -> np.ndarray:
    return formulas.softmax(wide(x), arguments.get("dim", -1))


def _gelu(x: np.ndarray, _: Parameters, arguments: Arguments) -> np.ndarray:
    return formulas.gelu(wide(x), arguments.get("approximate", "none"))


def _flatten(x: np.ndarray, _: Parameters, arguments: Arguments) -> np.ndarray:
    start = arguments.get("start_dim", 1) % x.ndim
    end = arguments.get("end_dim", -1) % x.ndim
    merged = int(np.prod(x.shape[start : end + 1]))
    return x.reshape(*x.shape[:start], merged, *x.shape[end + 1 :])


def _elementwise(function: Callable[[np.ndarray], np.ndarray]) -> Convention:
    return lambda x, _, __: function(wide(x))


# By type, all conventions that are right, PyTorch's first. Dropout is that of evaluation.
LAYERS: dict[str, tuple[Convention, ...]] = {
    "ReLU": (_elementwise(formulas.relu),),
    "GELU": (_gelu,),
    "Tanh": (_elementwise(np.tanh),),
    "Sigmoid": (_elementwise(formulas.sigmoid),),
    "Softmax": (_softmax,),
    "Dropout": (lambda x, _, __: x,),
    "Flatten": (_flatten,),
    "Linear": (_linear_out_in, _linear_in_out),
    "Conv2d": (_cross_correlation, _true_convolution),
    "MaxPool2d": (_max_pool,),
    "AvgPool2d": (_avg_pool,),
    "Embedding": (_embedding,),
    "SinusoidalPositions": (_interleaved_positions, _concatenated_positions),
    "LayerNorm": (_layer_norm_with(eps_outside=False), _layer_norm_with(eps_outside=True)),
    "MultiHeadAttention": (_attention_with(_linear_out_in), _attention_with(_linear_in_out)),
}

# Containers run the layers in them one after the other; this is how input and result of
# that are joined: CONTAINERS[type](x, result of the last layer inside).
CONTAINERS: dict[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "Sequential": lambda _, inner: inner,
    "Residual": lambda x, inner: x + inner,
}
