"""What each function of a backend gives, and what it leaves alone: called once, on a few numbers.

Whoever writes an adapter sees here first which of its functions is not what the others build on.
Whether numbers are right is for the probes of ops, layers and optimizers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np

from harness.arguments import accepts
from harness.backends.base import Backend, EngineTensor, Factory
from harness.backends.printing import caught, first_line
from harness.measurement import Measurement
from harness.probes.global_randomness import states
from harness.probes.runs.stepping import crashed

DTYPES = (np.dtype(np.float32), np.dtype(np.float64), np.dtype(np.int64))
SHAPES: tuple[tuple[int, ...], ...] = ((2, 3), (3,), ())
Array = np.ndarray
ARRAY, GRADIENT, NONE = "array()", "gradient()", "None"
# The learning rate of the first step, and that of the second.
RATES = (0.1, 0.025)


def measure(backend: Backend) -> Iterator[Measurement]:
    """Rows for each function; one that raises stops none of the others."""
    before = states()
    for subject, case in CASES.items():
        rows: list[Measurement] = []
        with caught() as printed:
            rows += _guarded(subject, case, backend)
        yield from rows
        if any(row.subject == ARRAY and row.error for row in rows):
            return  # all others are looked at through it
        text = printed()
        words = f"printed {first_line(text)} to stdout, expected nothing to be printed"
        yield _held(subject, words, not text)
        now = states()
        touched = [name for name, state in now.items() if before[name] != state]
        before = now
        words = f"drew from {' and '.join(touched)}, expected it to be left alone"
        yield _held(subject, words, not touched)


def _guarded(
    subject: str, case: Callable[[Backend], Iterator[Measurement]], backend: Backend
) -> Iterator[Measurement]:
    try:
        yield from case(backend)
    except _CallError as failed:
        yield crashed(failed.subject, failed.words, failed.error)
    except Exception as error:  # an adapter may raise anything
        yield crashed(subject, "raised", error)


class _CallError(Exception):
    """What a call raised that is not the fault of the function that a case is about."""

    def __init__(self, subject: str, words: str, error: Exception) -> None:
        super().__init__(subject)
        self.subject, self.words, self.error = subject, words, error


def _array(backend: Backend, tensor: EngineTensor) -> Any:
    """array() of a tensor; what it raises is its own fault."""
    try:
        return backend.array(tensor)
    except Exception as error:  # an adapter may raise anything
        raise _CallError(ARRAY, "raised", error) from error


def _made(name: str, factory: Factory, *given: Any, **arguments: Any) -> Any:
    """What a factory makes of PyTorch's arguments; what it raises is its own fault."""
    try:
        return factory(*given, **arguments)
    except Exception as error:  # an adapter may raise anything
        told = [f"{key}={value}" for key, value in arguments.items() if key != "rng"]
        words = f"built by {', '.join([*('parameters' for _ in given), *told])}: raised"
        raise _CallError(name, words, error) from error


def _held(subject: str, words: str, is_right: bool) -> Measurement:
    """A row about something that holds or does not; the words say what came and what should."""
    return Measurement(subject, words, math.nan, math.nan, 0.0 if is_right else math.inf)


def _same(
    subject: str, of: str, got: Any, expected: Array, given_by: str = ""
) -> Iterator[Measurement]:
    """Rows about a numpy array that should be equal to another, in shape, dtype and numbers.

    What is no array at all is the fault of the function that it is `given_by`.
    """
    is_array = isinstance(got, np.ndarray)
    words = f"{of} is {_kind(got)}, expected a numpy array"
    yield _held(given_by or subject, words, is_array)
    if is_array:
        words = f"{of} has shape {got.shape}, expected {expected.shape}"
        yield _held(subject, words, got.shape == expected.shape)
        words = f"{of} is of {got.dtype}, expected {expected.dtype}"
        yield _held(subject, words, got.dtype == expected.dtype)
        if got.shape == expected.shape:
            words = f"{of} holds other numbers, expected those that went in"
            yield _held(subject, words, bool(np.all(got == expected)))


def _numbers(shape: tuple[int, ...], dtype: np.dtype, start: int = 1) -> Array:
    """Small numbers, all different; floats with as many digits as their dtype holds."""
    whole = (np.arange(math.prod(shape)) + start).reshape(shape)
    return np.asarray(whole + 0.1 if dtype.kind == "f" else whole, dtype)


def _single(*shape: int, start: int = 1) -> Array:
    return _numbers(shape, DTYPES[0], start)


# --- tensors ----------------------------------------------------------------------------------


def _there_and_back(
    backend: Backend, function: str, make: Callable[[Array], EngineTensor], dtypes: tuple[Any, ...]
) -> Iterator[Measurement]:
    for dtype in dtypes:
        for shape in SHAPES:
            given = _numbers(shape, dtype)
            tensor = make(given)
            of = f"array() of {function}() of a {dtype} array of shape {shape}"
            got = _array(backend, tensor)
            yield from _same(f"{function}()", of, got, _numbers(shape, dtype), ARRAY)
            words = f"changed the {dtype} array that it was given, expected it to be left alone"
            yield _held(f"{function}()", words, np.array_equal(given, _numbers(shape, dtype)))


def _tensor(backend: Backend) -> Iterator[Measurement]:
    yield from _there_and_back(backend, "tensor", backend.tensor, DTYPES)
    turned = _single(2, 3).T
    got = _array(backend, backend.tensor(turned))
    yield from _same("tensor()", "array() of tensor() of a transposed array", got, turned, ARRAY)


def _leaf(backend: Backend) -> Iterator[Measurement]:
    yield from _there_and_back(backend, "leaf", backend.leaf, DTYPES[:2])
    found = backend.gradient(backend.leaf(_single(2, 3)))
    words = f"of a leaf before any backward pass is a {type(found).__name__}, expected None"
    yield _held("gradient()", words, found is None)


def _set_value(backend: Backend) -> Iterator[Measurement]:
    for dtype in DTYPES[:2]:
        leaf, given = backend.leaf(_single(2, 3)), _numbers((2, 3), dtype, 7)
        backend.set_value(leaf, given)
        of = f"array() after set_value() with a {dtype} array"
        yield from _same("set_value()", of, backend.array(leaf), _numbers((2, 3), dtype, 7), ARRAY)
        words = "changed the array that it was given, expected it to be left alone"
        yield _held("set_value()", words, np.array_equal(given, _numbers((2, 3), dtype, 7)))


def _set_gradient(backend: Backend) -> Iterator[Measurement]:
    leaf, given = backend.leaf(_single(2, 3)), _single(2, 3, start=7)
    backend.set_gradient(leaf, given)
    of = "gradient() after set_gradient()"
    found, right = backend.gradient(leaf), _single(2, 3, start=7)
    owner = "set_gradient()"
    if _kind(found) != _kind(right) and _is_odd_anyway(backend):
        owner = GRADIENT
    yield from _same(owner, of, found, right, "" if found is None else GRADIENT)
    yield from _same("set_gradient()", "array() after it", backend.array(leaf), _single(2, 3))
    backend.set_gradient(leaf, None)
    found = backend.gradient(leaf)
    words = f"gradient() after set_gradient(None) is a {type(found).__name__}, expected None"
    yield _held("set_gradient()", words, found is None)


def _together(backend: Backend) -> Iterator[Measurement]:
    """What is asked of several parameters at once is what each says by itself."""
    leaves = [backend.leaf(_single(2, 3)), backend.leaf(_single(4, start=7))]
    one, other = backend.arrays(leaves)
    yield from _same("arrays()", "the first of two", one, _single(2, 3))
    yield from _same("arrays()", "the second of two", other, _single(4, start=7))
    out = np.zeros(10, np.float32)
    backend.copy_values(leaves, out)
    yield from _same("copy_values()", "what it wrote", out, _single(10))
    backend.set_gradient(leaves[1], _single(4, start=7))
    without = backend.copy_gradients(leaves, out)
    zeros = np.zeros(6, np.float32)
    right = np.concatenate([zeros, _single(4, start=7)])
    yield from _same("copy_gradients()", "what it wrote", out, right)
    words = f"gave {without} for two parameters of which the first has none, expected [0]"
    yield _held("copy_gradients()", words, list(without) == [0])


# --- layers -----------------------------------------------------------------------------------


def _layer(backend: Backend) -> Any:
    """A linear layer of three inputs and two outputs; None where the engine has none."""
    factory = backend.namespace.layers.get("Linear")
    if factory is None:
        return None
    return _made("Linear", factory, in_features=3, out_features=2, **_draws(factory))


def _draws(factory: Factory) -> dict[str, Any]:
    return {"rng": np.random.default_rng(0)} if accepts(factory, "rng") else {}


def _parameters(backend: Backend) -> Iterator[Measurement]:
    layer = _layer(backend)
    if layer is None:
        return
    found = backend.parameters(layer)
    words = f"of a Linear is a {type(found).__name__}, expected a dict of tensors by name"
    yield _held("parameters()", words, isinstance(found, Mapping))
    if isinstance(found, Mapping):
        names = list(found)
        words = f"of a Linear has the names {names}, expected weight and perhaps bias"
        yield _held("parameters()", words, set(names) in ({"weight"}, {"weight", "bias"}))
        for what, other in (("asked again", layer), ("of another Linear", _layer(backend))):
            again = list(backend.parameters(other))
            words = f"{what} has the names {again}, expected {names} in the same order"
            yield _held("parameters()", words, again == names)


def _backward(backend: Backend) -> Iterator[Measurement]:
    """What a pass through one layer leaves alone, and the kind of gradient that arrives.

    Whether one arrives is for the probes of layers: only the layer knows what it links to.
    """
    layer = _layer(backend)
    if layer is None:
        return
    own, x, given = backend.parameters(layer), _single(2, 3), _single(2, 2)
    before = {name: np.array(backend.array(each)) for name, each in own.items()}
    output = layer(backend.tensor(x))
    got = np.array(backend.array(output))
    words = f"array() of its output has shape {got.shape}, expected (2, 2)"
    yield _held("Linear", words, got.shape == (2, 2))
    backend.backward(output, given)
    kinds = {name: _kind(backend.gradient(each)) for name, each in own.items()}
    odd = {name: kind for name, kind in kinds.items() if kind != _kind(before[name])}
    owner = GRADIENT if odd and _is_odd_when_set(backend) else "Linear"
    for name, parameter in own.items():
        right = _kind(before[name])
        words = f"gradient() of {name} after backward() is {kinds[name]}, expected {right}"
        is_right = name not in odd or (kinds[name] == NONE and owner == "Linear")
        yield _held(owner, words, is_right)
        yield _untouched(f"the numbers of {name}", backend.array(parameter), before[name])
    yield _untouched("the gradient that it was given", given, _single(2, 2))
    yield _untouched("the inputs", x, _single(2, 3))
    yield _untouched("the output", backend.array(output), got)
    yield from _hands_out_its_own(backend, layer)


def _hands_out_its_own(backend: Backend, layer: Any) -> Iterator[Measurement]:
    """Whether what parameters() gives is what the layer computes with, and no copy."""
    for parameter in backend.parameters(layer).values():
        backend.set_value(parameter, np.zeros_like(backend.array(parameter)))
    asked = [backend.array(each) for each in backend.parameters(layer).values()]
    output = backend.array(layer(backend.tensor(_single(2, 3))))
    is_held = not any(map(np.any, asked))
    words = (
        "parameters() gives copies: they do not hold what set_value() gave them when asked again"
    )
    yield _held("Linear", words, is_held)
    words = "what parameters() gives, set to zeros, does not make its output zeros"
    yield _held("Linear", words, not is_held or not np.any(output))


def _is_odd_anyway(backend: Backend) -> bool:
    """Whether gradient() is no array like its parameter's for some of a layer's, after a pass.

    Then it is not what set_gradient() did.
    """
    try:
        layer = _layer(backend)
        if layer is None:
            return False
        own = list(backend.parameters(layer).values())
        backend.backward(layer(backend.tensor(_single(2, 3))), _single(2, 2))
        return any(_kind(backend.gradient(p)) != _kind(backend.array(p)) for p in own)
    except Exception:  # what it is that raises is told elsewhere
        return False


def _is_odd_when_set(backend: Backend) -> bool:
    """Whether gradient() is no array like the one that set_gradient() was just given."""
    leaf, given = backend.leaf(_single(2, 3)), _single(2, 3)
    backend.set_gradient(leaf, given)
    return _kind(backend.gradient(leaf)) != _kind(given)


def _untouched(what: str, array: Array, before: Array) -> Measurement:
    words = f"backward() changed {what}, which is to be left alone"
    return _held("Linear", words, np.array_equal(array, before))


def _kind(array: Any) -> str:
    """ "float32 (2, 3)" of an array, else what it is."""
    is_array = isinstance(array, np.ndarray)
    none = NONE if array is None else f"a {type(array).__name__}"
    return f"{array.dtype} {array.shape}" if is_array else none


def _set_training(backend: Backend) -> Iterator[Measurement]:
    layers = [each for each in (_layer(backend),) if each is not None]
    for mode in (False, True):
        backend.set_training(layers, mode)
    yield _held("set_training()", "", True)
    factory = backend.namespace.layers.get("Dropout")
    if factory is None or not accepts(factory, "p"):
        return
    pair = [_made("Dropout", factory, p=0.5, **_draws(factory)) for _ in range(2)]
    for mode in (False, True):
        backend.set_training(pair, mode)
        drops = [_drops(backend, each) for each in pair]
        # Both wrong may be the fault of the layer, and is for its own probes.
        which = "first" if drops[0] == mode else "second"
        words = f"({mode}) with two Dropout layers switched only the {which}, expected both"
        yield _held("set_training()", words, drops[0] == drops[1])


def _drops(backend: Backend, layer: Any) -> bool:
    """Whether a Dropout drops any of many numbers; with half of them it cannot drop none."""
    ones = np.ones(64, DTYPES[0])
    return not np.array_equal(backend.array(layer(backend.tensor(ones))), ones)


def _no_grad(backend: Backend) -> Iterator[Measurement]:
    with backend.no_grad():
        pass
    yield _held("no_grad()", "", True)


def _set_lr(backend: Backend) -> Iterator[Measurement]:
    for name, factory in backend.namespace.optimizers.items():
        optimizer = _made(name, factory, [backend.leaf(_single(2, 3))], lr=RATES[0])
        backend.set_lr(optimizer, RATES[1])
    yield _held("set_lr()", "", True)
    if "SGD" in backend.namespace.optimizers:
        yield from _two_steps(backend)


def _two_steps(backend: Backend) -> Iterator[Measurement]:
    """A step of SGD, and one at another rate. Whether a step is right is for the optimizers."""
    leaf, start = backend.leaf(_single(2, 3)), _single(2, 3)
    optimizer = _made("SGD", backend.namespace.optimizers["SGD"], [leaf], lr=RATES[0])
    moved = []
    for rate in RATES:
        if rate != RATES[0]:
            backend.set_lr(optimizer, rate)
        before = np.array(backend.array(leaf))
        backend.set_gradient(leaf, np.ones_like(start))
        optimizer.step()
        moved.append(float(np.mean(before - backend.array(leaf))))
    is_late = all(math.isclose(each, RATES[0], rel_tol=1e-3) for each in moved)
    words = (
        f"with lr={RATES[0]} and a gradient of 1 it moved by {moved[1]:.3g} in the step after "
        f"set_lr({RATES[1]}), expected {RATES[1]}"
    )
    yield _held("SGD", words, not is_late)
    words = f"step() made {_kind(backend.array(leaf))} of {_kind(start)}, expected its dtype kept"
    yield _held("SGD", words, _kind(backend.array(leaf)) == _kind(start))


CASES: Mapping[str, Callable[[Backend], Iterator[Measurement]]] = {
    "tensor() or array()": _tensor,
    "leaf() or gradient()": _leaf,
    "set_value()": _set_value,
    "set_gradient()": _set_gradient,
    "arrays(), copy_values() or copy_gradients()": _together,
    "parameters()": _parameters,
    "backward()": _backward,
    "set_training()": _set_training,
    "no_grad()": _no_grad,
    "set_lr()": _set_lr,
}
