"""`evaluation_rows`: evaluations of a whole training, on the way and at the end, taken once more.

A model of its own is put at the values that the training had then, and is asked as it is written:
an engine may have replayed what it recorded of earlier evaluations. What the harness makes of
logits is held against what is right elsewhere, in a short training.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from harness.evaluation import AT_ONCE, held_out_targets
from harness.measurement import Measurement
from harness.metrics import LOSSES, accuracy
from harness.model import Model
from harness.probes.models.specimen import Specimen, spread
from harness.probes.runs.known_answers import answers_of
from harness.probes.runs.scores import EVALUATION, beside, put
from harness.probes.runs.spots import SHARES
from harness.probes.runs.whole import WholeTraining


@dataclass(frozen=True)
class Look:
    """One evaluation: after how many steps, of which examples, what was said of them, and where."""

    step: int
    rows: np.ndarray
    got: tuple[float, float]
    when: str


def evaluation_rows(whole: WholeTraining) -> Iterator[Measurement]:
    """Accuracy and held-out loss of some evaluations on the way and of that at the end."""
    specimen, dataset = whole.specimen, whole.specimen.dataset
    # As training's own evaluations do: in other portions a matrix product may round otherwise.
    model, size = specimen.model(), min(len(_some(whole)), AT_ONCE)
    model.set_training(False)
    for look in _looks(whole):
        _put_at(whole, model, look.step)
        parts = np.split(look.rows, range(size, len(look.rows), size))
        logits = np.concatenate(
            [answers_of(specimen, model, dataset.held_out_x[part]) for part in parts]
        )
        if np.isfinite(logits).all():  # else training went astray, which others say
            yield from _scores(specimen, look, logits)


def _scores(specimen: Specimen, look: Look, logits: np.ndarray) -> Iterator[Measurement]:
    """What was said, beside what the harness makes of these logits.

    Both rows are about the evaluation: it asked for logits, and got those of something else.
    """
    name = specimen.config.training.loss
    loss_function, predict = LOSSES[name]
    targets, scored = held_out_targets(name, logits, specimen.dataset, look.rows)
    expected = accuracy(predict(logits), targets, scored), float(loss_function(logits, targets))
    answers = targets.size if scored is None else int(scored.sum())
    for row in beside(look.when, look.got, expected, answers):
        yield replace(row, subject=EVALUATION)


def _looks(whole: WholeTraining) -> Iterator[Look]:
    """Those to take once more: the last on the way, some before it, and that at the end."""
    record, taken = whole.record, whole.recorder.count
    points = list(zip(record.evaluated_at, record.accuracy, record.held_out_loss, strict=True))
    # The one before the first step is left out: nothing can be left over from before it.
    places = {round((i + 1) / len(SHARES) * (len(points) - 1)) for i in range(len(SHARES))}
    for place in sorted(places & set(range(len(points)))):
        step, share, loss = points[place]
        if 0 <= step <= taken:
            got = float(share), float(loss)
            yield Look(int(step), _some(whole), got, f"after step {step}")
    everything = np.arange(len(whole.specimen.dataset.held_out_x))
    yield Look(taken, everything, (record.final_accuracy, record.final_loss), "at the end")


def _some(whole: WholeTraining) -> np.ndarray:
    """The examples that are looked at on the way."""
    total = len(whole.specimen.dataset.held_out_x)
    return spread(whole.specimen.config.training.evaluate_rows or total, total)


def _put_at(whole: WholeTraining, model: Model, step: int) -> None:
    """Put a model where the training was after so many steps."""
    steps = whole.recorder.part(step, step + 1, whole.rates)
    values, places = steps.values[0], zip(steps.slices, steps.shapes, strict=True)
    arrays = [values[place].reshape(shape) for place, shape in places]
    put(whole.specimen.backend, model, arrays)
