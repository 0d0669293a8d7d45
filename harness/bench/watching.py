"""What it costs to watch every step: a whole training of the harness against a bare loop."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from harness import backends, config_files
from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.model import build
from harness.preparation import known_to, load_data
from harness.resident import own_clock
from harness.training import Learner, batches, planned_steps, train
from harness.watches.checkpoints import doubling

_SEED = 0


def training_seconds(file: str, backend: str, watched: bool) -> float:
    """Seconds that a whole training takes, building its model and drawing its batches included.

    The harness' own takes the fingerprints that a run takes, and evaluates one example before
    and after: next to nothing.
    """
    loaded, engine, dataset = _loaded(file, backend)
    with own_clock() as clock:
        start = clock()
        if watched:
            train(loaded, engine, dataset, _SEED, doubling(planned_steps(loaded, dataset)))
        else:
            _bare(loaded, engine, dataset)
        return clock() - start


def _bare(config: MilestoneConfig, engine: Backend, dataset: Dataset) -> None:
    learner = Learner(config, build(config.layers, engine, _SEED))
    planned = planned_steps(config, dataset)
    for step, (x, y) in enumerate(batches(config, dataset, _SEED)):
        learner.backward(x, y)
        learner.step(step / planned)


@cache
def _loaded(file: str, backend: str) -> tuple[MilestoneConfig, Backend, Dataset]:
    """Made for watching alone: nothing is evaluated on the way, and one example at the end."""
    engine = backends.load(backend)
    loaded = config_files.load(Path(file), known_to(engine))
    dataset = load_data(loaded)
    changed = {"evaluate_every": planned_steps(loaded, dataset) + 1}
    training = loaded.training.model_copy(update=changed)
    one = replace(dataset, held_out_x=dataset.held_out_x[:1], held_out_y=dataset.held_out_y[:1])
    return loaded.model_copy(update={"training": training}), engine, one
