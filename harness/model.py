"""Builds a model from a config's layers and a backend's namespace, every parameter labelled."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from harness.arguments import accepts, as_tuples
from harness.backends.base import Backend, EngineTensor, Layer, Parameter, Step
from harness.config import LayerSpec
from harness.streams import stream


@dataclass(frozen=True)
class Node:
    """One built layer with its place in the YAML; containers have children."""

    label: str
    path: tuple[str, ...]
    type: str
    layer: Layer
    children: tuple[Node, ...] = ()

    def leaves(self) -> Iterator[Node]:
        """The layers that hold parameters: this one, or those inside it."""
        if not self.children:
            yield self
        for child in self.children:
            yield from child.leaves()


@dataclass
class Model:
    """Layers one after the other, and all parameters by label, such as "conv1.weight"."""

    backend: Backend
    nodes: tuple[Node, ...]
    parameters: dict[str, Parameter] = field(default_factory=dict)
    # Where the outputs of the layers go, by label, while somebody wants them.
    seen: dict[str, EngineTensor] | None = None
    is_training: bool = True

    def __call__(self, x: EngineTensor) -> EngineTensor:
        for node in self.nodes:
            x = node.layer(x)
            if self.seen is not None:
                self.seen[node.label] = x
        return x

    def set_training(self, mode: bool) -> None:
        """Switch all layers between training and evaluation."""
        self.is_training = mode
        self.backend.set_training([node.layer for node in self.nodes], mode)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """What comes out for inputs, without a graph."""
        (outputs,) = (self._outputs if self.is_training else self._evaluated)(x)
        return outputs

    @cached_property
    def _evaluated(self) -> Step:
        parameters = list(self.parameters.values())
        return self.backend.replayed(self._outputs, parameters, sends_gradients=False)

    def _outputs(self, x: np.ndarray) -> tuple[np.ndarray, ...]:
        with self.backend.no_grad():
            return (self.backend.array(self(self.backend.tensor(x))),)


def build(layers: Mapping[str, LayerSpec], backend: Backend, seed: int) -> Model:
    """The model that `layers` describe; each layer draws from a stream of its own."""
    nodes = tuple(
        build_node(label, spec, backend, seed, ("layers", label)) for label, spec in layers.items()
    )
    model = Model(backend, nodes)
    for node in nodes:
        for leaf in node.leaves():
            for name, parameter in backend.parameters(leaf.layer).items():
                model.parameters[f"{leaf.label}.{name}"] = parameter
    return model


def build_node(
    label: str, spec: LayerSpec, backend: Backend, seed: int, path: tuple[str, ...]
) -> Node:
    """One layer, with those inside it built first."""
    children = tuple(
        build_node(inner, inner_spec, backend, seed, (*path, "layers", inner))
        for inner, inner_spec in (spec.layers or {}).items()
    )
    factory = backend.namespace.layers[spec.type]
    given = {name: as_tuples(value) for name, value in spec.arguments.items()}
    if accepts(factory, "rng"):
        given["rng"] = stream(seed, "layer", label)
    layer = factory(*(child.layer for child in children), **given)
    return Node(label, path, spec.type, layer, children)
