"""Engines with few names, some of them wrong, for tests of probes that look at ops and layers.

A probe takes milliseconds with them.
"""

from __future__ import annotations

from collections.abc import Callable
from copy import copy
from dataclasses import replace
from typing import Any

import numpy as np

from harness.autograd import Tensor
from harness.autograd.function import Function
from harness.backends import load
from harness.backends.base import Backend, Factory
from harness.checks.measured import WIDE
from harness.measurement import Measurement
from harness.probes import examine

PROBES = ("op_values", "op_gradients", "op_manners")
NUMPY: Backend = load("numpy")
Array = np.ndarray
Change = Callable[[Array], Array]


def only(**kinds: dict[str, Factory]) -> Backend:
    """The engine with just these names."""
    backend = copy(NUMPY)
    empty: dict[str, dict[str, Factory]] = {"ops": {}, "layers": {}, "losses": {}}
    backend.namespace = replace(backend.namespace, **{**empty, **kinds})
    return backend


def measured(probe: str, backend: Backend) -> list[Measurement]:
    probed = examine("engine", [probe], backend)
    assert not probed.crashed, probed.crashed
    return probed.measured[probe]


def wrong(rows: list[Measurement]) -> list[str]:
    return list(dict.fromkeys(row.subject for row in rows if not row.error <= WIDE))


def wrong_value(op: Factory, change: Change) -> Factory:
    """The op with another value and the same gradient."""

    def changed(*inputs: Any, **arguments: Any) -> Tensor:
        y: Tensor = op(*inputs, **arguments)
        out = y.from_op(change(y.data), y._grad_fn or Function())
        return out if y._grad_fn else Tensor(out.data)

    return changed


def wrong_gradient(op: Factory, position: int, change: Callable[[Array, Array], Array]) -> Factory:
    """The op with another gradient of one input: change(gradient, grad_output)."""

    def changed(*inputs: Any, **arguments: Any) -> Tensor:
        y: Tensor = op(*inputs, **arguments)
        function = y._grad_fn
        if function is None:
            return y
        right = function.apply

        def apply(grad_output: Array) -> tuple[Array | None, ...]:
            grads = list(right(grad_output))
            at = position % len(grads)
            if (gradient := grads[at]) is not None:
                grads[at] = change(gradient, grad_output)
            return tuple(grads)

        function.apply = apply  # type: ignore[method-assign]
        return y

    return changed
