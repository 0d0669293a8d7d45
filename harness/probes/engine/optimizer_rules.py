"""Every optimizer with all its options against its rule, on gradients of many sizes; clipping too.

The gradients are made up, so that nothing but the optimizer decides what a step does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend, Factory
from harness.measurement import Measurement
from harness.oracles.optimizers import RULES
from harness.probes.runs.optimizer_manners import clipping, manners, widened
from harness.probes.runs.stepping import crashed, fitting, row, run

# Several of one shape, so that they can be mixed up; a square one, vectors, and one number.
SHAPES = ((3, 4), (3, 4), (3, 3), (3, 4), (4,), (4,), ())
# The size of each tensor's gradient, and by how much it changes from step to step.
SCALES = np.array([1e3, 1e-6, 1e-2, 1e-4, 1e-3, 1e-1, 1e-4])
SWINGS = np.array([1.0, 1.0, 0.1, 10.0, 1.0, 0.03, 1.0])
# Changes on the way are what a schedule does.
RATES = (0.1, 0.1, 0.1, 0.05, 0.05, 0.02)
RATE = "learning rate"
# In this step the gradient of one tensor is zero, though it has arrived.
ZERO = (3, 0)

Arguments = Mapping[str, Any]

_SGD: list[Arguments] = [
    {},
    {"momentum": 0.9},
    {"momentum": 0.8, "nesterov": True},
    {"momentum": 0.9, "dampening": 0.3},
    {"weight_decay": 0.1},
    {"momentum": 0.9, "weight_decay": 0.1},
    {"momentum": 0.9, "weight_decay": 0.1, "nesterov": True},
]
_ADAM: list[Arguments] = [
    {},
    {"betas": (0.8, 0.95), "eps": 1e-3},
    {"weight_decay": 0.1},
    {"weight_decay": 0.0},
    {"amsgrad": True},
]
# By name, the options to try: PyTorch's.
VARIANTS = {"SGD": _SGD, "Adam": _ADAM, "AdamW": _ADAM}


def measure(backend: Backend) -> Iterator[Measurement]:
    """Rows for each optimizer, option by option, and for clipping."""
    wide, narrow = Material.of(np.float64), Material.of(np.float32)
    for name, factory in backend.namespace.optimizers.items():
        try:
            yield from _rules(backend, name, factory, wide, narrow)
            yield from manners(backend, name, factory)
        except Exception as error:  # a broken engine may raise anything
            yield crashed(name, "a step", error)
    yield from clipping(backend)


def _rules(
    backend: Backend, name: str, factory: Factory, wide: Material, narrow: Material
) -> Iterator[Measurement]:
    """One optimizer with each of its options in float64, with most of them in float32."""
    known = [each for each in VARIANTS.get(name, []) if accepts(factory, *each)]
    for arguments in known:
        yield from of_options(backend, name, factory, arguments, wide)
    if known:
        yield from of_options(backend, name, factory, max(known, key=len), narrow)


@dataclass(frozen=True)
class Material:
    """What every optimizer is tried on: where the tensors start, and the gradients of each step."""

    values: list[np.ndarray]
    gradients: list[list[np.ndarray]]

    @classmethod
    def of(cls, dtype: type[np.floating]) -> Material:
        """Numbers around 1; in float32 as small as their gradients, which 1 would swallow."""
        rng = np.random.default_rng(1)
        sizes = SCALES if dtype == np.float32 else np.ones(len(SHAPES))
        values, gradients = _arrays(rng, sizes, dtype), []
        for step in range(len(RATES)):
            sizes = SCALES * SWINGS**step
            sizes[ZERO[1]] *= step != ZERO[0]
            gradients.append(_arrays(rng, sizes, dtype))
        return cls(values, gradients)


def _arrays(
    rng: np.random.Generator, sizes: np.ndarray, dtype: type[np.floating]
) -> list[np.ndarray]:
    pairs = zip(sizes, SHAPES, strict=True)
    return [np.asarray(size * rng.standard_normal(shape), dtype) for size, shape in pairs]


def of_options(
    backend: Backend, name: str, factory: Factory, arguments: Arguments, material: Material
) -> Iterator[Measurement]:
    """The row of one optimizer with some options, and one of the rate if that never changes."""
    parameters = [backend.leaf(value.copy()) for value in material.values]
    optimizer = factory(parameters, lr=RATES[0], **arguments)
    steps = run(backend, optimizer, parameters, material.gradients, RATES)
    rules = [partial(rule, **arguments) for rule in RULES[name]]
    options = ", ".join(f"{key}={value}" for key, value in arguments.items()) or "no options"
    what = f"{options}, in {steps.values.dtype}"
    comparison = fitting(steps, ((rule, RATES) for rule in rules))
    yield row(name, what, steps, comparison)
    yield widened(backend, name, what, parameters, [each.dtype for each in material.values])
    always = [RATES[0]] * len(RATES)
    if not comparison.fits and fitting(steps, ((rule, always) for rule in rules)).fits:
        what = f"{name}, {what}: learning rate after it was set to another"
        yield Measurement(RATE, what, RATES[0], RATES[-1], math.inf)
