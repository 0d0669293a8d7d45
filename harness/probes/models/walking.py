"""A model layer by layer: what an engine makes of its own numbers at every stop on the way."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.backends.base import Backend, Layer
from harness.config import LayerSpec
from harness.model import Model, Node


@dataclass(frozen=True)
class Stop:
    """One layer, what came to it and what it gave.

    `inner` is what the last layer inside a container gave; None for a layer by itself.
    """

    node: Node
    x: np.ndarray
    y: np.ndarray
    inner: np.ndarray | None

    @property
    def name(self) -> str:
        """The label of the layer, as its YAML has it."""
        return self.node.label


def walk(model: Model, x: np.ndarray) -> list[Stop]:
    """Every stop in order, each layer on the engine's own output of the one before it.

    Layers inside a container come before it.
    """
    with model.backend.no_grad():
        return _walk(model.backend, model.nodes, x)


def _walk(backend: Backend, nodes: Sequence[Node], x: np.ndarray) -> list[Stop]:
    stops: list[Stop] = []
    for node in nodes:
        inside = _walk(backend, node.children, x)
        y = output(backend, node.layer, x)
        stops += [*inside, Stop(node, x, y, inside[-1].y if inside else None)]
        x = y
    return stops


def output(backend: Backend, layer: Layer, x: np.ndarray) -> np.ndarray:
    """What a layer gives; it gets a copy, so that nothing it may do to its input is seen here."""
    return backend.array(layer(backend.tensor(x.copy())))


def leaves(stops: Sequence[Stop]) -> Iterator[Stop]:
    """The stops at layers that are no containers."""
    return (stop for stop in stops if not stop.node.children)


def all_nodes(nodes: tuple[Node, ...]) -> Iterator[Node]:
    """Every layer, containers and those inside them."""
    for node in nodes:
        yield from all_nodes(node.children)
        yield node


def node_of(model: Model, label: str) -> Node:
    """The layer of that label."""
    return next(node for node in all_nodes(model.nodes) if node.label == label)


def specs(layers: dict[str, LayerSpec]) -> dict[str, LayerSpec]:
    """Every layer of a config by its label, containers included."""
    found: dict[str, LayerSpec] = {}
    for label, spec in layers.items():
        found |= specs(spec.layers or {})
        found[label] = spec
    return found
