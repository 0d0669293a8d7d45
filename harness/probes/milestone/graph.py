"""Whether history leads from the loss back to every tensor, and to nothing else.

Layer by layer: what is made from its input or its tensors remembers them. In the whole model:
the leaves of the graph are the declared tensors, each once.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from functools import partial

import numpy as np

from harness.backends.base import Layer, Parameter, Trace
from harness.measurement import Measurement, NotMeasurableError
from harness.metrics import targets_for
from harness.model import Model
from harness.probes.counting import counted
from harness.probes.differences import random_directions, slope_row
from harness.probes.models.forgetting import Cut, guilty_cuts
from harness.probes.models.isolated import INPUT, Isolated, by_itself
from harness.probes.models.objective import Objective, engine_loss
from harness.probes.models.specimen import Specimen
from harness.probes.models.walking import walk

EXAMPLES = 2


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """Rows for the parts, in the order of the model, then for single tensors."""
    x, y = specimen.examples(EXAMPLES)
    objective = Objective(specimen, x, y, training=True)
    model = objective.model()
    whole = specimen.backend.trace(lambda: engine_loss(specimen, model, x, y))
    if whole is None:
        raise NotMeasurableError(f"{specimen.backend.name} does not tell what it makes")
    stops = walk(model, specimen.wide(x))
    parts = [by_itself(objective.model, stop.name, stop.x) for stop in stops]
    containers = {stop.name for stop in stops if stop.node.children}
    parts.append(_loss(specimen, stops[-1].y, y))
    places: dict[str, str] = {}
    for part in parts:
        yield from _remembers(specimen, part, part.label in containers, places)
        yield from _strangers(specimen, part, model)
    yield from _declared(specimen, model)
    yield from _shared(specimen, model)
    yield from _reached(model, whole, places)


def _loss(specimen: Specimen, logits: np.ndarray, y: np.ndarray) -> Isolated:
    """The loss as a layer whose input are logits."""
    backend, name = specimen.backend, specimen.config.training.loss
    targets = backend.tensor(targets_for(name, logits, y))
    own = backend.namespace.losses[name]()
    layer: Layer = lambda source: own(source, targets)  # noqa: E731
    tensors: Mapping[str, Parameter] = {}
    return Isolated(backend, name, name, lambda: (layer, tensors), logits)


# --- part by part -----------------------------------------------------------------------------


def _remembers(
    specimen: Specimen, part: Isolated, is_container: bool, places: dict[str, str]
) -> Iterator[Measurement]:
    """A row for each cut that gradients suffer from; one good row where there is none.

    A constant on purpose, such as the largest logit that a softmax subtracts, costs no
    gradient anything. What containers do is done to their input: their layers have rows.
    """
    sources = [INPUT] if is_container and part.takes_numbers else list(part.arrays())
    found = [
        cut
        for cut in guilty_cuts(part, sources, specimen.rng("graph", part.label))
        if cut.place not in places.values()
    ]
    for cut in found:
        row = _suffers(specimen, part, cut)
        if row.error:
            places[_label(part, cut.source)] = row.place
            yield row
    if not found:
        yield counted(part.kind, f"tensors in {part.label} that forget what made them", 0, 0)


def _suffers(specimen: Specimen, part: Isolated, cut: Cut) -> Measurement:
    """The gradient of a source beside its slope: wrong where a cut keeps something back."""
    rng = specimen.rng("graph", part.label, cut.source)
    trace, _ = part.trace({})
    assert trace is not None
    weights = rng.standard_normal(part.backend.array(trace.output).shape)
    gradient = part.gradients(weights)[cut.source]

    moved = partial(part.moved, cut.source, weights)
    directions = random_directions(part.arrays()[cut.source].shape, rng)
    what = f"slope of {_label(part, cut.source)}, {cut.words}"
    row = slope_row(part.kind, what, moved, gradient, directions)
    return Measurement(part.kind, what, row.got, row.expected, row.error, cut.place)


def _label(part: Isolated, source: str) -> str:
    return source or f"the input of {part.label}"


def _strangers(specimen: Specimen, part: Isolated, model: Model) -> Iterator[Measurement]:
    """Leaves that want a gradient and are no tensor of the model."""
    trace, sources = part.trace({})
    if trace is None:
        return
    backend = specimen.backend
    known = set(map(id, [*sources.values(), *model.parameters.values()]))
    strangers = {key: leaf for key, leaf in trace.leaves.items() if key not in known}
    if not strangers:
        return
    backend.backward(trace.output, np.ones_like(backend.array(trace.output)))
    for key, leaf in strangers.items():
        if backend.gradient(leaf) is None:
            continue
        user = next(event for event in trace.events if key in event.inputs)
        shape = backend.array(leaf).shape
        what = f"tensors of shape {shape} in {part.label} that get a gradient but are no parameters"
        place = str(user.places[0]) if user.places else ""
        yield Measurement(part.kind, what, 1.0, 0.0, math.inf, place)


# --- tensor by tensor -------------------------------------------------------------------------


def _declared(specimen: Specimen, model: Model) -> Iterator[Measurement]:
    """The tensors that the config lists, or as many as it says."""
    expected = specimen.config.expectations
    if not expected.labels:
        what = "tensors among the model's parameters"
        yield counted("the model", what, len(model.parameters), expected.count)
    for label in expected.labels:
        what = "times it is among the model's parameters"
        yield counted(label, what, int(label in model.parameters), 1)
    for label in model.parameters:
        if expected.labels and label not in expected.labels:
            yield counted(label, "times it is among the model's parameters", 1, 0)


def _shared(specimen: Specimen, model: Model) -> Iterator[Measurement]:
    """No two labels stand for the same numbers."""
    labels = list(model.parameters)
    arrays = specimen.backend.arrays(list(model.parameters.values()))
    for i, (label, array) in enumerate(zip(labels, arrays, strict=True)):
        twins = [labels[j] for j in range(i) if np.shares_memory(array, arrays[j])]
        if twins:
            yield counted(label, f"tensors that share its numbers ({twins[0]})", len(twins), 0)


def _reached(model: Model, whole: Trace, places: Mapping[str, str]) -> Iterator[Measurement]:
    """Whether going back from the loss one comes to each tensor."""
    history = {event.key: event.inputs for event in whole.events}
    waiting, met = [id(whole.output)], set[int]()
    while waiting:
        key = waiting.pop()
        if key not in met:
            met.add(key)
            waiting += history.get(key, ())
    for label, parameter in model.parameters.items():
        row = counted(label, "ways from the loss back to it", int(id(parameter) in met), 1)
        yield Measurement(**{**vars(row), "place": places.get(label, "")}) if row.error else row
