"""What dropout owes, as an op and as a layer: how much it drops, which numbers, when, and how it
scales what it leaves.

Bounds are eight standard deviations wide, so that chance is never accused.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.arguments import accepts, may_lack
from harness.backends.base import Backend, EngineTensor, Layer
from harness.measurement import Measurement
from harness.probes.comparing import compared
from harness.probes.rounding import compared_in_single
from harness.probes.trials.cases.pool import Pool

# Examples, places and features: long enough that an axis is not all kept or all dropped by chance.
SHAPE = (8, 12, 16)
OTHER_SHAPE = (5, 12, 16)
P = 0.3
SIGMAS = 8.0
# Of a gradient: another mask is off by far more, and whoever rounds it is not dropout.
ROUGH = 0.01

Array = np.ndarray
# A tensor with some of its numbers dropped, drawn by a generator.
Drop = Callable[[EngineTensor], EngineTensor]
# What drops with a probability, in training or not, by a generator or by one of its own.
Make = Callable[[float, bool, np.random.Generator | None], Drop]


@dataclass(frozen=True)
class _Dropped:
    """One call: what went in, what came out, and the gradients at both ends."""

    x: Array
    y: Array
    cotangent: Array
    gradient: Array

    @property
    def kept(self) -> Array:
        return np.asarray(self.y != 0.0)


def of_op(backend: Backend, name: str, pool: Pool) -> Iterator[Measurement]:
    """Rows for the op, with a generator where it takes one."""
    op = backend.namespace.ops[name]
    if not accepts(op, "p", "training"):
        return

    def drop(p: float, training: bool, rng: np.random.Generator | None) -> Drop:
        draws = {"rng": rng} if rng is not None and accepts(op, "rng") else {}
        return lambda x: op(x, p=p, training=training, **draws)

    yield from _of(backend, name, pool, drop, accepts(op, "rng"))
    yield from _apart(backend, name, pool, drop)
    if may_lack(op, "rng"):
        yield _unseeded(backend, name, drop)


def of_layer(backend: Backend, name: str, pool: Pool) -> Iterator[Measurement]:
    """Rows for the layer, switched to and fro."""
    factory = backend.namespace.layers[name]
    if not accepts(factory, "p"):
        return

    def build(p: float, rng: np.random.Generator | None) -> Layer:
        draws = {"rng": rng} if rng is not None and accepts(factory, "rng") else {}
        return factory(p=p, **draws)

    def drop(p: float, training: bool, rng: np.random.Generator | None) -> Drop:
        layer: Drop = build(p, rng)
        backend.set_training([layer], training)
        return layer

    yield from _of(backend, name, pool, drop, accepts(factory, "rng"))
    yield from _apart(backend, name, pool, drop)
    if may_lack(factory, "rng"):
        yield _unseeded(backend, name, drop)
    layer, other = (build(P, np.random.default_rng(seed)) for seed in (1, 3))
    yield from _switched(backend, name, layer, pool, 1.0)
    yield from _switched(backend, name, layer, pool, 1.0, beside=other)
    # With f(x) for what is inside: f(x) or x + f(x), and the same once more around it.
    for container, factor, twice in (("Sequential", 1.0, 1.0), ("Residual", 2.0, 3.0)):
        if container in backend.namespace.layers:
            around = backend.namespace.layers[container]
            inner = around(build(P, np.random.default_rng(2)))
            yield from _switched(backend, container, inner, pool, factor)
            yield from _switched(backend, container, around(inner), pool, twice)


def _switched(
    backend: Backend,
    name: str,
    layer: Layer,
    pool: Pool,
    factor: float,
    beside: Layer | None = None,
) -> Iterator[Measurement]:
    """What drops in training gives `factor * x` in evaluation, however often it is switched.

    Another one `beside` it is always switched to the opposite.
    """
    x = pool.signed(SHAPE).astype(np.float32)
    with_others = "" if beside is None else ", the opposite of another one"
    for round_ in (f"round {number}{with_others}" for number in (1, 2)):
        backend.set_training([layer], True)
        backend.set_training([] if beside is None else [beside], False)
        y = backend.array(layer(backend.tensor(x.copy())))
        if np.array_equal(y, factor * x):
            what = f"share that is dropped in training, {round_}"
            yield Measurement(name, what, 0.0, P, math.inf)
        backend.set_training([layer], False)
        backend.set_training([] if beside is None else [beside], True)
        y = backend.array(layer(backend.tensor(x.copy())))
        what = f"output of dropout in evaluation, {round_}"
        yield compared_in_single(name, what, y, factor * x, [x])


def _of(
    backend: Backend,
    name: str,
    pool: Pool,
    drop: Make,
    is_seeded: bool,
) -> Iterator[Measurement]:
    x = pool.signed(SHAPE)
    cotangent = pool.signed(SHAPE)

    def call(dropping: Drop) -> _Dropped:
        leaf = backend.leaf(x.copy())
        y = dropping(leaf)
        backend.backward(y, cotangent.copy())
        gradient = backend.gradient(leaf)
        return _Dropped(x, np.array(backend.array(y)), cotangent,
                        np.zeros(SHAPE) if gradient is None else np.array(gradient))  # fmt: skip

    dropping = drop(P, True, np.random.default_rng(1))
    one, two = call(dropping), call(dropping)
    yield from _drops(name, one)
    yield from _spreads(name, one)
    yield _differs(name, "masks of two calls", one, two)
    if is_seeded:
        again, other = (call(drop(P, True, np.random.default_rng(seed))) for seed in (1, 2))
        yield compared(name, "output for the same seed again", again.y, one.y)
        yield _differs(name, "masks of two seeds", one, other)
    for what, p, training, right in (
        ("evaluation", P, False, x),
        ("training with p=0", 0.0, True, x),
        ("training with p=1", 1.0, True, np.zeros(SHAPE)),
    ):
        got = call(drop(p, training, np.random.default_rng(3)))
        yield compared(name, f"output in {what}", got.y, right)
        factor = 0.0 if p == 1.0 else 1.0
        yield _alike(name, f"gradient in {what}", got.gradient, factor * cotangent)


def _apart(backend: Backend, name: str, pool: Pool, drop: Make) -> Iterator[Measurement]:
    """Two in one graph, and another one on other shapes before it is gone back through.

    Each has a mask of its own, to the end.
    """
    x, cotangent = pool.signed(SHAPE), pool.signed(SHAPE)
    leaf = backend.leaf(x.copy())
    inner, outer, other = (drop(P, True, np.random.default_rng(seed)) for seed in (4, 5, 6))
    y = outer(inner(leaf))
    kept = np.asarray(backend.array(y)) != 0.0
    other(backend.leaf(pool.signed(OTHER_SHAPE)))
    backend.backward(y, cotangent.copy())
    gradient = backend.gradient(leaf)
    got = np.zeros(SHAPE) if gradient is None else np.asarray(gradient)
    expected = cotangent * kept / (1.0 - P) ** 2
    yield _alike(name, "gradient through two, with a third called in between", got, expected)


def _unseeded(backend: Backend, name: str, drop: Make) -> Measurement:
    """Without a generator, no two of them draw the same."""
    x = np.ones(SHAPE)
    one, two = (np.asarray(backend.array(drop(P, True, None)(backend.tensor(x.copy()))))
                for _ in range(2))  # fmt: skip
    what = "share in which the masks of two that were given no generator differ"
    return _differing(name, what, one != 0.0, two != 0.0)


def _drops(name: str, got: _Dropped) -> Iterator[Measurement]:
    """About as many as it should, whatever their sign; and scales what is left, both ways."""
    if got.y.shape != got.x.shape:
        yield compared(name, "output", got.y, got.x)
        return
    sigma = math.sqrt(P * (1.0 - P) / got.x.size)
    yield _about(name, f"share dropped with p={P}", float(np.mean(~got.kept)), P, sigma)
    below, above = (float(np.mean(~got.kept[side])) for side in (got.x < 0.0, got.x > 0.0))
    what = f"share of the negative numbers dropped, {above:.3g} of the positive ones"
    yield _about(name, what, below, above, 2.0 * sigma)
    factors = got.kept / (1.0 - P)
    yield compared(name, "output in training", got.y, got.x * factors)
    yield _alike(name, "gradient in training", got.gradient, got.cotangent * factors)


def _alike(name: str, what: str, got: Array, expected: Array) -> Measurement:
    """The row about a gradient by another mask; how large it is, finite differences say."""
    size = float(np.vdot(expected, expected))
    factor = float(np.vdot(got, expected)) / size if size and got.shape == expected.shape else 1.0
    row = compared(name, what, got, expected if factor == 0.0 else factor * expected)
    return replace(row, error=0.0) if row.error <= ROUGH else row


def _about(name: str, what: str, got: float, expected: float, sigma: float) -> Measurement:
    off = abs(got - expected)
    return Measurement(name, what, got, expected, 0.0 if off <= SIGMAS * sigma else off)


def _spreads(name: str, got: _Dropped) -> Iterator[Measurement]:
    """Every number is drawn for itself: no axis is dropped as a whole."""
    for axis in range(got.kept.ndim):
        alike = np.all(got.kept == got.kept.take([0], axis=axis), axis=axis)
        share = float(alike.mean())
        usual = P ** got.kept.shape[axis] + (1.0 - P) ** got.kept.shape[axis]
        what = f"share of lines along axis {axis} of {SHAPE} that are kept or dropped as a whole"
        yield Measurement(name, what, share, usual, 0.0 if share < 0.5 else share)


def _differs(name: str, what: str, one: _Dropped, two: _Dropped) -> Measurement:
    """Two masks of thousands of numbers are never the same by chance."""
    return _differing(name, f"share in which {what} differ", one.kept, two.kept)


def _differing(name: str, what: str, one: Array, two: Array) -> Measurement:
    share = float(np.mean(one != two))
    error = 0.0 if share > 0.0 else math.inf
    return Measurement(name, what, share, 2.0 * P * (1.0 - P), error)
