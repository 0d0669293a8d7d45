"""The first step of a training, traced: every tensor that it makes, by the layer that made it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np

from harness.backends.base import Backend, EngineTensor, Event, Layer, Trace
from harness.model import Model, Node
from harness.probes.models.specimen import Specimen
from harness.training import batches

# How far a tensor is moved to see what depends on it: as far as its numbers go, at least this.
FAR = 0.1


@dataclass
class _Noting:
    """A layer that notes what came to it and what it gave, so that ops are told apart by it."""

    backend: Backend
    layer: Layer
    came: np.ndarray | None = None
    gave: set[int] = field(default_factory=set)

    def __call__(self, x: EngineTensor) -> EngineTensor:
        self.came = self.backend.array(x)
        y = self.layer(x)
        self.gave.add(id(y))
        return y


@dataclass(frozen=True)
class FirstStep:
    """One traced forward pass, and the model that made it."""

    specimen: Specimen
    model: Model
    trace: Trace
    notes: Mapping[str, _Noting]

    def backward(self) -> str:
        """Send gradients back, kept at every tensor; says what went wrong, if anything did."""
        backend = self.specimen.backend
        for tensor in self.trace.tensors:
            backend.keep_gradient(tensor)
        for parameter in self.model.parameters.values():
            backend.set_gradient(parameter, None)
        try:
            backend.backward(self.trace.output)
        except Exception as error:  # a broken engine may raise anything
            return f"the backward pass raised {type(error).__name__}: {error}"
        return ""

    def gradient(self, tensor: EngineTensor) -> tuple[bool, float | None]:
        """Whether a gradient arrived at a tensor, and its norm where that is a number."""
        gradient = self.specimen.backend.gradient(tensor)
        if gradient is None:
            return False, None
        norm = float(np.linalg.norm(gradient.astype(np.float64)))
        return True, norm if math.isfinite(norm) else None

    def owners(self) -> dict[int, tuple[Node | None, Node | None]]:
        """Of every event, by key: the layer in the config that made it, and the one in that.

        None for the loss.
        """
        found: dict[int, tuple[Node | None, Node | None]] = {}
        waiting: list[Event] = []
        nodes = self.model.nodes
        gave = {key: node for node in nodes for key in self.notes[node.label].gave}
        for event in self.trace.events:
            waiting.append(event)
            if (node := gave.get(event.key)) is not None:
                found |= {each.key: (node, self._inner(node, each)) for each in waiting}
                waiting = []
        return found | {each.key: (None, None) for each in waiting}

    def _inner(self, node: Node, event: Event) -> Node:
        """The layer in a container: the one whose tensor it reads, or whose code it stands in."""
        leaves = list(node.leaves())
        for leaf in leaves:
            own = self.specimen.backend.parameters(leaf.layer).values()
            if {id(each) for each in own} & {*event.inputs, *event.sources}:
                return leaf
        for place in event.places:
            owner = place.function.rpartition(".")[0]
            fitting = [leaf for leaf in leaves if owner in _classes(leaf.layer)]
            if len(fitting) == 1:
                return fitting[0]
        return node


def _classes(layer: Layer) -> set[str]:
    """The names of a layer's class and of all that it inherits from."""
    return {each.__qualname__ for each in type(layer).__mro__}


def first_step(specimen: Specimen, moved: str | None = None) -> FirstStep | None:
    """The loss of the first step; with `moved`, that tensor has other numbers.

    None when the engine cannot trace.
    """
    backend, config = specimen.backend, specimen.config
    model = specimen.model()
    model.set_training(True)
    if moved is not None:
        _move(specimen, model, moved)
    x, y = next(iter(batches(config, specimen.dataset, specimen.seed)))
    notes = {node.label: _Noting(backend, node.layer) for node in model.nodes}
    nodes = tuple(replace(node, layer=notes[node.label]) for node in model.nodes)
    noting = Model(backend, nodes, model.parameters)

    def loss() -> EngineTensor:
        return specimen.engine_loss(noting(backend.tensor(x)), y)

    trace = backend.trace(loss)
    return None if trace is None else FirstStep(specimen, model, trace, notes)


def _move(specimen: Specimen, model: Model, label: str) -> None:
    parameter = model.parameters[label]
    (array,) = specimen.backend.arrays([parameter])
    size = max(float(np.abs(array).max(initial=0.0)), FAR)
    shift = size * specimen.rng("explain").standard_normal(array.shape)
    specimen.backend.set_value(parameter, array + shift.astype(array.dtype))
