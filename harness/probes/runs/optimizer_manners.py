"""What every optimizer owes its surroundings, whatever its rule: whom it moves and what it leaves.

`manners` is for one optimizer, `clipping` for what scales gradients before a step.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend, Factory, Parameter
from harness.measurement import Measurement
from harness.oracles.optimizers import CLIP_EPS, RULES, clipped, global_norm
from harness.probes.comparing import compared, missing
from harness.probes.counting import counted
from harness.probes.runs.stepping import Gradients, Recorder, Steps, fitting, row, take

RATE = 0.1
SHAPES = ((2, 3), (2, 3), (3,), (2, 3), ())
DTYPES = (np.float32, np.float64, np.float32, np.float64, np.float32)
# The tensors that bring no gradient, step by step: from the start, in the middle, in turns.
ABSENT = ((0,), (3, 4), (1,), (), (1, 2))
LAYER = "Linear"
CLIP = "clip_grad_norm"
# Units in the last place that a norm and a product may be off by.
UNITS = 100.0


def manners(backend: Backend, name: str, factory: Factory) -> Iterator[Measurement]:
    """Rows about missing gradients, several optimizers or dtypes, zero_grad, and who feels it."""
    for look in MANNERS.values():
        yield from look(backend, name, factory)


def widened(
    backend: Backend,
    name: str,
    what: str,
    parameters: Sequence[Parameter],
    dtypes: Sequence[np.dtype],
) -> Measurement:
    """The row about tensors that were of these dtypes before some steps: they still are."""
    now = [array.dtype for array in backend.arrays(parameters)]
    other = [(was, is_) for was, is_ in zip(dtypes, now, strict=True) if was != is_]
    changed = f", such as {other[0][0]} that became {other[0][1]}" if other else ""
    return counted(name, f"tensors whose dtype a step changed, {what}{changed}", len(other), 0)


def _options(factory: Factory) -> dict[str, float]:
    """Momentum where there is such a thing: what is remembered shows."""
    return {"momentum": 0.9} if accepts(factory, "momentum") else {}


def _arrays(seed: int, shapes: Sequence[tuple[int, ...]] = SHAPES) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    return [np.asarray(rng.standard_normal(shape)) for shape in shapes]


# --- whom a step moves ------------------------------------------------------------------------


def _side_by_side(backend: Backend, name: str, factory: Factory) -> Iterator[Measurement]:
    """Two optimizers in turns, over tensors of equal shapes whose gradients come and go."""
    options = _options(factory)
    sets = [[backend.leaf(each) for each in _arrays(seed)] for seed in (3, 4)]
    optimizers = [factory(parameters, lr=RATE, **options) for parameters in sets]
    recorders = [Recorder(backend, parameters) for parameters in sets]
    for step, absent in enumerate(ABSENT):
        for which, (parameters, optimizer) in enumerate(zip(sets, optimizers, strict=True)):
            gradients: Gradients = _arrays(10 + 2 * step + which)
            if which == 0:
                gradients = [None if i in absent else g for i, g in enumerate(gradients)]
            take(backend, optimizer, parameters, gradients, recorders[which])
    first, second = (recorder.steps([RATE] * len(ABSENT)) for recorder in recorders)
    yield _ruled(name, "some gradients missing", first, options)
    yield _ruled(name, "beside another optimizer", second, options)


def _ruled(name: str, what: str, steps: Steps, options: Mapping[str, float]) -> Measurement:
    """The row against the rule; where none is known, tensors without a gradient stay."""
    if name in RULES:
        rules = (partial(rule, **options) for rule in RULES[name])
        return row(name, what, steps, fitting(steps, ((rule, steps.rates) for rule in rules)))
    sizes = [place.stop - place.start for place in steps.slices]
    moved = np.where(np.repeat(steps.arrived, sizes, axis=1), 0.0, steps.changes)
    return compared(name, f"{what}: change of tensors without one", moved, np.zeros_like(moved))


def _of_two_dtypes(backend: Backend, name: str, factory: Factory) -> Iterator[Measurement]:
    """One optimizer moves tensors of either precision, each in its own."""
    options = _options(factory)
    values = [each.astype(dtype) for each, dtype in zip(_arrays(40), DTYPES, strict=True)]
    parameters = [backend.leaf(value) for value in values]
    optimizer = factory(parameters, lr=RATE, **options)
    own = {
        dtype: [i for i, each in enumerate(DTYPES) if each == dtype]
        for dtype in dict.fromkeys(DTYPES)
    }
    recorders = {
        dtype: Recorder(backend, [parameters[i] for i in which]) for dtype, which in own.items()
    }
    seeds = (41, 42, 43)
    for seed in seeds:
        gradients = [each.astype(dtype) for each, dtype in zip(_arrays(seed), DTYPES, strict=True)]
        for parameter, gradient in zip(parameters, gradients, strict=True):
            backend.set_gradient(parameter, gradient.copy())
        for dtype, recorder in recorders.items():
            recorder.given([gradients[i] for i in own[dtype]])
        optimizer.step()
        for recorder in recorders.values():
            recorder.stepped()
    yield widened(backend, name, "dtypes beside others", parameters, [v.dtype for v in values])
    for dtype, recorder in recorders.items():
        steps = recorder.steps([RATE] * len(seeds))
        what = f"tensors of {np.dtype(dtype)} beside others in one optimizer"
        still = [place for place in steps.slices if not steps.changes[:, place].any()]
        yield (
            missing(name, f"change of {what}", RATE)
            if still
            else _ruled(name, what, steps, options)
        )


def _gradients_are_read_only(
    backend: Backend, name: str, factory: Factory
) -> Iterator[Measurement]:
    """A step leaves the gradients as they are, also those that are laid out otherwise."""
    options = {"weight_decay": 0.5} if accepts(factory, "weight_decay") else {}
    values, gradients = _arrays(5), _arrays(6)
    gradients[1] = np.asfortranarray(gradients[1])
    parameters = [backend.leaf(each) for each in values]
    optimizer = factory(parameters, lr=RATE, **options)
    given = [gradient.copy(order="K") for gradient in gradients]
    for parameter, gradient in zip(parameters, given, strict=True):
        backend.set_gradient(parameter, gradient)
    for _ in range(2):
        optimizer.step()
    kept = [backend.gradient(parameter) for parameter in parameters]
    for what, found in (("gradients after a step", kept), ("arrays given as gradients", given)):
        left = [np.zeros(()) if each is None else each for each in found]
        yield compared(name, what, _joined(left), _joined(gradients))


def _from_new_values(backend: Backend, name: str, factory: Factory) -> Iterator[Measurement]:
    """A step starts from the numbers that are there, also from others than it left itself."""
    # Weight decay would make a step depend on the numbers that it starts from.
    options = {"weight_decay": 0.0} if accepts(factory, "weight_decay") else {}
    changes = []
    for is_replaced in (False, True):
        parameters = [backend.leaf(each) for each in _arrays(25)]
        optimizer = factory(parameters, lr=RATE, **options)
        for gradients in (_arrays(26), _arrays(27)):
            if is_replaced:
                for parameter, value in zip(parameters, _arrays(28), strict=True):
                    backend.set_value(parameter, value)
            before = _joined(backend.arrays(parameters)).copy()
            for parameter, gradient in zip(parameters, gradients, strict=True):
                backend.set_gradient(parameter, gradient)
            optimizer.step()
        changes.append(_joined(backend.arrays(parameters)) - before)
    usual, replaced = changes
    yield compared(name, "change of tensors that were given other numbers", replaced, usual)


def _layer_feels(backend: Backend, name: str, factory: Factory) -> Iterator[Measurement]:
    """A layer computes with what the steps made of its parameters, and hands out the same."""
    if LAYER not in backend.namespace.layers:
        return
    linear = partial(backend.namespace.layers[LAYER], in_features=3, out_features=2)
    try:
        layer, other = linear(), linear()
    except Exception:  # that is the layer's fault, and told as such
        return
    held = list(backend.parameters(layer).values())
    start = [array.copy() for array in backend.arrays(held)]
    dtype, shapes = start[0].dtype, [array.shape for array in start]
    x = backend.tensor(_arrays(9, [(4, 3)])[0].astype(dtype))
    layer(x)  # one that keeps what it has computed must not keep it for ever
    optimizer = factory(held, lr=RATE)
    for seed in (7, 8):
        for parameter, gradient in zip(held, _arrays(seed, shapes), strict=True):
            backend.set_gradient(parameter, gradient.astype(dtype))
        optimizer.step()
    after = backend.arrays(held)
    if any(np.array_equal(now, then) for now, then in zip(after, start, strict=True)):
        yield missing(name, "change of a layer's parameters in two steps", RATE)
    current = backend.arrays(list(backend.parameters(layer).values()))
    what = f"parameters that a layer hands out after two steps of {name}"
    yield compared(LAYER, what, _joined(current), _joined(after))
    for parameter, array in zip(backend.parameters(other).values(), after, strict=True):
        backend.set_value(parameter, array.copy())
    got, expected = (backend.array(each(x)) for each in (layer, other))
    yield compared(LAYER, f"output of a layer after two steps of {name}", got, expected)


# --- what zero_grad leaves --------------------------------------------------------------------


def _zero_grad(backend: Backend, name: str, factory: Factory) -> Iterator[Measurement]:
    """Nothing is left of any gradient, every time, and the numbers stay as they are."""
    values = _arrays(20)
    parameters = [backend.leaf(each.copy()) for each in values]
    optimizer = factory(parameters, lr=RATE)
    for round_, gradients in enumerate((_arrays(21), _arrays(22), _arrays(23)), start=1):
        for parameter, gradient in zip(parameters, gradients, strict=True):
            backend.set_gradient(parameter, gradient)
        optimizer.zero_grad()
        found = [backend.gradient(parameter) for parameter in parameters]
        left = _joined(
            [np.zeros(v.shape) if g is None else g for v, g in zip(values, found, strict=True)]
        )
        what = f"gradients left by zero_grad, call {round_}"
        yield compared(name, what, left, np.zeros_like(left))
    now = _joined(backend.arrays(parameters))
    yield compared(name, "numbers after zero_grad", now, _joined(values))


def _after_zero_grad(backend: Backend, name: str, factory: Factory) -> Iterator[Measurement]:
    """Zeroed gradients are not forgotten steps: what an optimizer remembers outlives them."""
    changes = []
    for is_zeroed in (False, True):
        parameters = [backend.leaf(each) for each in _arrays(50)]
        optimizer = factory(parameters, lr=RATE, **_options(factory))
        for seed in (51, 52, 53):
            if is_zeroed:
                optimizer.zero_grad()
            for parameter, gradient in zip(parameters, _arrays(seed), strict=True):
                backend.set_gradient(parameter, gradient)
            optimizer.step()
        changes.append(_joined(backend.arrays(parameters)) - _joined(_arrays(50)))
    usual, zeroed = changes
    yield compared(name, "change in three steps with zero_grad before each", zeroed, usual)


# By name, what `manners` looks at, one after the other.
MANNERS: Mapping[str, Callable[[Backend, str, Factory], Iterator[Measurement]]] = {
    "side_by_side": _side_by_side,
    "two_dtypes": _of_two_dtypes,
    "gradients_are_read_only": _gradients_are_read_only,
    "zero_grad": _zero_grad,
    "after_zero_grad": _after_zero_grad,
    "layer_feels": _layer_feels,
    "new_values": _from_new_values,
}


# --- clipping ---------------------------------------------------------------------------------


def clipping(backend: Backend) -> Iterator[Measurement]:
    """Rows for norms below, at and above the largest that is allowed, in either precision."""
    for dtype in (np.float64, np.float32):
        yield from clipping_in(backend, dtype)


def clipping_in(backend: Backend, dtype: type[np.floating]) -> Iterator[Measurement]:
    """The rows of one precision."""
    some: list[np.ndarray | None] = [
        np.asarray(size * each, dtype)
        for size, each in zip((30.0, 1e-2, 3.0, 0.3, -5.0), _arrays(30), strict=True)
    ]
    norm = global_norm(some)
    in_dtype = f"in {np.dtype(dtype)}"
    yield _clip(backend, some, 2.0 * norm, f"gradients below the largest norm, {in_dtype}")
    yield _clip(backend, some, 0.1 * norm, f"gradients above the largest norm, {in_dtype}")
    yield _clip(backend, some, 0.9 * norm, f"gradients barely above it, {in_dtype}")
    absent = [None, some[1], some[2], None, some[4]]
    largest = 0.5 * global_norm(absent)
    yield _clip(backend, absent, largest, f"gradients of which some are missing, {in_dtype}")
    single = [np.asarray([3.0, -4.0], dtype)]
    yield _clip(backend, single, 5.0, f"gradients of just the largest norm, {in_dtype}")
    small = [np.asarray([0.3], dtype), np.asarray(-0.4, dtype)]
    yield _clip(backend, small, 2.0, f"gradients below the largest norm and below 1, {in_dtype}")
    yield _clip(backend, small, 0.4, f"gradients above a norm below 1, {in_dtype}")
    zeros = [np.zeros(3, dtype), np.zeros((), dtype)]
    yield _clip(backend, zeros, 1.0, f"gradients of zero, {in_dtype}")


def _clip(backend: Backend, gradients: Gradients, max_norm: float, what: str) -> Measurement:
    """The row of one call."""
    dtype = next(g.dtype for g in gradients if g is not None)
    shapes = [() if g is None else g.shape for g in gradients]
    parameters = [backend.leaf(np.ones(shape, dtype)) for shape in shapes]
    for parameter, gradient in zip(parameters, gradients, strict=True):
        backend.set_gradient(parameter, None if gradient is None else gradient.copy())
    backend.clip_grad_norm(parameters, max_norm)
    now = _joined(backend.arrays(parameters))
    if not (now == 1.0).all():
        return compared(CLIP, f"numbers after clipping {what}", now, np.ones_like(now))
    found = [backend.gradient(parameter) for parameter in parameters]
    readings = (_worst(found, clipped(gradients, max_norm, eps), what) for eps in CLIP_EPS)
    first = next(readings)
    return first if first.error == 0.0 else min(first, *readings, key=lambda row: row.error)


def _worst(found: Gradients, expected: Gradients, what: str) -> Measurement:
    """About the tensor whose gradient is furthest off, beyond what its dtype rounds away."""
    pairs = zip(found, expected, strict=True)
    measured = [_beyond_rounding(got, right, what) for got, right in pairs]
    return max(measured, key=lambda row: row.error)


def _beyond_rounding(got: np.ndarray | None, right: np.ndarray | None, what: str) -> Measurement:
    """One gradient beside what it should be; none is as good as zeros."""
    shape = () if right is None else right.shape
    got = np.zeros(shape) if got is None else got
    right = np.zeros(got.shape) if right is None else right
    row = compared(CLIP, f"{what}, of shape {right.shape}", got, right, floor=0.0)
    return replace(row, error=max(row.error - UNITS * float(np.finfo(got.dtype).eps), 0.0))


def _joined(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """All numbers end to end."""
    return np.concatenate([array.ravel() for array in arrays])
