"""Ops as a tensor itself spells them: `a - b`, `2.5 - a`, `a[1]`, `a.T`, `a.sum(axis=0)`.

What a tensor has no name for is not tried. Numpy's arrays spell the same things alike, so most
of these are their own formulas.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.backends.base import Backend, EngineTensor
from harness.oracles.ops import OPS, Formula
from harness.probes.trials import cases
from harness.probes.trials.cases.case import Array, Case, Input, positive, spaced
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.trial import Arrays, Lead, Run, Trial, input_names, led, tensors_of

# A method that hands on to an op needs few of the op's cases to show that it does.
OF_A_METHOD = 2

# On tensors or on arrays alike.
Spelled = Callable[..., Any]


@dataclass(frozen=True)
class Spelling:
    """One expression: `name` is the attribute of a tensor that it calls."""

    name: str
    words: str
    call: Spelled
    inputs: tuple[Input, ...]


_NUMBER = 1.5
_MATRIX = np.arange(6.0).reshape(2, 3) - 2.5
_ROWS = np.array([2, 0, 2])
_PAIR: tuple[Input, ...] = ((2, 3, 4), (4,))
_POSITIVE: tuple[Input, ...] = (positive(2, 3, 4), positive(3, 1))

SPELLINGS = [
    Spelling("__add__", "a + b", lambda a, b: a + b, _PAIR),
    Spelling("__add__", "a + 1.5", lambda a: a + _NUMBER, ((3, 4),)),
    Spelling("__radd__", "1.5 + a", lambda a: _NUMBER + a, ((3, 4),)),
    Spelling("__sub__", "a - b", lambda a, b: a - b, _PAIR),
    Spelling("__sub__", "a - 1.5", lambda a: a - _NUMBER, ((3, 4),)),
    Spelling("__rsub__", "1.5 - a", lambda a: _NUMBER - a, ((3, 4),)),
    Spelling("__mul__", "a * b", lambda a, b: a * b, _PAIR),
    Spelling("__mul__", "a * 1.5", lambda a: a * _NUMBER, ((3, 4),)),
    Spelling("__rmul__", "1.5 * a", lambda a: _NUMBER * a, ((3, 4),)),
    Spelling("__truediv__", "a / b", lambda a, b: a / b, _POSITIVE),
    Spelling("__truediv__", "a / 1.5", lambda a: a / _NUMBER, ((3, 4),)),
    Spelling("__rtruediv__", "1.5 / a", lambda a: _NUMBER / a, _POSITIVE[:1]),
    Spelling("__pow__", "a ** b", lambda a, b: a**b, _POSITIVE),
    Spelling("__pow__", "a ** 3", lambda a: a**3, ((3, 4),)),
    Spelling("__rpow__", "1.5 ** a", lambda a: _NUMBER**a, ((3, 4),)),
    Spelling("__neg__", "-a", lambda a: -a, ((3, 4),)),
    Spelling("__matmul__", "a @ b", lambda a, b: a @ b, ((2, 3, 4), (4, 5))),
    Spelling("__rmatmul__", "array @ a", lambda a: _MATRIX.astype(a.dtype) @ a, ((3, 4),)),
    Spelling("__getitem__", "a[1]", lambda a: a[1], ((4, 5),)),
    Spelling("__getitem__", "a[:, 1:-1]", lambda a: a[:, 1:-1], ((4, 5),)),
    Spelling("__getitem__", "a[rows]", lambda a: a[_ROWS], ((4, 5),)),
    Spelling("T", "a.T", lambda a: a.T, ((2, 3, 4),)),
    Spelling("sum", "a.sum(axis=0)", lambda a: a.sum(axis=0), ((3, 4),)),
    Spelling("mean", "a.mean(axis=1)", lambda a: a.mean(axis=1), ((2, 3, 4),)),
    Spelling("max", "a.max(axis=0)", lambda a: a.max(axis=0), (spaced(3, 4),)),
    Spelling("reshape", "a.reshape(2, 6)", lambda a: a.reshape(2, 6), ((3, 4),)),
]


def spelled_trials(backend: Backend, pool: Pool) -> Iterator[list[Trial]]:
    """By attribute of the engine's tensors: expressions, then methods that are named as ops are."""
    tensor = backend.tensor(np.zeros((2, 2)))
    kind = type(tensor)
    by_name: dict[str, list[Trial]] = {}
    for each in SPELLINGS:
        if _offers(kind, each):
            trial = _spelled(backend, kind, each.name, each.words, each.call, each.inputs, pool)
            by_name.setdefault(each.name, []).append(replace(trial, oracles=(_on_arrays(each),)))
    for name in backend.namespace.ops:
        method = getattr(kind, name, None)
        if callable(method) and name in cases.OPS:
            some = cases.OPS[name][:OF_A_METHOD]
            trials = [_method(backend, kind, name, method, case, pool) for case in some]
            by_name.setdefault(name, []).extend(trials)
    yield from by_name.values()


def _offers(kind: type, each: Spelling) -> bool:
    """Whether tensors have it; an array on the left must let them."""
    lets = each.name != "__rmatmul__" or getattr(kind, "__array_ufunc__", object()) is None
    return hasattr(kind, each.name) and lets


def _on_arrays(each: Spelling) -> Callable[[Arrays], Array]:
    return lambda arrays: np.asarray(each.call(*arrays))


def _method(
    backend: Backend, kind: type, name: str, method: Callable[..., Any], case: Case, pool: Pool
) -> Trial:
    """A case of an op as a method of its first input."""
    takes_any = any(
        each.kind is inspect.Parameter.VAR_POSITIONAL
        for each in inspect.signature(method).parameters.values()
    )
    after = tuple(case.arguments.values()) if takes_any else ()
    named = {} if takes_any else dict(case.arguments)

    def call(tensor: EngineTensor, *others: EngineTensor) -> EngineTensor:
        return getattr(tensor, name)(*others, *after, **named)

    def oracle(formula: Formula) -> Callable[[Arrays], Array]:
        return lambda arrays: np.asarray(formula(*arrays, **case.arguments))

    words = f"a.{name} for {case}"
    trial = _spelled(backend, kind, name, words, call, case.inputs, pool)
    return replace(trial, oracles=tuple(map(oracle, OPS.get(name, ()))))


def _spelled(
    backend: Backend,
    kind: type,
    name: str,
    words: str,
    call: Spelled,
    inputs: tuple[Input, ...],
    pool: Pool,
) -> Trial:
    def run(arrays: Arrays, wanted: Collection[int], lead: Lead | None = None) -> Run:
        tensors = tensors_of(backend, arrays, wanted)
        return Run(call(*led(tensors, wanted, lead)), tensors)

    case = Case(inputs)
    arrays = case.draw(pool)
    subject = f"{kind.__name__}.{name}"
    return Trial(subject, words, arrays, case.numbers, input_names(arrays), run)
