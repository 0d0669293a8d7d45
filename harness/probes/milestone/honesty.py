"""Recomputes what the harness reports of itself: losses, accuracies, and what evaluation touches.

With logits that are known, with a model whose answers are known, and in a short training.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from harness import training
from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.evaluation import Evaluation
from harness.measurement import Measurement
from harness.metrics import LOSSES, targets_for
from harness.model import Model
from harness.oracles.losses import VALUES
from harness.probes.comparing import compared
from harness.probes.counting import counted
from harness.probes.models.specimen import Specimen
from harness.probes.runs.known_answers import KnownAnswers, answers_of, known_answers
from harness.probes.runs.recorded import measure_digests, measure_record, measure_watch
from harness.probes.runs.scores import ACCURACY, EVALUATION, put, scores
from harness.probes.runs.short_run import Batch, changed, copies
from harness.probes.runs.witnessed import Witnessed, witnessed
from harness.record import RunRecord
from harness.watches.losses import LossWatch

LOG = "the loss log"
# Up and down, in batches of several sizes: a log that only falls, lags, smooths or cuts is seen.
_SCALES = (0.5, 2.0, 1.0, 100.0, 0.2, 3.0, 0.1)
_ROWS = (5, 5, 3, 5, 1, 8, 8)
_FEW = 4
# A weight that training comes to after a better one: the last counts, not the best.
_WORSE = -1.0


def measure(specimen: Specimen) -> Iterator[Measurement]:
    """What is said of the loss, of the evaluation and in the record, beside what is so."""
    model = specimen.model()
    two = np.concatenate([specimen.dataset.held_out_x[:1]] * 2)
    like = answers_of(specimen, model, two)
    yield from _logged(specimen, like)
    yield from _of_known_answers(known_answers(specimen, like), specimen.config)
    often = witnessed(specimen, evaluate_every=1)
    yield from _left_alone(specimen, model, often.batches[0])
    yield from _losses_of(specimen, model, often)
    yield from _evaluations_of(specimen, model, often)
    yield from measure_record(often)
    yield from measure_watch(specimen.backend, specimen.rng("watch"))
    yield from measure_digests(specimen)
    seldom = witnessed(specimen, evaluate_every=10**6)
    yield from _same_training(often, seldom)


# --- losses -----------------------------------------------------------------------------------


def _logged(specimen: Specimen, like: np.ndarray) -> Iterator[Measurement]:
    """Known logits through the log, and through the engine's loss."""
    name, backend = specimen.config.training.loss, specimen.backend
    watch, expected, engines = LossWatch(LOSSES[name][0]), [], []
    engine_loss = backend.namespace.losses[name]()
    for logits, targets in _known_batches(specimen, like):
        expected.append(VALUES[name](logits.astype(np.float64), targets))
        given = logits.copy()
        watch.after_forward(given, targets)
        given[...] = 0.0  # an engine may use its memory again
        loss = engine_loss(backend.tensor(logits), backend.tensor(targets))
        engines.append(np.asarray(backend.array(loss)))
    of_engine = np.array([float(each.item()) if each.size == 1 else math.nan for each in engines])
    what = "loss of known logits, as the engine has it"
    yield compared(name, what, of_engine, np.array(expected))
    yield compared(LOG, "losses of known logits", watch.finish(), np.array(expected))
    watch.after_forward(np.full_like(given, np.nan), targets)
    finite = int(np.isfinite(watch.finish()[-1]))
    yield counted(LOG, "losses of no numbers that pass for numbers", finite, 0)


def _known_batches(specimen: Specimen, like: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Logits like those of two examples, and targets in the form that training has them in."""
    name, y = specimen.config.training.loss, specimen.dataset.train_y
    rng = specimen.rng("known logits")
    per_example = max(len(like) // 2, 1)
    for scale, rows in zip(_SCALES, _ROWS, strict=True):
        logits = rng.normal(0.0, scale, (rows * per_example, *like.shape[1:])).astype(like.dtype)
        yield logits, targets_for(name, logits, y[rng.integers(0, len(y), rows)])


def _losses_of(specimen: Specimen, model: Model, run: Witnessed) -> Iterator[Measurement]:
    """The losses that a training logged, from its weights and batches."""
    name = specimen.config.training.loss
    if specimen.draws(model, run.batches[0][0]):
        return  # no second pass is like the first
    expected = []
    for values, (x, y) in zip(run.values, run.batches, strict=False):
        put(specimen.backend, model, values)
        logits = answers_of(specimen, model, x)
        expected.append(VALUES[name](logits.astype(np.float64), targets_for(name, logits, y)))
    if np.isfinite(expected).all():  # else training went astray, which others say
        yield compared(LOG, "losses of a short training", run.record.loss, np.array(expected))


# --- evaluations ------------------------------------------------------------------------------


def _of_known_answers(known: KnownAnswers, config: MilestoneConfig) -> Iterator[Measurement]:
    """What evaluations on the way and at the end make of a model whose answers are known."""
    name, total = config.training.loss, len(known.dataset.held_out_x)
    if config.training.evaluate_rows is not None:
        config = changed(config, evaluate_rows=total // _FEW)
    wanted = min(config.training.evaluate_rows or total, total)
    evaluation, record = Evaluation(config, known.dataset), RunRecord(config.name, 0, "")
    evaluation.on_the_way(known.model(), 7, record)
    evaluation.sum_up(record)
    yield counted(EVALUATION, "step of an evaluation", record.evaluated_at[-1], 7)
    yield from _asked(known, "an evaluation on the way", wanted)
    got = record.accuracy[-1], record.held_out_loss[-1]
    yield from scores(name, "on the way", got, *known.answers(sorted(set(known.asked))))
    known.weigh(_WORSE)
    evaluation.on_the_way(known.model(), 8, record)
    known.asked.clear()
    evaluation.at_the_end(known.model(), record)
    other = int(known.weight != _WORSE)
    yield counted(EVALUATION, "weights that are not those after the last step", other, 0)
    known.weigh(_WORSE)
    yield from _asked(known, "the last evaluation", total)
    got = record.final_accuracy, record.final_loss
    yield from scores(name, "at the end", got, *known.answers(range(total)))
    known.logits[...] = np.nan
    evaluation.at_the_end(known.model(), record)
    if known.dataset.held_out_y.min() >= 0:  # -1 stands for no prediction
        none_right = record.final_accuracy
        yield counted(ACCURACY, "accuracy of answers that are no numbers", none_right, 0)
    yield counted(EVALUATION, "questions asked in training mode", sum(known.modes), 0)
    yield counted(EVALUATION, "models left in evaluation mode", int(not known.mode), 0)


def _asked(known: KnownAnswers, who: str, wanted: int) -> Iterator[Measurement]:
    """How many different examples were looked at, each as often as all others."""
    times = np.bincount(known.asked, minlength=1)
    strange = int(times[len(known.logits) :].sum())
    yield counted(EVALUATION, f"training examples that {who} looks at", strange, 0)
    times = times[times > 0]
    yield counted(EVALUATION, f"different examples that {who} looks at", len(times), wanted)
    uneven = int((times != times.min()).sum()) if len(times) else 0
    yield counted(EVALUATION, f"examples that {who} looks at more often than others", uneven, 0)


def _evaluations_of(specimen: Specimen, model: Model, run: Witnessed) -> Iterator[Measurement]:
    """Every accuracy and held-out loss of a short training, from its weights."""
    name, record, dataset = specimen.config.training.loss, run.record, run.dataset
    every = np.arange(record.steps + 1)
    yield compared(EVALUATION, "steps of the evaluations", record.evaluated_at, every)
    other = _unequal(run.ending, run.values[-1])
    yield counted(EVALUATION, "tensors that are not those after the last step", other, 0)
    model.set_training(False)
    mask = dataset.scored_mask
    points = [*zip(record.accuracy, record.held_out_loss, strict=True)]
    last = (record.final_accuracy, record.final_loss)
    for values, got in zip([*run.values, run.values[-1]], [*points, last], strict=False):
        put(specimen.backend, model, values)
        logits = answers_of(specimen, model, dataset.held_out_x)
        if not np.isfinite(logits).all():
            return  # a training that went astray: others say so
        y = dataset.held_out_y.reshape(-1)
        scored = np.ones(y.shape, dtype=bool) if mask is None else mask.reshape(-1)
        yield from scores(name, "during a short training", got, logits, y, scored)


def _left_alone(specimen: Specimen, model: Model, batch: Batch) -> Iterator[Measurement]:
    """What evaluating the real model changes: nothing."""
    backend, parameters = specimen.backend, list(model.parameters.values())
    config = changed(specimen.config, evaluate_rows=_FEW)
    evaluation = Evaluation(config, specimen.dataset)
    training.Learner(config, model).backward(*batch)
    before, gradients = copies(backend, parameters), _gradients(backend, parameters)
    evaluation.on_the_way(model, 0, RunRecord(config.name, 0, ""))
    after, gradients_after = copies(backend, parameters), _gradients(backend, parameters)
    yield counted(EVALUATION, "tensors that it changes", _unequal(after, before), 0)
    yield counted(EVALUATION, "gradients that it changes", _unequal(gradients_after, gradients), 0)


def _same_training(often: Witnessed, seldom: Witnessed) -> Iterator[Measurement]:
    """Whether a training is the same however often it is evaluated."""
    pairs = zip(often.values, seldom.values, strict=False)
    steps = sum(_unequal(some, others) > 0 for some, others in pairs)
    yield counted(EVALUATION, "steps that come out otherwise for having evaluated", steps, 0)
    looks = len(seldom.record.evaluated_at)
    yield counted(EVALUATION, "evaluations on the way where only the first is asked for", looks, 1)


def _gradients(backend: Backend, parameters: Sequence[object]) -> list[np.ndarray]:
    found = (backend.gradient(parameter) for parameter in parameters)
    return [np.zeros(0) if each is None else each.copy() for each in found]


def _unequal(some: Sequence[np.ndarray], others: Sequence[np.ndarray]) -> int:
    pairs = zip(some, others, strict=True)
    return sum(not np.array_equal(mine, other, equal_nan=True) for mine, other in pairs)
