"""Where a graph is cut: a tensor whose numbers follow from another, and whose history does not.

One array is moved and the layer is called once more: whatever has other numbers then must be
linked to that array, or to something made before it that has other numbers, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from harness.backends.base import EngineTensor, Event, Trace
from harness.measurement import discrepancy
from harness.probes.models.isolated import Isolated
from harness.probes.models.specimen import jitter

# Changes below this are rounding, in float64; so are gradients beside the largest.
NOTICEABLE = 1e-10


@dataclass(frozen=True)
class Cut:
    """`event` was computed from `source` (a name in an Isolated) and does not remember it."""

    source: str
    event: Event
    tensor: EngineTensor

    @property
    def words(self) -> str:
        """What it did, for a sentence."""
        if self.event.op:
            return f"which {self.event.op} does not link to"
        return f"past a tensor of shape {self.event.array.shape} that has no history"

    @property
    def place(self) -> str:
        """The line to look at: where it was made, or where an op was called to no effect."""
        event = self.event
        was_not_recorded = bool(event.sources) and not event.op
        places = event.places[was_not_recorded:] or event.places
        return str(places[0]) if places else ""


def guilty_cuts(part: Isolated, sources: Sequence[str], rng: np.random.Generator) -> list[Cut]:
    """For each of these sources the cut that keeps its gradient back, where there is one.

    Empty where two calls make different things, so that nothing can be compared.
    """
    arrays, found = part.arrays(), []
    base, known = part.trace({})
    for name in sources:
        moved, _ = part.trace({name: jitter(arrays[name], rng)})
        if base is None or moved is None or not _alike(base, moved):
            continue
        lost = [Cut(name, *pair) for pair in _cuts(base, moved, id(known[name]))]
        if lost:
            cut = _guilty(part, base, lost, rng)
            found += [cut] if cut else []
            base, known = part.trace({})  # that asked for gradients where none are wanted
    return found


def _alike(some: Trace, others: Trace) -> bool:
    """Whether both made the same kinds of things in the same order."""
    return len(some.events) == len(others.events) and all(
        mine.op == other.op and mine.array.shape == other.array.shape
        for mine, other in zip(some.events, others.events, strict=True)
    )


def _differs(some: np.ndarray, others: np.ndarray) -> bool:
    """Whether more than rounding is between them; a mask of infinities is like itself."""
    apart = ~((some == others) | ((some != some) & (others != others)))
    return bool(apart.any()) and discrepancy(some[apart], others[apart]) > NOTICEABLE


def _cuts(base: Trace, moved: Trace, source: int) -> Iterator[tuple[Event, EngineTensor]]:
    """What has other numbers and is linked neither to the source nor to such.

    What an op makes of lost numbers only is lost with them, and is no cut of its own.
    """
    linked, lost = {source}, set[int]()
    for before, after, tensor in zip(base.events, moved.events, base.tensors, strict=True):
        if not _differs(after.array, before.array):
            continue
        if linked & set(before.inputs):
            linked.add(before.key)
            continue
        follows = lost & set(before.sources) and not linked & set(before.sources)
        lost.add(before.key)
        if not follows:
            yield before, tensor


def _guilty(
    part: Isolated, trace: Trace, lost: Sequence[Cut], rng: np.random.Generator
) -> Cut | None:
    """The last cut that a gradient should go through; the first where none can be seen to.

    Some constants need none: the largest logit, which a softmax subtracts.
    """
    backend, shape = part.backend, part.backend.array(trace.output).shape
    for cut in lost:
        if not cut.event.op:
            backend.keep_gradient(cut.tensor)
    backend.backward(trace.output, rng.standard_normal(shape))
    found = [backend.gradient(cut.tensor) if not cut.event.op else None for cut in lost]
    sizes = [None if each is None else float(np.linalg.norm(each)) for each in found]
    wanted = [
        cut for cut, size in zip(lost, sizes, strict=True) if size is not None and size > NOTICEABLE
    ]
    if wanted:
        return wanted[-1]
    return next((cut for cut, size in zip(lost, sizes, strict=True) if size is None), None)
