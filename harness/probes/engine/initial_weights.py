"""Where the weights of every layer start: their size beside their inputs, and the draws behind it.

Many ways to start are right; a layer must keep to one of them at all sizes.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from harness.arguments import accepts, may_lack
from harness.backends.base import Backend, Factory
from harness.measurement import Measurement
from harness.probes.counting import counted
from harness.probes.global_randomness import global_seed, states
from harness.probes.runs.stepping import crashed
from harness.probes.weight_statistics import ALIKE, ENOUGH, chance, oddities, rms, within

Arrays = dict[str, np.ndarray]


@dataclass(frozen=True)
class Size:
    """One way to build a layer: its arguments, and how many inputs and outputs a number has.

    `units` are the rows of its weights as a matrix.
    """

    arguments: Mapping[str, Any]
    fan_in: int
    fan_out: int
    units: int


def _linear(inputs: int, outputs: int) -> Size:
    return Size({"in_features": inputs, "out_features": outputs}, inputs, outputs, outputs)


def _conv(inputs: int, outputs: int, kernel: int) -> Size:
    arguments = {"in_channels": inputs, "out_channels": outputs, "kernel_size": kernel}
    return Size(arguments, inputs * kernel**2, outputs * kernel**2, outputs)


def _embedding(tokens: int, width: int) -> Size:
    return Size({"num_embeddings": tokens, "embedding_dim": width}, tokens, width, tokens)


def _attention(width: int) -> Size:
    return Size({"embed_dim": width, "num_heads": 2}, width, width, width)


# Inputs and outputs vary on their own, and so does a kernel.
SIZES: Mapping[str, Sequence[Size]] = {
    "Linear": [_linear(12, 120), _linear(120, 12), _linear(40, 40), _linear(240, 8)],
    "Conv2d": [_conv(3, 64, 3), _conv(48, 4, 3), _conv(16, 16, 2), _conv(6, 12, 5)],
    "Embedding": [_embedding(120, 12), _embedding(12, 120), _embedding(48, 48)],
    "MultiHeadAttention": [_attention(24), _attention(64)],
}
# What no random number stands for: gains and shifts of what normalises.
CONSTANT: Mapping[str, tuple[Mapping[str, Any], Mapping[str, float]]] = {
    "LayerNorm": ({"normalized_shape": 6}, {"weight": 1.0, "bias": 0.0}),
}
# Times 1/sqrt(fan): from PyTorch's default, 1/sqrt(3), over 1 (LeCun, Xavier) and sqrt(2) (He)
# to the gain of tanh, 5/3; and some room.
GAIN = (0.4, 2.2)
# The same at all sizes: N(0, 0.01^2), N(0, 0.02^2), uniform in +-0.05 or +-0.1.
FIXED = (0.008, 0.07)
# A row of an embedding is no sum: N(0, 1) is as usual as N(0, 0.02^2).
FIXED_EMBEDDING = (0.015, 1.5)
# Biases: zeros, a small constant, or random numbers by their layer's inputs.
SMALL_BIAS = 0.11
# So many numbers tell whether two tensors are the same draws.
BEGINNING = 8
# Required arguments of a layer that is not in the table.
OTHER = (24, 40)


def measure(backend: Backend) -> Iterator[Measurement]:
    """Rows for each type of layer, one after the other."""
    for kind, factory in backend.namespace.layers.items():
        try:
            yield from of_layer(backend, kind, factory)
        except Exception as error:  # a broken engine may raise anything
            yield crashed(kind, "building it", error)


def of_layer(backend: Backend, kind: str, factory: Factory) -> Iterator[Measurement]:
    """Rows for one type of layer; nothing where there is nothing to draw."""
    if kind in CONSTANT:
        yield from _constants(backend, kind, factory)
    elif kind in SIZES:
        sizes = SIZES[kind]
        built = [_built(backend, factory, size.arguments, 0) for size in sizes]
        yield from _sizes(kind, sizes, built)
        yield from _statistics(kind, built)
        yield from _draws(backend, kind, factory, sizes[-1].arguments)
    elif accepts(factory, "rng"):
        arguments = _some_arguments(factory)
        if arguments is not None and (arrays := _tried(backend, factory, arguments)):
            yield from _statistics(kind, [arrays])
            yield from _draws(backend, kind, factory, arguments)


def _built(backend: Backend, factory: Factory, arguments: Mapping[str, Any], seed: int) -> Arrays:
    """The parameters of a new layer by name, in float64."""
    rng = {"rng": np.random.default_rng(seed)} if accepts(factory, "rng") else {}
    return _arrays(backend, factory(**arguments, **rng))


def _arrays(backend: Backend, layer: Any) -> Arrays:
    parameters = backend.parameters(layer)
    arrays = backend.arrays(list(parameters.values()))
    return {name: each.astype(np.float64) for name, each in zip(parameters, arrays, strict=True)}


def _some_arguments(factory: Factory) -> dict[str, Any] | None:
    """A whole number for each required argument; None where there is one of another type."""
    needed = [
        (name, each)
        for name, each in inspect.signature(factory).parameters.items()
        if each.default is each.empty and each.kind is each.POSITIONAL_OR_KEYWORD
        if name != "rng"
    ]
    if any(each.annotation not in (each.empty, int, "int") for _, each in needed):
        return None
    return {name: OTHER[i % 2] for i, (name, _) in enumerate(needed)}


def _tried(backend: Backend, factory: Factory, arguments: Mapping[str, Any]) -> Arrays:
    """What was built, or nothing when the arguments do not fit together."""
    try:
        return _built(backend, factory, arguments, 0)
    except Exception:  # arguments were only guessed
        return {}


# --- sizes --------------------------------------------------------------------------------------


def _constants(backend: Backend, kind: str, factory: Factory) -> Iterator[Measurement]:
    arguments, declared = CONSTANT[kind]
    for name, array in _built(backend, factory, arguments, 0).items():
        if name in declared:
            off = np.abs(array - declared[name])
            got = float(array.ravel()[int(off.argmax())])
            error = 0.0 if got == declared[name] else math.inf
            yield Measurement(kind, f"{name} at the start", got, declared[name], error)


def _sizes(kind: str, sizes: Sequence[Size], built: Sequence[Arrays]) -> Iterator[Measurement]:
    """One row a tensor: how far it is from the one way to start that fits all sizes best."""
    for name, first in built[0].items():
        arrays = [arrays[name] for arrays in built]
        if first.ndim < 2:
            yield from _biases(kind, name, sizes, arrays)
            continue
        yield _size(kind, name, sizes, arrays)


def _size(kind: str, name: str, sizes: Sequence[Size], arrays: Sequence[np.ndarray]) -> Measurement:
    """The tensor that is furthest from gain / sqrt(fan): the fan and the gain that fit best."""
    fans, ranges = _ways(sizes, FIXED_EMBEDDING if kind == "Embedding" else FIXED)
    found = np.array([rms(array) for array in arrays])
    usual = 1.0 / np.sqrt(fans)
    gains = np.log(np.maximum(found, np.finfo(float).tiny)) - np.log(usual)
    gain = np.clip(gains.mean(axis=1, keepdims=True), *np.log(ranges.T)[:, :, None])
    room = np.log1p([chance(array) for array in arrays])
    off = np.maximum(np.abs(gains - gain) - room, 0.0)
    way = int(off.max(axis=1).argmin())
    worst = int(off[way].argmax())
    what = f"root mean square of {name} {arrays[worst].shape}"
    expected = float(np.exp(gain[way, 0]) * usual[way, worst])
    return Measurement(kind, what, float(found[worst]), expected, float(np.expm1(off[way, worst])))


def _ways(sizes: Sequence[Size], fixed: tuple[float, float]) -> tuple[np.ndarray, np.ndarray]:
    """(ways, sizes) what the size of a number may go by, and (ways, 2) the gains in use.

    That is nothing, inputs, outputs, their mean, or the longer side of an orthogonal matrix.
    """
    into, out, units = np.array([[s.fan_in, s.fan_out, s.units] for s in sizes], float).T
    fans = [np.ones(len(sizes)), into, out, (into + out) / 2.0, np.maximum(into, units)]
    return np.array(fans), np.array([fixed, *[GAIN] * 4])


def _biases(
    kind: str, name: str, sizes: Sequence[Size], arrays: Sequence[np.ndarray]
) -> Iterator[Measurement]:
    """Small: a bias is not a sum of anything."""
    rows = [
        within(kind, f"root mean square of {name} {array.shape}", rms(array), 0.0,
               max(SMALL_BIAS, GAIN[1] / math.sqrt(min(size.fan_in, size.fan_out))))
        for size, array in zip(sizes, arrays, strict=True)
    ]  # fmt: skip
    yield max(rows, key=lambda row: row.error)


# --- numbers ------------------------------------------------------------------------------------


def _statistics(kind: str, built: Sequence[Arrays]) -> Iterator[Measurement]:
    """What is odd about each tensor of weights; one row where nothing is."""
    rows = [
        row
        for arrays in built
        for name, array in arrays.items()
        if array.ndim > 1 and array.size >= ENOUGH
        for row in oddities(kind, name, array)
    ]
    odd = [row for row in rows if row.error != 0.0]
    what = "properties of random weights that do not hold"
    yield from odd or [counted(kind, what, 0, 0)]


# --- draws --------------------------------------------------------------------------------------


def _draws(
    backend: Backend, kind: str, factory: Factory, arguments: Mapping[str, Any]
) -> Iterator[Measurement]:
    """The given generator decides every number, each once, and nothing else does."""
    first = _built(backend, factory, arguments, 1)
    yield from _copies(kind, "one layer", list(first.items()))
    if not accepts(factory, "rng"):
        yield from _without(backend, kind, factory, arguments)
        return
    with global_seed(1):
        before = states()
        again = _built(backend, factory, arguments, 1)
        touched = [name for name, state in states().items() if before[name] != state]
    yield counted(kind, f"draws from {touched[0] if touched else 'a global random state'}",
                  len(touched), 0)  # fmt: skip
    differing = sum(not np.array_equal(first[name], again[name]) for name in first)
    yield counted(kind, "tensors that the same generator starts otherwise", differing, 0)
    other = _built(backend, factory, arguments, 2)
    pairs = [(f"{name} of another generator", array) for name, array in other.items()]
    yield from _copies(kind, "two generators", [*first.items(), *pairs])
    rng = np.random.default_rng(3)
    one, two = (_arrays(backend, factory(**arguments, rng=rng)) for _ in range(2))
    yield from _copies(kind, "one generator, used twice", [*one.items(), *_of_next(two)])
    if may_lack(factory, "rng"):
        one, two = (_arrays(backend, factory(**arguments)) for _ in range(2))
        yield from _copies(kind, "layers without a generator", [*one.items(), *_of_next(two)])


def _without(
    backend: Backend, kind: str, factory: Factory, arguments: Mapping[str, Any]
) -> Iterator[Measurement]:
    """Random numbers of a layer that takes no generator: no seed reaches them, so none repeat.

    They are the same for every seed, come from a global state, or from nowhere that one knows.
    """
    with global_seed(1):
        before = states()
        one, two = (_built(backend, factory, arguments, 1) for _ in range(2))
        touched = [name for name, state in states().items() if before[name] != state]
    if touched:
        yield counted(kind, f"takes no rng, and draws from {touched[0]}", len(touched), 0)
        return
    random = [name for name, array in one.items() if array.size > 1 and np.ptp(array) > 0.0]
    alike = [name for name in random if np.array_equal(one[name], two[name])]
    what = "takes no rng, and starts the same for every seed: tensors"
    yield counted(kind, what, len(alike), 0)
    what = "takes no rng, and starts otherwise every time, for the same seed too: tensors"
    yield counted(kind, what, len(random) - len(alike), 0)


def _of_next(arrays: Arrays) -> list[tuple[str, np.ndarray]]:
    return [(f"{name} of the next layer", array) for name, array in arrays.items()]


def _copies(kind: str, of: str, tensors: Sequence[tuple[str, np.ndarray]]) -> Iterator[Measurement]:
    """Random tensors that begin with the same numbers, but for a factor."""
    random = [(n, a.ravel()[:BEGINNING]) for n, a in tensors if a.size >= BEGINNING]
    random = [(name, array) for name, array in random if np.ptp(array) > 0.0]
    found = []
    if random:
        first = np.array([array for _, array in random])
        first /= np.linalg.norm(first, axis=1, keepdims=True)
        pairs = np.argwhere(np.triu(np.abs(first @ first.T) > 1.0 - ALIKE, 1))
        found = [f"{random[i][0]} and {random[j][0]}" for i, j in pairs]
    names = f": {found[0]}" if found else ""
    yield counted(kind, f"tensors that start alike, of {of}{names}", len(found), 0)
