"""Every tensor that a call makes, as autograd's nodes tell it."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from autograd.numpy.numpy_boxes import ArrayBox

from harness.backends.autograd.nodes import TRACE, Made, Node, noting
from harness.backends.base import Event, Trace


def traced(call: Callable[[], ArrayBox]) -> Trace:
    """Call, and note every tensor that is made.

    autograd tells of nodes, not of boxes. The output has the box that the call gave; others get
    a new one, which shares node and numbers with the box that the call has used.
    """
    with noting() as made:
        output = call()
    boxes = {each.node: _box_of(each, output) for each in made}
    keys = {node: id(box) for node, box in boxes.items()}
    leaves = {
        node.key: ArrayBox(value, TRACE, node)
        for each in made
        for node, value in each.inputs
        if node.in_graph and node not in boxes
    }
    events = tuple(_event(each, keys) for each in made)
    return Trace(events, output, tuple(boxes.values()), leaves)


def _box_of(made: Made, output: ArrayBox) -> ArrayBox:
    if output._node is made.node:
        return output
    return made.box if made.box is not None else ArrayBox(made.value, TRACE, made.node)


def _event(made: Made, keys: Mapping[Node, int]) -> Event:
    inputs = tuple(keys.get(parent, parent.key) for parent in made.node.parents)
    sources = tuple(keys.get(parent, parent.key) for parent, _ in made.inputs)
    op = made.name if made.inputs and made.node.in_graph else ""
    array = np.asarray(made.value)
    return Event(keys[made.node], array, op, inputs, sources, made.places, None)
