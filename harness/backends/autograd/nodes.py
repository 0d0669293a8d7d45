"""Boxes of autograd's tracer whose nodes know whether a gradient is wanted, and keep it."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from traceback import walk_stack
from typing import Any

import autograd
import numpy as np
from autograd.core import VJPNode
from autograd.numpy.numpy_boxes import ArrayBox
from autograd.tracer import new_box, notrace_primitives, register_notrace

from harness.backends.base import Place

# All boxes belong to one trace, which is open for good: a node holds what came before it and
# nothing that came after, so that a graph is gone with its last tensor.
TRACE = 0
# Where autograd itself lies: its lines say nothing about who called it.
_ENGINE = str(Path(autograd.__file__).parent)
_DEEPEST = 12


class Recording(threading.local):
    """What this thread records: links, where gradients are wanted; what is made, when asked."""

    is_wanted = True
    made: list[Made] | None = None


@dataclass(frozen=True)
class Made:
    """A tensor that came into being: its node and value, what made it, and where.

    `inputs` are the nodes of the tensors that it was made of, each with its value. `box` is
    there for one that no op has made.
    """

    node: Node
    value: Any
    name: str
    inputs: tuple[tuple[Node, Any], ...]
    places: tuple[Place, ...]
    box: ArrayBox | None = None


RECORDING = Recording()


class Node(VJPNode):  # type: ignore[misc] # autograd has no types
    """A node of the graph that links to those of its inputs only that want a gradient."""

    __slots__ = ["gradient", "in_graph", "is_kept", "key"]
    gradient: np.ndarray | None
    in_graph: bool
    is_kept: bool
    # The id() of the box of a tensor that no op has made.
    key: int

    def __init__(
        self,
        value: Any,
        fun: Any,
        args: Any,
        kwargs: Any,
        parent_argnums: Sequence[int],
        parents: Sequence[Node],
    ) -> None:
        self.initialize_root()
        pairs = list(zip(parent_argnums, parents, strict=True))
        wanted = [(number, parent) for number, parent in pairs if parent.in_graph]
        if wanted and RECORDING.is_wanted:
            self.in_graph = True
            super().__init__(value, fun, args, kwargs, *zip(*wanted, strict=True))
        if RECORDING.made is not None:
            inputs = tuple((parent, args[number]) for number, parent in pairs)
            RECORDING.made.append(Made(self, value, fun.__name__, inputs, _places()))

    def initialize_root(self, in_graph: bool = False) -> None:
        """Make it a node without a history."""
        super().initialize_root()
        self.gradient = None
        self.in_graph = self.is_kept = in_graph
        self.key = 0


# What autograd does not trace for its own nodes, such as comparisons, it need not for these.
for _function in notrace_primitives[VJPNode]:
    register_notrace(Node, _function)


def boxed(array: np.ndarray, in_graph: bool) -> ArrayBox:
    """A tensor that no op has made."""
    node = Node.new_root(in_graph)
    box = new_box(np.asarray(array), TRACE, node)
    node.key = id(box)
    if RECORDING.made is not None:
        RECORDING.made.append(Made(node, box._value, "", (), _places(), box))
    return box


def _places() -> tuple[Place, ...]:
    """The stack of calls that lead here, innermost first, without autograd's own and this file."""
    stack = ((frame.f_code, line) for frame, line in walk_stack(sys._getframe(1)))
    outside = (
        Place(code.co_filename, line, code.co_name)
        for code, line in stack
        if code.co_filename != __file__ and not code.co_filename.startswith(_ENGINE)
    )
    return tuple(islice(outside, _DEEPEST))


@contextmanager
def no_grad() -> Iterator[None]:
    """Inside, nothing is linked to anything."""
    before, RECORDING.is_wanted = RECORDING.is_wanted, False
    try:
        yield
    finally:
        RECORDING.is_wanted = before


@contextmanager
def noting() -> Iterator[list[Made]]:
    """Gives what is made inside, in order."""
    made: list[Made] = []
    RECORDING.made = made
    try:
        yield made
    finally:
        RECORDING.made = None
