"""What the gradients of several uses, outputs and backward passes come to: they add up.

Each case has a closed form. Engines without ops are looked at through a layer and a loss.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend
from harness.measurement import Measurement, NotMeasurableError
from harness.probes.comparing import compared
from harness.probes.counting import counted
from harness.probes.runs.stepping import crashed
from harness.probes.trials.uses import (
    ROUNDED,
    SHAPE,
    TAPE,
    arrived,
    equal_linear,
    has_arithmetic,
    layer_used_twice,
    numbers,
    rows,
    used_often,
    used_once,
)

Case = Callable[[Backend], Iterable[Measurement]]


def measure(backend: Backend) -> Iterator[Measurement]:
    """Rows for uses within one graph, for several passes, and for what a pass leaves alone."""
    for case in OF_LAYERS.values():
        yield from _guarded(case, backend)
    if has_arithmetic(backend):
        once = list(_guarded(used_once, backend))
        yield from once
        if all(row.error <= ROUNDED for row in once):  # else the rest would only say it again
            for case in (*OF_ARITHMETIC.values(), *OF_OPTIMIZERS.values()):
                yield from _guarded(case, backend)


def _guarded(case: Case, backend: Backend) -> Iterator[Measurement]:
    """The rows of a case; one that raises stops none of the others.

    Nothing where the engine cannot tell, as one may that keeps no gradients inside a model.
    """
    try:
        yield from case(backend)
    except NotMeasurableError:
        return
    except Exception as error:  # a broken engine may raise anything
        yield crashed(TAPE, " ".join((case.__doc__ or "").split()).rstrip("."), error)


# --- several passes ---------------------------------------------------------------------------


def _passes(backend: Backend) -> Iterator[Measurement]:
    """Each backward pass adds to what is there, until it is forgotten."""
    mul = backend.namespace.ops["mul"]
    a, b, c, g = numbers(4, seed=1)
    leaves = {"x": backend.leaf(a.copy()), "y": backend.leaf(b)}
    x, y = leaves.values()
    once = {"x": g * b, "y": g * a}
    for count in (1, 2, 3):
        given = g.copy()
        backend.backward(mul(x, y), given)
        expected = {name: count * each for name, each in once.items()}
        yield from rows(backend, f"x * y, pass {count}", leaves, expected)
        yield compared(TAPE, "the gradient that it was given", given, g)
    backend.backward(mul(x, backend.leaf(c)), g)
    both = {"x": 3 * once["x"] + g * c, "y": 3 * once["y"]}
    yield from rows(backend, "another loss that uses x only", leaves, both)
    for leaf in leaves.values():
        backend.set_gradient(leaf, None)
    backend.backward(mul(x, y), g)
    yield from rows(backend, "x * y after its gradient was forgotten", leaves, once)
    backend.set_gradient(x, c.copy())
    backend.backward(mul(x, y), g)
    expected = {"x": c + once["x"], "y": 2 * once["y"]}
    yield from rows(backend, "x * y on a gradient that was put there", leaves, expected)
    yield compared(TAPE, "numbers of x after all passes", backend.array(x), a)


def _in_the_middle(backend: Backend) -> Iterator[Measurement]:
    """A gradient that is kept where an op made something counts all uses of that."""
    add, mul = backend.namespace.ops["add"], backend.namespace.ops["mul"]
    a, b, c, g = numbers(4, seed=10)
    h = mul(backend.leaf(a), backend.leaf(b))
    backend.keep_gradient(h)
    backend.backward(add(mul(h, backend.leaf(c)), add(h, mul(h, h))), g)
    expected = {"h": g * (c + 1 + 2 * a * b)}
    yield from rows(backend, "h * z + h + h * h with h = x * y", {"h": h}, expected)


def _not_finite(backend: Backend) -> Iterator[Measurement]:
    """What is not a number stays that on the way back: whoever hides it hides what went wrong."""
    x, odd = backend.leaf(np.ones(3)), np.array([np.nan, np.inf, 1.0])
    try:
        backend.backward(backend.namespace.ops["mul"](x, backend.leaf(np.ones(3))), odd)
    except (ArithmeticError, ValueError):  # it says so: better still
        return
    (got,) = arrived(backend, [x])
    hidden = int(np.isfinite(got[:2]).sum())
    yield counted(TAPE, "numbers of a gradient of NaN and inf that became finite", hidden, 0)


def _two_outputs(backend: Backend) -> Iterator[Measurement]:
    """Two outputs of one graph, one pass from each: both count."""
    add, mul = backend.namespace.ops["add"], backend.namespace.ops["mul"]
    a, b, c, d, g, k = numbers(6, seed=2)
    leaves = {name: backend.leaf(each) for name, each in zip("abcd", (a, b, c, d), strict=True)}
    shared = add(leaves["a"], leaves["b"])  # keeps nothing: may be passed twice in any engine
    first, second = mul(shared, leaves["c"]), mul(shared, leaves["d"])
    backend.backward(first, g)
    nothing, h = np.zeros(SHAPE), a + b
    one = {"a": g * c, "b": g * c, "c": g * h, "d": nothing}
    yield from rows(backend, "one of two outputs", leaves, one)
    backend.backward(second, k)
    both = {"a": g * c + k * d, "b": g * c + k * d, "c": g * h, "d": k * h}
    yield from rows(backend, "both of two outputs", leaves, both)


def _half_batches(backend: Backend) -> Iterator[Measurement]:
    """The passes of two halves of a batch come to the sum of both."""
    if "Linear" not in backend.namespace.layers or "MSELoss" not in backend.namespace.losses:
        return
    x, y = numbers(1, seed=7, shape=(6, 3))[0], numbers(1, seed=8, shape=(6, 2))[0]
    mean = backend.namespace.losses["MSELoss"]()
    layers = [equal_linear(backend, 3, 2) for _ in range(3)]
    halves = slice(0, 3), slice(3, 6)
    # The first layer gets both halves, the others one each.
    for layer, half in zip((layers[0], *layers), (*halves, *halves), strict=True):
        backend.backward(mean(layer(backend.tensor(x[half])), backend.tensor(y[half])))
    both, one, other = (
        arrived(backend, list(backend.parameters(layer).values())) for layer in layers
    )
    for name, *found in zip(backend.parameters(layers[0]), both, one, other, strict=True):
        what = f"gradient of {name} of two half batches"
        yield compared(TAPE, what, found[0], found[1] + found[2])


# --- what a pass leaves alone -----------------------------------------------------------------


def _bystanders(backend: Backend) -> Iterator[Measurement]:
    """A pass through one graph leaves all others alone."""
    add, mul = backend.namespace.ops["add"], backend.namespace.ops["mul"]
    a, b, c, g = numbers(4, seed=3)
    leaves = {name: backend.leaf(each) for name, each in zip("xyz", (a, b, c), strict=True)}
    x, y, z = leaves.values()
    other = mul(z, z)
    backend.backward(add(x, y), g)
    yield from rows(backend, "x + y, beside z * z", leaves, {"x": g, "y": g, "z": 0 * g})
    backend.backward(other, g)
    right = {"x": g, "y": g, "z": 2 * c * g}
    yield from rows(backend, "z * z, after x + y", leaves, right)


def _clipped(backend: Backend) -> Iterator[Measurement]:
    """What scales gradients scales each once, also where two have come from one op."""
    a, b, g = numbers(3, seed=3)
    from_op, by_hand = ([backend.leaf(each) for each in (a, b)] for _ in range(2))
    backend.backward(backend.namespace.ops["add"](*from_op), g)
    for leaf in by_hand:
        backend.set_gradient(leaf, g.copy())
    for leaves in (from_op, by_hand):
        backend.clip_grad_norm(leaves, 0.5 * float(np.linalg.norm(g)))
    pairs = zip("xy", arrived(backend, from_op), arrived(backend, by_hand), strict=True)
    for name, got, right in pairs:
        yield compared(TAPE, f"gradient of {name} in x + y, clipped", got, right)


def _after_no_grad(backend: Backend) -> Iterator[Measurement]:
    """Nothing arrives from inside no_grad, and everything after it, however it was left."""
    if type(backend).no_grad is Backend.no_grad:
        raise NotMeasurableError(f"{backend.name} has no way to want no gradients")
    mul = backend.namespace.ops["mul"]
    a, b, g = numbers(3, seed=4)
    leaves = {"x": backend.leaf(a), "y": backend.leaf(b)}
    x, y = leaves.values()
    with backend.no_grad():
        inside = mul(x, y)
        with backend.no_grad():
            pass
        still_inside = mul(x, y)
    for each in (inside, still_inside):
        backend.backward(each, g)
    nothing = {"x": np.zeros(SHAPE), "y": np.zeros(SHAPE)}
    yield from rows(backend, "x * y inside no_grad", leaves, nothing)
    try:
        with backend.no_grad():
            raise LookupError
    except LookupError:
        pass
    backend.backward(mul(x, y), g)
    right = {"x": g * b, "y": g * a}
    yield from rows(backend, "x * y after no_grad", leaves, right)


def _with_optimizer(backend: Backend) -> Iterator[Measurement]:
    """Gradients add up just so when the tensors belong to an optimizer, and start anew after it.

    What is wrong only after a step or zero_grad, the optimizer has done.
    """
    mul, decay = backend.namespace.ops["mul"], {"weight_decay": 0.5}
    for name, factory in backend.namespace.optimizers.items():
        a, b, g = numbers(3, seed=5)
        leaves = {"x": backend.leaf(a), "y": backend.leaf(b)}
        x, y = leaves.values()
        optimizer = factory([x, y], lr=0.1, **(decay if accepts(factory, *decay) else {}))
        for step, subject in ((1, TAPE), (2, name)):
            a, b = (array.copy() for array in backend.arrays([x, y]))
            for _ in range(2):
                backend.backward(mul(x, y), g)
            right = {"x": 2 * g * b, "y": 2 * g * a}
            what = f"two passes of x * y before step {step} of {name}"
            yield from rows(backend, what, leaves, right, subject)
            optimizer.step()
            yield from rows(backend, f"x * y after step {step} of {name}", leaves, right, name)
            optimizer.zero_grad()


# By name, cases that need layers, ops, or ops and optimizers; after `used_once`.
OF_LAYERS: Mapping[str, Case] = {
    "layer_used_twice": layer_used_twice,
    "half_batches": _half_batches,
}
OF_ARITHMETIC: Mapping[str, Case] = {
    "used_often": used_often,
    "in_the_middle": _in_the_middle,
    "passes": _passes,
    "not_finite": _not_finite,
    "two_outputs": _two_outputs,
    "bystanders": _bystanders,
    "clipped": _clipped,
    "after_no_grad": _after_no_grad,
}
OF_OPTIMIZERS: Mapping[str, Case] = {"with_optimizer": _with_optimizer}
