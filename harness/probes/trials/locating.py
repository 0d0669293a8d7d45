"""Where an op is written: asked of a trace, only when something is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from harness.backends.base import Backend, EngineTensor, Event
from harness.measurement import Measurement
from harness.probes.trials.trial import Trial


def backward_place(backend: Backend, trial: Trial) -> str:
    """The line of the backward half; of a layer only where it is one op."""
    events = [event for event in _events(backend, trial) if event.op]
    if not events or not (trial.is_op or len(events) == 1):
        return ""
    return str(events[-1].apply or "")


def forward_place(backend: Backend, trial: Trial) -> str:
    """The line that made the output."""
    events = _events(backend, trial)
    return str(events[-1].places[0]) if events and events[-1].places else ""


def placed(rows: Sequence[Measurement], place: str) -> list[Measurement]:
    """The rows, those without a place with this one."""
    return [row if row.place else replace(row, place=place) for row in rows]


def _events(backend: Backend, trial: Trial) -> Sequence[Event]:
    """What a call makes of its inputs: nothing when it raises or the engine cannot tell."""
    arrays = [None if array is None else array.copy() for array in trial.arrays]
    inputs: set[int] = set()

    def call() -> EngineTensor:
        run = trial.run(arrays, trial.varied)
        inputs.update(map(id, run.tensors))
        return run.output

    try:
        trace = backend.trace(call)
    except Exception:  # the row tells of what it raised
        return []
    if trace is None:
        return []
    made = [event for event in trace.events if event.key not in inputs]
    return [event for event in made if event.op or event.key == id(trace.output)]
