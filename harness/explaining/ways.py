"""Ways through the graph from a loss to one tensor, and where they end too early.

A tensor depends on another if its numbers change with it, whatever the graph says: the ways
end where numbers go on and the graph does not.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from harness.backends.base import Event, Trace


def changed(first: Trace, again: Trace, moved: Trace) -> frozenset[int]:
    """The keys of what depends on a tensor: other numbers in `moved`, where it was moved.

    What is not even the same in `again`, where nothing was moved, says nothing.
    """
    triples = zip(first.events, again.events, moved.events, strict=False)
    return frozenset(
        one.key
        for one, same, other in triples
        if _equal(one.array, same.array) and not _equal(one.array, other.array)
    )


def _equal(some: np.ndarray, others: np.ndarray) -> bool:
    return np.array_equal(some, others, equal_nan=some.dtype.kind == others.dtype.kind == "f")


@dataclass(frozen=True)
class Ways:
    """A traced forward pass, the tensor in question, and all that depends on it.

    `root` is the loss, `target` the tensor, both by id().
    """

    events: Sequence[Event]
    root: int
    target: int
    dependent: frozenset[int]
    _by_key: dict[int, Event] = field(init=False, default_factory=dict)

    def __post_init__(self) -> None:
        self._by_key.update({event.key: event for event in self.events})

    @cached_property
    def linked(self) -> frozenset[int]:
        """All keys that the graph reaches from the loss; ops without history lead on, too."""
        found = {self.root}
        waiting = [self.root]
        while waiting:
            event = self._by_key.get(waiting.pop())
            if event is None or self._forgets(event):
                continue
            fresh = set(_links(event)) - found
            found |= fresh
            waiting += fresh
        return frozenset(found)

    @property
    def is_reached(self) -> bool:
        """Whether the graph leads from the loss to the tensor."""
        return self.target in self.linked

    def cuts(self) -> list[Event]:
        """Tensors on the way that depend on the target and remember nothing of it."""
        return [each for each in self._on_the_way() if self._forgets(each)]

    def unlinked(self) -> list[Event]:
        """Ops on the way that depend on the target through nothing that they link to."""
        return [
            each
            for each in self._on_the_way()
            if each.op and not self.dependent & set(each.inputs) and self.target not in each.inputs
        ]

    def to(self, goals: Collection[int]) -> list[Event]:
        """Every op from the loss to any of these keys, the loss first."""
        leading = self._leading_to(goals)
        return [each for each in reversed(self.events) if each.key in self.linked & leading]

    def behind(self) -> list[Event]:
        """Every op from where the ways end on to the tensor, the last first."""
        leading = self._leading_to([self.target]) & self.dependent
        return [
            each for each in reversed(self.events) if each.op and each.key in leading - self.linked
        ]

    def _on_the_way(self) -> Iterator[Event]:
        return (each for each in self.events if each.key in self.linked & self.dependent)

    def _forgets(self, event: Event) -> bool:
        """Whether it has no history although it was made from what has one, or from nothing."""
        if event.op:
            return False
        known = [self._by_key[key] for key in event.sources if key in self._by_key]
        return not event.sources or self.target in event.sources or any(each.op for each in known)

    def _leading_to(self, goals: Collection[int]) -> set[int]:
        """What leads to any of the goals, and those of the goals that are ops."""
        found: set[int] = set()
        for event in self.events:
            links = () if self._forgets(event) else _links(event)
            if (event.op and event.key in goals) or any(k in found or k in goals for k in links):
                found.add(event.key)
        return found


def _links(event: Event) -> tuple[int, ...]:
    """What an op hands gradients to, or would if it had a history."""
    return event.inputs if event.op else event.sources
