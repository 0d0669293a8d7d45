"""Every tensor that a call makes, and how PyTorch's graph links them: `traced`.

A TorchFunctionMode hears of every function of PyTorch that Python calls. The graph beneath may
hold more nodes than that: those that belong to no tensor heard of are looked through.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from harness.backends.base import Event, Place, Trace

_OWN = f"{Path(torch.__file__).parent}{os.sep}"
_DEEPEST = 12

# A backward function of PyTorch's graph, which has no type of its own in Python, and which of
# its outputs is meant.
Node = tuple[Any, int]


def traced(call: Callable[[], Tensor]) -> Trace:
    """Call, and note every tensor that is made."""
    with _Noting() as noting:
        output = call()
    tensors = tuple(one.tensor for one in noting.made)
    graph = _Graph([*noting.met, *tensors])
    links = [graph.inputs(tensor) for tensor in tensors]
    own = set(map(id, tensors))
    return Trace(
        events=tuple(_event(*pair) for pair in zip(noting.made, links, strict=True)),
        output=output,
        tensors=tensors,
        leaves={key: each for some in links for key, each in some.items() if key not in own},
    )


# --- what is called -------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Made:
    """A new tensor, the tensors that were given to make it, and where that was asked for."""

    tensor: Tensor
    sources: tuple[int, ...]
    places: tuple[Place, ...]


class _Noting(TorchFunctionMode):
    """Notes what every function makes and is given, and keeps it, so that no id() is used twice."""

    def __init__(self) -> None:
        super().__init__()
        self.made: list[_Made] = []
        self.met: list[Tensor] = []
        self._known: set[int] = set()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = kwargs or {}
        result = func(*args, **given)
        sources = list(_tensors_in([args, list(given.values())]))
        self.met += filter(self._is_new, sources)
        fresh = list(filter(self._is_new, _tensors_in(result)))
        if fresh:
            places = tuple(_places(sys._getframe(1)))
            self.made += [_Made(each, tuple(map(id, sources)), places) for each in fresh]
        return result

    def _is_new(self, tensor: Tensor) -> bool:
        """Whether it is seen for the first time: what works in place gives what it was given."""
        is_new = id(tensor) not in self._known
        self._known.add(id(tensor))
        return is_new


def _tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested tuples and lists."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, tuple | list):
        for each in value:
            yield from _tensors_in(each)


def _places(frame: FrameType | None) -> Iterator[Place]:
    """The lines that led here, innermost first, without PyTorch's own."""
    count = 0
    while frame is not None and count < _DEEPEST:
        code = frame.f_code
        if not code.co_filename.startswith(_OWN):
            yield Place(code.co_filename, frame.f_lineno, code.co_qualname)
            count += 1
        frame = frame.f_back


# --- what is linked -------------------------------------------------------------------------------


class _Graph:
    """PyTorch's graph, and which of its nodes stand for known tensors."""

    def __init__(self, known: Iterable[Tensor]) -> None:
        self._by_node = {_node(each): each for each in known if each.grad_fn is not None}

    def inputs(self, tensor: Tensor) -> dict[int, Tensor]:
        """The known tensors and the leaves that its backward function hands gradients to."""
        found: dict[int, Tensor] = {}
        met: set[Node] = set()
        waiting = _next(tensor.grad_fn)
        while waiting:
            node = waiting.pop()
            if node in met:
                continue
            met.add(node)
            at = self._by_node.get(node)
            leaf = getattr(node[0], "variable", None) if at is None else at
            if leaf is None:
                waiting += _next(node[0])
            else:
                found[id(leaf)] = leaf
        return found


def _node(tensor: Tensor) -> Node:
    return tensor.grad_fn, tensor.output_nr


def _next(function: Any) -> list[Node]:
    """What a backward function hands gradients to, the first last."""
    return [] if function is None else [n for n in function.next_functions[::-1] if n[0]]


def _event(made: _Made, inputs: Mapping[int, Tensor]) -> Event:
    function = made.tensor.grad_fn
    return Event(
        key=id(made.tensor),
        array=made.tensor.numpy(force=True),
        op="" if function is None else type(function).__name__.rstrip("0123456789"),
        inputs=tuple(inputs),
        sources=made.sources,
        places=made.places,
        apply=None,  # PyTorch's backward functions are not written in Python
    )
