"""What every layer owes: to draw from its own generator, heed no mode for nothing, list tensors."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend
from harness.measurement import Measurement
from harness.probes import global_randomness
from harness.probes.comparing import compared
from harness.probes.counting import counted
from harness.probes.trials import cases
from harness.probes.trials.cases.case import Case
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.layers import build, fitting_cases

# In training these do something else than in evaluation.
MODAL = ("Dropout",)
# A layer with tensors that fits behind itself.
REPEATED = ("Linear", {"in_features": 3, "out_features": 3})


def modes(backend: Backend, name: str, pool: Pool) -> Iterator[Measurement]:
    """The same output in training, in evaluation and in training again."""
    case = _first_case(backend, name)
    if case is not None and name not in MODAL:
        yield _modes(backend, name, case, pool)


def draws(backend: Backend, name: str, pool: Pool) -> Iterator[Measurement]:
    """The same numbers for the same seed, others for another, and nothing from elsewhere."""
    case = _first_case(backend, name)
    if case is None or not accepts(backend.namespace.layers[name], "rng"):
        return
    (x,) = (array for array in case.draw(pool) if array is not None)
    before = global_randomness.states()
    one, same, other = (_drawn(backend, name, case, x, seed) for seed in (1, 1, 2))
    for source, state in global_randomness.states().items():
        moved = float(state != before[source])
        error = math.inf if moved else 0.0
        yield Measurement(name, f"draws from {source} when it is built", moved, 0.0, error)
    for what, values in one.items():
        yield compared(name, f"{what} for the same seed again", same[what], values)
        is_drawn = bool(values.size > 1 and np.ptp(values) > 0.0)
        if is_drawn and np.array_equal(values, other[what]):
            yield Measurement(name, f"{what} for another seed: the same", 0.0, 1.0, math.inf)


def lists(backend: Backend, name: str, pool: Pool) -> Iterator[Measurement]:
    """A container lists every tensor, and each once, also of a layer that is in it twice."""
    if name not in cases.CONTAINERS or REPEATED[0] not in backend.namespace.layers:
        return
    inner = build(backend, *REPEATED)
    own = list(backend.parameters(inner).values())
    if {*map(id, own)} != {*map(id, backend.parameters(inner).values())}:
        return  # the layer hands out others every time, which is no fault of its container
    listed = list(backend.parameters(backend.namespace.layers[name](inner, inner)).values())
    what = "tensors that it lists of a layer that is in it twice"
    yield counted(name, what, len(listed), len(own))
    unlisted = set(map(id, own)) - set(map(id, listed))
    yield counted(name, "tensors of a layer in it that it does not list", len(unlisted), 0)
    yield _nested(backend, name)


def _nested(backend: Backend, name: str) -> Measurement:
    """A container in it, before a layer of its own: all that is in either."""
    inner, beside = build(backend, *REPEATED), build(backend, *REPEATED)
    around = backend.namespace.layers[name]
    listed = list(backend.parameters(around(around(inner), beside)).values())
    own = [t for layer in (inner, beside) for t in backend.parameters(layer).values()]
    missing = (
        len(set(map(id, own)) ^ set(map(id, listed))) + len(listed) - len(set(map(id, listed)))
    )
    return counted(name, "tensors that it lists wrongly where one is in another", missing, 0)


def _first_case(backend: Backend, name: str) -> Case | None:
    return next(iter(fitting_cases(backend, name)), None)


def _drawn(
    backend: Backend, name: str, case: Case, x: np.ndarray, seed: int
) -> Mapping[str, np.ndarray]:
    """Parameters by name, or the output of a layer without any."""
    layer = build(backend, name, case.arguments, seed)
    own = backend.parameters(layer)
    if own:
        return dict(zip(own, map(np.array, backend.arrays(list(own.values()))), strict=True))
    backend.set_training([layer], True)
    return {"output": np.array(backend.array(layer(backend.tensor(x.copy()))))}


def _modes(backend: Backend, name: str, case: Case, pool: Pool) -> Measurement:
    """The same output in training, in evaluation and in training again."""
    layer = build(backend, name, case.arguments)
    (x,) = (array for array in case.draw(pool) if array is not None)
    outputs = []
    for mode in (True, False, True):
        backend.set_training([layer], mode)
        with backend.no_grad():
            given = x.astype(np.float32) if x.dtype.kind == "f" else x.copy()
            outputs.append(np.array(backend.array(layer(backend.tensor(given)))))
    trained, evaluated, again = outputs
    row = compared(name, "output in evaluation beside that in training", evaluated, trained)
    if row.error > 0.0:
        return row
    return compared(name, "output in training after evaluation", again, trained)
