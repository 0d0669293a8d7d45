"""Gradients of tensors that are used once, twice and often within one graph: uses add up.

Each case has a closed form. Only `add` and `mul` are needed, or a Linear layer.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from harness.backends.base import Backend, EngineTensor, Parameter
from harness.measurement import Measurement
from harness.probes.comparing import compared

TAPE = "backward pass"
SHAPE = (2, 3)
# How often something is doubled, one after the other: paths grow as 2 to this power.
DOUBLED = 12
# What sums of a few products may be off by in float32, in shares of their size.
ROUNDED = 1e-5
# What they are off by in float64, if no float32 is on the way.
EXACT = 1e-12

Array = np.ndarray
# A graph of some leaves, the numbers of these, and their gradients for one of the output.
Case = tuple[str, Callable[..., EngineTensor], list[Array], list[Array]]


def numbers(count: int, seed: int = 0, shape: tuple[int, ...] = SHAPE) -> list[Array]:
    """So many arrays of numbers around 1."""
    rng = np.random.default_rng(seed)
    return [rng.standard_normal(shape) for _ in range(count)]


def rows(
    backend: Backend,
    what: str,
    leaves: Mapping[str, EngineTensor],
    expected: Mapping[str, Array],
    subject: str = TAPE,
) -> Iterator[Measurement]:
    """A row for each leaf; one without a gradient has one of zeros."""
    for name, got in zip(leaves, arrived(backend, list(leaves.values())), strict=True):
        yield compared(subject, f"gradient of {name} in {what}", got, expected[name])


def arrived(backend: Backend, leaves: Sequence[Parameter]) -> list[Array]:
    """The gradient of each leaf, to keep; zeros where none has arrived."""
    found = zip(map(backend.gradient, leaves), backend.arrays(leaves), strict=True)
    return [np.zeros_like(array) if each is None else each.copy() for each, array in found]


def has_arithmetic(backend: Backend) -> bool:
    """Whether there is what most cases are made of."""
    return {"add", "mul"} <= backend.namespace.ops.keys()


def used_once(backend: Backend) -> list[Measurement]:
    """One use of every tensor, op by op: a wrong one spoils all cases that are made of it.

    Where all are wrong, it is what they share: the backward pass.
    """
    a, b, g = numbers(3, seed=9)
    found = []
    for op, to_a, to_b in (("add", g, g), ("mul", g * b, g * a)):
        leaves = {"x": backend.leaf(a), "y": backend.leaf(b)}
        backend.backward(backend.namespace.ops[op](*leaves.values()), g.copy())
        found.append(list(rows(backend, f"{op}(x, y)", leaves, {"x": to_a, "y": to_b}, op)))
    if all(any(row.error > ROUNDED for row in each) for each in found):
        return [replace(row, subject=TAPE) for each in found for row in each]
    return [row for each in found for row in each]


def used_often(backend: Backend) -> Iterator[Measurement]:
    """Every use of a tensor counts, wherever and however often it is used."""
    for what, make, inputs, expected in _cases(backend):
        for dtype in (np.float64, np.float32) if len(inputs) == 1 else (np.float64,):
            leaves = [backend.leaf(each.astype(dtype)) for each in inputs]
            backend.backward(make(*leaves), _given().astype(dtype))
            for i, (got, right) in enumerate(zip(arrived(backend, leaves), expected, strict=True)):
                name = f"gradient of input {i} in {what} ({np.dtype(dtype)})"
                row = compared(TAPE, name, got, right)
                if dtype == np.float32 and row.error < ROUNDED:
                    row = replace(row, error=0.0)
                if dtype == np.float64 and EXACT < row.error < ROUNDED:
                    row = replace(row, what=f"{name}, added in float32", error=math.inf)
                yield row


def _given() -> Array:
    return numbers(6)[-1]


def _cases(backend: Backend) -> list[Case]:
    add, mul = backend.namespace.ops["add"], backend.namespace.ops["mul"]
    a, b, c, d, e, g = numbers(6)

    def doubled(x: EngineTensor) -> EngineTensor:
        for _ in range(DOUBLED):
            x = add(x, x)
        return x

    def uneven(a: EngineTensor, b: EngineTensor, c: EngineTensor) -> EngineTensor:
        h = mul(a, b)
        return add(h, mul(mul(mul(h, c), c), h))

    def crossed(
        a: EngineTensor, b: EngineTensor, c: EngineTensor, d: EngineTensor, e: EngineTensor
    ) -> EngineTensor:
        p, q = mul(a, b), mul(c, d)
        both = add(p, q)
        return add(add(mul(p, e), both), add(both, mul(q, q)))

    h, p, q = a * b, a * b, c * d
    to_h, to_p, to_q = g * (1 + 2 * h * c * c), g * (2 + e), g * (2 + 2 * q)
    return [
        ("x + x", lambda x: add(x, x), [a], [2 * g]),
        ("x * x", lambda x: mul(x, x), [a], [2 * a * g]),
        ("x * x * x", lambda x: mul(mul(x, x), x), [a], [3 * a * a * g]),
        ("x * y + x", lambda x, y: add(mul(x, y), x), [a, b], [g * (b + 1), g * a]),
        ("x + x * y", lambda x, y: add(x, mul(x, y)), [a, b], [g * (b + 1), g * a]),
        (f"x doubled {DOUBLED} times", doubled, [a], [2.0**DOUBLED * g]),
        ("h + h * z * z * h with h = x * y", uneven, [a, b, c],
         [to_h * b, to_h * a, 2 * g * h * h * c]),
        ("sums that share their parts", crossed, [a, b, c, d, e],
         [to_p * b, to_p * a, to_q * d, to_q * c, g * p]),
    ]  # fmt: skip


def layer_used_twice(backend: Backend) -> Iterator[Measurement]:
    """A layer that a model uses twice gets the gradients of both uses."""
    if "Linear" not in backend.namespace.layers:
        return
    x, g = numbers(2, seed=6, shape=(4, 3))
    tied, first, second = (equal_linear(backend, 3, 3) for _ in range(3))
    backend.backward(tied(tied(backend.tensor(x))), g)
    backend.backward(second(first(backend.tensor(x))), g)
    both, one, two = (
        arrived(backend, list(backend.parameters(layer).values()))
        for layer in (tied, first, second)
    )
    for name, *found in zip(backend.parameters(tied), both, one, two, strict=True):
        what = f"gradient of {name} of a layer that is used twice"
        yield compared(TAPE, what, found[0], found[1] + found[2])


def equal_linear(backend: Backend, inputs: int, outputs: int) -> Callable[..., EngineTensor]:
    """A Linear layer in float64, with the same numbers at every call."""
    factory = backend.namespace.layers["Linear"]
    layer: Callable[..., EngineTensor] = factory(in_features=inputs, out_features=outputs)
    parameters = list(backend.parameters(layer).values())
    rng = np.random.default_rng(inputs)
    for parameter, array in zip(parameters, backend.arrays(parameters), strict=True):
        backend.set_value(parameter, rng.standard_normal(array.shape))
    return layer
