"""Every layer's output, and the whole model's, against the closed forms of `harness.oracles`."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from harness.backends.base import Backend, Parameter
from harness.config import LayerSpec
from harness.measurement import Measurement, NotMeasurableError
from harness.model import Model, Node
from harness.oracles.formulas import softmax
from harness.oracles.layers import CONTAINERS, LAYERS, Convention
from harness.probes.comparing import compared
from harness.probes.counting import counted
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import Stop, leaves, output, specs, walk

# More than the rounding of float64 in a layer: worth asking what was left out.
NOTICEABLE = 1e-9
# A guess explains an output when it is off by so much less than what was expected.
EXPLAINS = 1e-6

# Words for what may have happened, and what it would have given.
Guess = tuple[str, Callable[[], np.ndarray]]
# What a container makes of its input and of what came of the layers in it.
Join = Callable[[np.ndarray, np.ndarray], np.ndarray]


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """One row for each layer, on the engine's own input to it, and one for the whole model.

    Before them, one for each label. In float64, away from the initial point, in evaluation mode.
    """
    x, _ = specimen.examples(specimen.config.training.batch_size)
    model = specimen.wide_model()
    model.set_training(False)
    yield from _labels(model)
    stops = walk(model, specimen.wide(x))
    if not any(stop.node.type in LAYERS for stop in stops):
        raise NotMeasurableError("no formula is known for any of its layers")
    yield from _layers(model, stops, specs(specimen.config.layers))
    yield _whole(specimen, model, x, stops)


def _labels(model: Model) -> Iterator[Measurement]:
    """Whether a label stands for a tensor that the layers have under another name.

    Tensors are told apart by their numbers; what no layer has is for others to say.
    """
    backend = model.backend
    own = {
        f"{leaf.label}.{name}": parameter
        for node in model.nodes
        for leaf in node.leaves()
        for name, parameter in backend.parameters(leaf.layer).items()
    }
    meant = {name: _key(array) for name, array in _numbers(backend, own).items()}
    for label, array in _numbers(backend, model.parameters).items():
        others = {key for name, key in meant.items() if name != label}
        is_crossed = _key(array) in others and _key(array) != meant.get(label)
        yield counted(label, "labels that stand for another tensor", int(is_crossed), 0)


def _numbers(backend: Backend, parameters: Mapping[str, Parameter]) -> dict[str, np.ndarray]:
    return dict(zip(parameters, backend.arrays([*parameters.values()]), strict=True))


def _key(array: np.ndarray) -> tuple[tuple[int, ...], bytes]:
    return array.shape, array.tobytes()


def _layers(
    model: Model, stops: Sequence[Stop], declared: Mapping[str, LayerSpec]
) -> Iterator[Measurement]:
    found: dict[str, Measurement] = {}
    for kind in dict.fromkeys(stop.node.type for stop in leaves(stops)):
        alike = [stop for stop in leaves(stops) if stop.node.type == kind]
        rows = _of_one_type(model, kind, alike, declared)
        found |= {stop.name: row for stop, row in zip(alike, rows, strict=True)}
    for stop in stops:
        yield found[stop.name] if stop.name in found else _container(model, stop)


def _of_one_type(
    model: Model, kind: str, stops: Sequence[Stop], declared: Mapping[str, LayerSpec]
) -> list[Measurement]:
    """The rows under the one convention that fits all layers of a type best."""
    if kind not in LAYERS:
        what = "of which no formula is known"
        return [Measurement(kind, f"{_what(s)}, {what}", math.nan, math.nan, 0.0) for s in stops]
    tried = [
        [_compared(model, convention, stop, declared) for stop in stops]
        for convention in LAYERS[kind]
    ]
    return min(tried, key=lambda rows: sum(min(row.error, 1.0) for row in rows))


def _compared(
    model: Model, convention: Convention, stop: Stop, declared: Mapping[str, LayerSpec]
) -> Measurement:
    backend, node = model.backend, stop.node
    own = backend.parameters(node.layer)
    parameters = dict(zip(own, backend.arrays(list(own.values())), strict=True))
    arguments = declared[stop.name].arguments if stop.name in declared else {}
    try:
        expected = convention(stop.x, parameters, arguments)
    except (ValueError, KeyError, IndexError) as error:
        what = f"{_what(stop)}: {error}"
        return Measurement(node.type, what, math.nan, math.nan, math.inf)
    return compared(node.type, _what(stop), stop.y, expected)


def _what(stop: Stop) -> str:
    return f"output of {stop.name}"


def _container(model: Model, stop: Stop) -> Measurement:
    """What a container makes of its input and of what the last layer in it gave."""
    kind, inner = stop.node.type, stop.inner
    if kind not in CONTAINERS or inner is None:
        what = f"{_what(stop)}, of which no formula is known"
        return Measurement(kind, what, math.nan, math.nan, 0.0)
    join = CONTAINERS[kind]
    row = compared(kind, _what(stop), stop.y, join(stop.x, inner))
    return _explained(row, stop.y, _shortcuts(model, stop, inner))


def _shortcuts(model: Model, stop: Stop, inner: np.ndarray) -> Iterator[Guess]:
    """What a container would give if one thing in it were left out."""
    yield "as if its input were not added", lambda: inner
    join = CONTAINERS[stop.node.type]
    yield from _without_one(model.backend, stop.node.children, stop.x, join)


def _whole(specimen: Specimen, model: Model, x: np.ndarray, stops: Sequence[Stop]) -> Measurement:
    """The model called as training calls it, against its layers called one after the other."""
    got, last = specimen.outputs(model, x), stops[-1].y
    row = compared("the model", "its logits beside those of its layers in order", got, last)
    return _explained(row, got, _detours(model, specimen.wide(x), last))


def _detours(model: Model, x: np.ndarray, last: np.ndarray) -> Iterator[Guess]:
    yield "as if a softmax came after them", lambda: softmax(last)
    yield from _without_one(model.backend, model.nodes, x, CONTAINERS["Sequential"])


def _without_one(
    backend: Backend, nodes: Sequence[Node], x: np.ndarray, join: Join
) -> Iterator[Guess]:
    """What layers would give if one of them were left out."""
    for skipped in nodes:
        rest = [node for node in nodes if node is not skipped]
        yield f"as if {skipped.label} were left out", partial(_through, backend, rest, x, join)


def _through(backend: Backend, nodes: Sequence[Node], x: np.ndarray, join: Join) -> np.ndarray:
    h = x
    for node in nodes:
        h = output(backend, node.layer, h)
    return join(x, h)


def _explained(row: Measurement, got: np.ndarray, guesses: Iterator[Guess]) -> Measurement:
    """The row with the first guess that explains it far better than what was expected."""
    if row.error <= NOTICEABLE:
        return row
    for words, guess in guesses:
        try:
            off = compared("", "", got, guess()).error
        except (ValueError, IndexError, TypeError):  # without a layer, shapes may not fit
            continue
        if off < EXPLAINS * min(row.error, 1.0):
            return replace(row, what=f"{row.what}, {words}")
    return row
