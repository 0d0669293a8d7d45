"""What a training step takes: tensors, history and memory, counted on the first few batches."""

from __future__ import annotations

import gc
import tracemalloc
from collections import Counter
from itertools import islice

import numpy as np

from harness.backends.base import Backend, EngineTensor, Event
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.metrics import targets_for
from harness.model import build
from harness.record import Cost
from harness.training import Learner, batches

_STEPS = 4


def count(config: MilestoneConfig, backend: Backend, dataset: Dataset, seed: int) -> Cost | None:
    """The cost of a step of this milestone; None when the engine cannot tell what it makes."""
    events = _events(config, backend, dataset, seed)
    if events is None:
        return None
    linked = [event.op for event in events if event.op]
    return Cost(
        ops=len(events),
        nodes=len(linked),
        by_op=dict(sorted(Counter(linked).items())),
        size_bytes=sum(event.array.nbytes for event in events),
        peak_bytes=_peak(config, backend, dataset, seed),
    )


def _events(
    config: MilestoneConfig, backend: Backend, dataset: Dataset, seed: int
) -> tuple[Event, ...] | None:
    """The tensors of one forward pass, loss included."""
    model = build(config.layers, backend, seed)
    loss = backend.namespace.losses[config.training.loss]()
    x, y = next(batches(config, dataset, seed))

    def forward() -> EngineTensor:
        logits = model(backend.tensor(x))
        targets = targets_for(config.training.loss, backend.array(logits), y)
        return loss(logits, backend.tensor(targets))

    trace = backend.trace(forward)
    return trace.events if trace else None


def _peak(config: MilestoneConfig, backend: Backend, dataset: Dataset, seed: int) -> int | None:
    """The most memory that a few steps hold beyond what is there before the first, if seen."""
    if tracemalloc.is_tracing():
        return None  # somebody else is counting
    learner = Learner(config, build(config.layers, backend, seed))
    few = list(islice(batches(config, dataset, seed), _STEPS))
    was_collecting = gc.isenabled()
    gc.disable()  # so that what only a collection would free counts, at every count alike
    tracemalloc.start()
    try:
        for step, (x, y) in enumerate(few):
            outputs, _ = learner.backward(x, y)
            learner.step(step / _STEPS)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
        if was_collecting:
            gc.enable()
    return peak if _is_numpys(outputs) else None


def _is_numpys(array: np.ndarray) -> bool:
    """Whether numpy holds the memory of an array: what others hold is not traced."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array.base is None
