"""The trials of ops, and of losses, which are ops as objects."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend, EngineTensor
from harness.oracles.ops import LOSSES, OPS, Formula
from harness.probes.trials import cases
from harness.probes.trials.cases.case import Array, Case, usual
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.trial import (
    GUESSES,
    Arrays,
    Lead,
    Run,
    Trial,
    input_names,
    led,
    tensors_of,
)


def _in_order(op: Callable[..., Any], inputs: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
    return op(*inputs, **arguments)


def _as_a_list(op: Callable[..., Any], inputs: Sequence[Any], arguments: Mapping[str, Any]) -> Any:
    return op(list(inputs), **arguments)


def _affine_by_name(
    op: Callable[..., Any], inputs: Sequence[Any], arguments: Mapping[str, Any]
) -> Any:
    x, weight, bias = inputs
    return op(x, weight=weight, bias=bias, **arguments)


# How an op is called, and its formula alike, where `op(*inputs, **arguments)` does not do.
_CALLS = {"concatenate": _as_a_list, "cat": _as_a_list, "layer_norm": _affine_by_name}


def op_trials(backend: Backend, name: str, pool: Pool, every: int = 1) -> list[Trial]:
    """One trial for every so many-th case, where the op takes its arguments.

    The large ones come last, and where every case is asked for.
    """
    op = backend.namespace.ops[name]
    large = cases.LARGE.get(name, []) if every == 1 else []
    some = [(case, False) for case in usual(cases.OPS.get(name, GUESSES))[::every]]
    return [
        op_trial(backend, name, case, pool, is_large)
        for case, is_large in (*some, *((case, True) for case in large))
        if accepts(op, *case.arguments, *case.tensors)
    ]


def op_trial(backend: Backend, name: str, case: Case, pool: Pool, is_large: bool = False) -> Trial:
    """The trial of one case, which takes arguments that the op has."""
    op = backend.namespace.ops[name]
    call = _CALLS.get(name, _in_order)
    is_seeded = any(map(callable, case.arguments.values()))

    def twice(function: Callable[..., Any], inputs: Sequence[Any], given: Mapping[str, Any]) -> Any:
        arguments = case.arguments
        if is_seeded:
            arguments = {key: v() if callable(v) else v for key, v in arguments.items()}
        inputs = inputs if case.copies == 1 else list(inputs) * case.copies
        y = call(function, inputs, {**arguments, **given} if given else arguments)
        return y if case.then is None else call(function, [one(y)], case.then)

    def run(arrays: Arrays, wanted: Collection[int], lead: Lead | None = None) -> Run:
        tensors = tensors_of(backend, arrays, wanted)
        inputs = led(tensors, wanted, lead)
        given = {key: backend.tensor(array) for key, array in case.tensors.items()}
        return Run(one(twice(op, inputs, given)), tensors)

    def oracle(formula: Formula) -> Callable[[Arrays], Array]:
        return lambda arrays: np.asarray(twice(formula, arrays, case.tensors))

    arrays = case.draw(pool)
    return Trial(
        name, str(case), arrays, case.numbers,
        input_names(arrays), run, tuple(oracle(formula) for formula in OPS.get(name, ())),
        is_op=True, is_known=name in cases.OPS, may_refuse=case.may_refuse,
        fans_out=case.copies > 1, is_large=is_large,
    )  # fmt: skip


def one(output: Any) -> EngineTensor:
    """The numbers of an op that also says where they stand, as PyTorch's max does."""
    return output[0] if isinstance(output, tuple) else output


def loss_trials(backend: Backend, name: str, pool: Pool, every: int = 1) -> list[Trial]:
    """Every so many-th case of the op that a loss is, through the object."""
    factory = backend.namespace.losses[name]
    return [
        loss_trial(backend, name, case, pool)
        for case in usual(cases.OPS.get(LOSSES.get(name, ""), GUESSES))[::every]
        if accepts(factory, *case.arguments)
    ]


def loss_trial(backend: Backend, name: str, case: Case, pool: Pool) -> Trial:
    """The trial of one case."""
    factory, op = backend.namespace.losses[name], LOSSES.get(name, "")

    def run(arrays: Arrays, wanted: Collection[int], lead: Lead | None = None) -> Run:
        tensors = tensors_of(backend, arrays, wanted)
        inputs = led(tensors, wanted, lead)
        return Run(factory(**case.arguments)(*inputs), tensors)

    def oracle(formula: Formula) -> Callable[[Arrays], Array]:
        return lambda arrays: np.asarray(formula(*arrays, **case.arguments))

    arrays = case.draw(pool)
    return Trial(
        name, str(case), arrays, case.numbers,
        input_names(arrays), run, tuple(oracle(formula) for formula in OPS.get(op, ())),
        is_known=bool(op), may_refuse=case.may_refuse or not op,
    )  # fmt: skip
