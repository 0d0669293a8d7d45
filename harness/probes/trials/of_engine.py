"""All trials of an engine: one list for each name in its namespace, small parts first."""

from __future__ import annotations

from collections.abc import Iterator

from harness.backends.base import Backend
from harness.measurement import NotMeasurableError
from harness.probes.trials import cases
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.layers import layer_trials
from harness.probes.trials.ops import loss_trials, op_trials
from harness.probes.trials.spellings import spelled_trials
from harness.probes.trials.trial import Trial

NOTHING = "the engine offers no op, loss or layer that a formula is known of"


def all_trials(
    backend: Backend, pool: Pool, training: bool = True, every: int = 1
) -> Iterator[list[Trial]]:
    """The trials of each name: ops, how tensors spell them, losses, layers, containers.

    Those of every so many-th case, of layers in training or evaluation. In training, half as
    many of losses and layers where their ops are tried anyway.
    """
    space = backend.namespace
    if not (space.ops or space.losses or space.layers):
        raise NotMeasurableError(NOTHING)
    seldom = 2 * every if space.ops and training else every
    known = [name for name in cases.OPS if name in space.ops]
    for name in (*known, *(name for name in space.ops if name not in known)):
        yield op_trials(backend, name, pool, every)
    if space.ops and every == 1:
        yield from spelled_trials(backend, pool)
    for name in space.losses:
        yield loss_trials(backend, name, pool, 2 * seldom if space.ops else seldom)
    inner = [name for name in space.layers if name not in cases.CONTAINERS]
    for name in (*inner, *(name for name in cases.CONTAINERS if name in space.layers)):
        yield layer_trials(backend, name, pool, training, seldom)
