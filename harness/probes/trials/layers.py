"""The trials of layers and of containers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend, Layer
from harness.oracles.layers import CONTAINERS as JOINED
from harness.oracles.layers import LAYERS as CONVENTIONS
from harness.oracles.layers import Convention
from harness.probes.trials import cases
from harness.probes.trials.cases.case import Array, Case, Numbers, usual
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.trial import Arrays, Lead, Run, Trial, led, shape_of, tensors_of

# What a layer of an unknown type may take; those that it refuses are left out.
_GUESSES = [Case((shape,), may_refuse=True) for shape in ((2, 3, 4), (2, 3), (2, 3, 4, 4))]


def build(backend: Backend, name: str, arguments: Mapping[str, Any], seed: int = 5) -> Layer:
    """A layer; what it draws comes from a generator of its own. A container comes with layers."""
    factory = backend.namespace.layers[name]
    if "layers" in arguments:
        inner = [build(backend, kind, given, i) for i, (kind, given) in
                 enumerate(arguments["layers"])]  # fmt: skip
        container: Layer = factory(*inner)
        return container
    draws = {"rng": np.random.default_rng(seed)} if accepts(factory, "rng") else {}
    layer: Layer = factory(**arguments, **draws)
    return layer


def layer_trials(
    backend: Backend, name: str, pool: Pool, training: bool, every: int = 1
) -> list[Trial]:
    """One trial for every so many-th case; all parameters with numbers of their own."""
    fitting = fitting_cases(backend, name, _GUESSES, every)
    return [_built(backend, name, case, pool, training) for case in fitting]


def fitting_cases(
    backend: Backend, name: str, unknown: Sequence[Case] = (), every: int = 1
) -> list[Case]:
    """Every so many-th case of a layer that the engine can build, `unknown` of one of no table.

    A container is built around layers: what the engine lacks of these leaves its case out. Where
    that leaves none, one that is not the so many-th will do.
    """
    table = usual({**cases.LAYERS, **cases.CONTAINERS}.get(name, unknown))
    factory, offered = backend.namespace.layers[name], backend.namespace.layers
    fitting = [
        case
        for case in table
        if all(kind in offered for kind in inside(case))
        and (inside(case) or accepts(factory, *case.arguments))
    ]
    is_some = {*map(id, table[::every])}
    return [case for case in fitting if id(case) in is_some] or fitting[:1]


def inside(case: Case) -> list[str]:
    """The types of the layers that a container is built around; none for other layers."""
    return [kind for kind, _ in case.arguments.get("layers", ())]


def untried(backend: Backend) -> list[str]:
    """The containers that no case is left of, since the engine lacks what they are tried around:
    "layer Sequential around Linear, Tanh"."""
    offered = backend.namespace.layers
    return [
        f"layer {name} around {' and '.join(dict.fromkeys(inside(table[0])))}"
        for name, table in cases.CONTAINERS.items()
        if name in offered and not fitting_cases(backend, name)
    ]


def _built(backend: Backend, name: str, case: Case, pool: Pool, training: bool) -> Trial:
    """The trial; where the layer cannot even be built, one that raises what that raised."""
    try:
        return layer_trial(backend, name, case, pool, training)
    except Exception as error:  # a broken engine may raise anything
        reason = error

    def run(arrays: Arrays, wanted: Collection[int], lead: Lead | None = None) -> Run:
        raise reason

    arrays = case.draw(pool)
    return Trial(
        name, _words(name, case), arrays, case.numbers, ("its input",), run,
        (lambda _: np.zeros(0),), may_refuse=case.may_refuse,
    )  # fmt: skip


def layer_trial(backend: Backend, name: str, case: Case, pool: Pool, training: bool) -> Trial:
    """The trial of one case; raises what building the layer raises."""
    layer = build(backend, name, case.arguments)
    own = backend.parameters(layer)
    draws = not own and accepts(backend.namespace.layers[name], "rng")
    drawn = [Numbers(array.shape, "signed", 0.7) for array in backend.arrays(list(own.values()))]

    def run(arrays: Arrays, wanted: Collection[int], lead: Lead | None = None) -> Run:
        # One that draws is made anew, so that it draws the same again.
        used = build(backend, name, case.arguments) if draws else layer
        (x,) = tensors_of(backend, arrays[:1], wanted)
        for parameter, array in zip(own.values(), arrays[1:], strict=True):
            assert array is not None
            backend.set_value(parameter, array)
            backend.set_gradient(parameter, None)
        backend.set_training([used], training)
        return Run(used(*led([x], wanted, lead)), (x, *own.values()))

    arrays = (*case.draw(pool), *(numbers.draw(pool) for numbers in drawn))
    return Trial(
        name, _words(name, case), arrays, (*case.numbers, *drawn),
        (f"its input {shape_of(arrays[0])}", *own), run,
        tuple(_oracles(backend, name, case, layer, tuple(own), training)),
        parameters=tuple(range(1, len(arrays))),
        is_known=name in cases.LAYERS or name in cases.CONTAINERS,
        may_refuse=case.may_refuse,
    )  # fmt: skip


def _words(name: str, case: Case) -> str:
    inner = inside(case)
    return f"{case.inputs[0]}, of {' and '.join(inner)}" if inner else str(case)


def _oracles(
    backend: Backend, name: str, case: Case, layer: Layer, names: Sequence[str], training: bool
) -> Iterator[Callable[[Arrays], Array]]:
    """What a layer should give; for a container, given what the layers in it give."""
    if name in JOINED:
        yield lambda arrays: _joined(backend, name, case, arrays)
    for convention in CONVENTIONS.get(name, ()) if not training else ():
        yield partial(_by_convention, convention, names, case.arguments)


def _by_convention(
    convention: Convention, names: Sequence[str], arguments: Mapping[str, Any], arrays: Arrays
) -> Array:
    x, *values = (array for array in arrays if array is not None)
    return convention(x, dict(zip(names, values, strict=True)), arguments)


def _joined(backend: Backend, name: str, case: Case, arrays: Arrays) -> Array:
    """The layers inside one after the other, each with its share of the parameters."""
    x, *values = arrays
    assert x is not None
    h = backend.tensor(x)
    for kind, given in case.arguments["layers"]:
        inner = build(backend, kind, given)
        for parameter in backend.parameters(inner).values():
            value = values.pop(0)
            assert value is not None
            backend.set_value(parameter, value)
        h = inner(h)
    return JOINED[name](x, backend.array(h))
