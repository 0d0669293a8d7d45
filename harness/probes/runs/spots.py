"""`spots`: a few steps of a whole training, whose gradients are held against a twin's.

A twin is put at the values that were there and gets the batch that was due.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.measurement import Measurement
from harness.probes.models.specimen import Specimen
from harness.probes.runs.gradient_guesses import AGREES, gradient_errors
from harness.probes.runs.rows import LOOP, Dated, wrong_gradients
from harness.probes.runs.short_run import Batch, ShortRun
from harness.probes.runs.stepping import Steps
from harness.probes.runs.twin import gradients_of
from harness.probes.runs.whole import WholeTraining

# Where to look, as shares of the training.
SHARES = (0.0, 0.3, 0.55, 0.8, 1.0)


@dataclass(frozen=True)
class Spots:
    """Some steps of a training: which they are, the batches that were due, and the steps."""

    at: list[int]
    batches: list[Batch]
    steps: Steps


def spots(whole: WholeTraining) -> Spots | None:
    """The steps to look at; None when there are none that begin with finite numbers."""
    places = sorted({round(share * (whole.count - 1)) for share in SHARES if whole.count})
    due = {step: batch for step, batch in enumerate(whole.batches()) if step in places}
    found = []
    for step in places:
        steps = whole.recorder.part(step, step + 1, whole.rates)
        if step in due and np.isfinite(steps.values[0]).all():
            found.append((step, steps))
    if not found:
        return None
    at, parts = [step for step, _ in found], [steps for _, steps in found]
    joined = replace(
        parts[0],
        values=np.concatenate([*(each.values[:1] for each in parts), parts[-1].values[1:]]),
        gradients=np.concatenate([each.gradients for each in parts]),
        arrived=np.concatenate([each.arrived for each in parts]),
        rates=[rate for each in parts for rate in each.rates],
    )
    return Spots(at, [due[step] for step in at], joined)


def spot_rows(whole: WholeTraining) -> Iterator[Dated]:
    """About the gradients of these steps."""
    specimen, found = whole.specimen, spots(whole)
    if found is None:
        return
    words = f"gradients of steps {', '.join(str(step + 1) for step in found.at)}"
    if _draws(specimen, found.batches[0]):
        words = f"{words}, not compared: the model draws at random while it trains"
        yield 0, Measurement(LOOP, words, math.nan, math.nan, 0.0)
        return
    steps = found.steps
    expected = gradients_of(specimen, steps, list(steps.values[:-1]), found.batches)
    errors = gradient_errors(steps, expected)
    if (errors <= AGREES).all():
        size = float(np.linalg.norm(expected))
        words = f"{words} beside those of a model by itself"
        yield 0, Measurement(LOOP, words, size, size, float(errors.max()))
    elif not _are_drawn_again(whole, found):
        words = f"{words}, not compared: the batches are drawn otherwise every time"
        yield 0, Measurement(LOOP, words, math.nan, math.nan, 0.0)
    else:
        config, labels = specimen.config, whole.record.labels
        begun = steps.values[:-1]
        run = ShortRun(config, labels, found.batches, len(found.at), steps, begun)
        yield from wrong_gradients(specimen, run, expected, errors, found.at, "")


def _draws(specimen: Specimen, batch: Batch) -> bool:
    """Whether a model that trains draws at random."""
    model = specimen.model()
    model.set_training(True)
    return specimen.draws(model, batch[0][:2])


def _are_drawn_again(whole: WholeTraining, found: Spots) -> bool:
    """Whether the batches are the same when they are asked for again."""
    due = dict(zip(found.at, found.batches, strict=True))
    again = {step: batch for step, batch in enumerate(whole.batches()) if step in due}
    return all(
        step in again and all(map(np.array_equal, again[step], batch))
        for step, batch in due.items()
    )
