"""Ops as a tensor itself spells them: `a - b`, `2.5 - a`, `a[1]`, `a.T`, `a.sum(axis=0)`.

What a tensor has no name for, or what it asks an argument for, is not tried. Numpy's arrays spell
the same things alike, so most of these are their own formulas.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend, EngineTensor
from harness.oracles.ops import DEFAULTS, OPS, Formula
from harness.probes.trials import cases
from harness.probes.trials.cases.case import Array, Case, Input, positive, spaced, usual
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.ops import one
from harness.probes.trials.trial import (
    Arrays,
    Lead,
    Run,
    Trial,
    input_names,
    led,
    tensors_of,
)

# A method that hands on to an op needs few of the op's cases to show that it does: so many values
# of each argument.
OF_A_METHOD = 2

# On tensors or on arrays alike.
Spelled = Callable[..., Any]
Oracles = tuple[Callable[[Arrays], Array], ...]


@dataclass(frozen=True)
class Spelling:
    """One expression: `name` is the attribute of a tensor that it calls."""

    name: str
    words: str
    call: Spelled
    inputs: tuple[Input, ...]


_NUMBER = 1.5
# In float32 it is another number, and what is near to it tells.
_UNEVEN = 1000.1
_NEAR = _UNEVEN + np.array([[0.3, -0.7], [1.1, 0.4]])
_MATRIX = np.arange(6.0).reshape(2, 3) - 2.5
_ROWS = np.array([2, 0, 2])
_PAIR: tuple[Input, ...] = ((2, 3, 4), (4,))
_ROW = np.arange(4.0) + 0.5
_POSITIVE: tuple[Input, ...] = (positive(2, 3, 4), positive(3, 1))

SPELLINGS = [
    Spelling("__add__", "a + b", lambda a, b: a + b, _PAIR),
    Spelling("__add__", "a + 1.5", lambda a: a + _NUMBER, ((3, 4),)),
    Spelling("__radd__", "1.5 + a", lambda a: _NUMBER + a, ((3, 4),)),
    Spelling("__radd__", "array + a", lambda a: _ROW.astype(a.dtype) + a, ((3, 4),)),
    Spelling("__sub__", "a - 1000.1", lambda a: a - _UNEVEN, (_NEAR,)),
    Spelling("__sub__", "a - b", lambda a, b: a - b, _PAIR),
    Spelling("__sub__", "a - 1.5", lambda a: a - _NUMBER, ((3, 4),)),
    Spelling("__rsub__", "1.5 - a", lambda a: _NUMBER - a, ((3, 4),)),
    Spelling("__rsub__", "1000.1 - a", lambda a: _UNEVEN - a, (_NEAR,)),
    Spelling("__rsub__", "array - a", lambda a: _ROW.astype(a.dtype) - a, ((3, 4),)),
    Spelling("__mul__", "a * b", lambda a, b: a * b, _PAIR),
    Spelling("__mul__", "a * 1.5", lambda a: a * _NUMBER, ((3, 4),)),
    Spelling("__rmul__", "1.5 * a", lambda a: _NUMBER * a, ((3, 4),)),
    Spelling("__rmul__", "array * a", lambda a: _ROW.astype(a.dtype) * a, ((3, 4),)),
    Spelling("__truediv__", "a / b", lambda a, b: a / b, _POSITIVE),
    Spelling("__truediv__", "a / 1.5", lambda a: a / _NUMBER, ((3, 4),)),
    Spelling("__rtruediv__", "1.5 / a", lambda a: _NUMBER / a, _POSITIVE[:1]),
    Spelling("__rtruediv__", "array / a", lambda a: _ROW.astype(a.dtype) / a, ((3, 4),)),
    Spelling("__pow__", "a ** b", lambda a, b: a**b, _POSITIVE),
    Spelling("__pow__", "a ** 3", lambda a: a**3, ((3, 4),)),
    Spelling("__rpow__", "1.5 ** a", lambda a: _NUMBER**a, ((3, 4),)),
    Spelling("__neg__", "-a", lambda a: -a, ((3, 4),)),
    Spelling("__matmul__", "a @ b", lambda a, b: a @ b, ((2, 3, 4), (4, 5))),
    Spelling("__rmatmul__", "array @ a", lambda a: _MATRIX.astype(a.dtype) @ a, ((3, 4),)),
    Spelling("__getitem__", "a[1]", lambda a: a[1], ((4, 5),)),
    Spelling("__getitem__", "a[:, 1:-1]", lambda a: a[:, 1:-1], ((4, 5),)),
    Spelling("__getitem__", "a[rows]", lambda a: a[_ROWS], ((4, 5),)),
    Spelling("__iter__", "next(iter(a))", lambda a: next(iter(a)), ((3, 4),)),
    Spelling("T", "a.T", lambda a: a.T, ((2, 3, 4),)),
    Spelling("sum", "a.sum(axis=0)", lambda a: a.sum(axis=0), ((3, 4),)),
    Spelling("sum", "a.sum(0)", lambda a: a.sum(0), ((3, 4),)),
    Spelling("mean", "a.mean(0)", lambda a: a.mean(0), ((3, 4),)),
    Spelling("max", "a.max(0)", lambda a: a.max(0), (spaced(3, 4),)),
    Spelling("mean", "a.mean(axis=1)", lambda a: a.mean(axis=1), ((2, 3, 4),)),
    Spelling("max", "a.max(axis=0)", lambda a: a.max(axis=0), (spaced(3, 4),)),
    Spelling("reshape", "a.reshape(2, 6)", lambda a: a.reshape(2, 6), ((3, 4),)),
]


def spelled_trials(backend: Backend, pool: Pool) -> Iterator[list[Trial]]:
    """By attribute of the engine's tensors: expressions, then methods that are named as ops are."""
    tensor = backend.tensor(np.zeros((2, 2)))
    kind = type(tensor)
    by_name: dict[str, list[Trial]] = {}
    for name in DEFAULTS:
        if _asks_for_nothing(getattr(kind, name, None)):
            by_name[name] = [_default(backend, kind, name, pool)]
    for each in SPELLINGS:
        if _offers(kind, each):
            trial = _spelled(backend, kind, each.name, each.words, each.call, each.inputs, pool)
            if not _is_refused(trial):
                trial = replace(trial, oracles=(_on_arrays(each),))
                by_name.setdefault(each.name, []).append(trial)
    for name in backend.namespace.ops:
        method = getattr(kind, name, None)
        if callable(method) and name in cases.OPS:
            some = _telling([case for case in usual(cases.OPS[name]) if _takes(method, case)])
            if trials := [_method(backend, kind, name, method, case, pool) for case in some]:
                by_name.setdefault(name, []).extend(trials)
    for trials in by_name.values():
        ways = max(len(trial.oracles) for trial in trials)
        yield [replace(trial, oracles=_as_many(trial.oracles, ways)) for trial in trials]


def _as_many(oracles: Sequence[Callable[[Arrays], Array]], ways: int) -> Oracles:
    """One for each way to read a name, the same where the way makes no difference."""
    return tuple(oracles[min(way, len(oracles) - 1)] for way in range(ways if oracles else 0))


def _telling(some: Sequence[Case]) -> list[Case]:
    """Cases that show what a method makes of each argument, and of one that is hard."""
    chosen: list[Case] = []
    shown: dict[str, set[str]] = {}
    for case in some:
        values = {name: str(value) for name, value in case.arguments.items()}
        is_new = any(
            value not in shown.get(name, ()) and len(shown.get(name, ())) < OF_A_METHOD
            for name, value in values.items()
        )
        is_hard = case.is_hard and not any(each.is_hard for each in chosen)
        if not chosen or is_new or is_hard:
            chosen.append(case)
            for name, value in values.items():
                shown.setdefault(name, set()).add(value)
    return chosen


def _takes(method: Callable[..., Any], case: Case) -> bool:
    """Whether a method has the op's arguments, by name, or collects what is one of its own.

    `a.sum(axis=0, keepdims=True)` and `a.transpose(2, 0, 1)` are numpy's, and right as such.
    """
    try:
        parameters = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):  # written in another language
        return False
    if any(each.kind is inspect.Parameter.VAR_POSITIONAL for each in parameters):
        values = list(case.arguments.values())
        return not values or (len(values) == 1 and isinstance(values[0], tuple))
    return accepts(method, *case.arguments)


def _offers(kind: type, each: Spelling) -> bool:
    """Whether tensors have it; an array on the left must let them."""
    return hasattr(kind, each.name) and ("array" not in each.words or _comes_first(kind))


def _comes_first(kind: type) -> bool:
    """Whether numpy leaves `array - tensor` to the tensor."""
    if hasattr(kind, "__array_ufunc__"):
        return kind.__array_ufunc__ is None
    return float(getattr(kind, "__array_priority__", 0.0)) > 0.0


def _is_refused(trial: Trial) -> bool:
    """Whether an engine says that its tensors have no such expression."""
    try:
        trial.run(trial.arrays, trial.varied)
    except TypeError:
        return True
    except Exception:  # a broken engine may raise anything; the trial will tell
        return False
    return False


def _asks_for_nothing(method: Any) -> bool:
    """Whether a method can be called without arguments."""
    if not callable(method):
        return False
    try:
        _, *others = inspect.signature(method).parameters.values()
    except (TypeError, ValueError):  # written in another language, or no method
        return False
    optional = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return all(each.default is not each.empty or each.kind in optional for each in others)


def _default(backend: Backend, kind: type, name: str, pool: Pool) -> Trial:
    """A method without arguments: all that it may mean."""
    formulas, given = DEFAULTS[name], (spaced(2, 3, 4) if name == "max" else (2, 3, 4),)
    trial = _spelled(backend, kind, name, f"a.{name}()", lambda a: getattr(a, name)(), given, pool)
    return replace(trial, oracles=tuple(map(_of_one, formulas)))


def _of_one(formula: Formula) -> Callable[[Arrays], Array]:
    return lambda arrays: np.asarray(formula(*arrays))


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
        return Run(one(call(*led(tensors, wanted, lead))), tensors)

    case = Case(inputs)
    arrays = case.draw(pool)
    subject = f"{kind.__name__}.{name}"
    return Trial(subject, words, arrays, case.numbers, input_names(arrays), run)
