"""`rows_of` a short training: its gradients beside a twin's, its changes beside the rule's.

What is wrong is told in the order of time, each with the simplest account that explains it all.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from harness import training
from harness.config import MilestoneConfig
from harness.datasets.base import Dataset
from harness.measurement import Measurement
from harness.oracles.optimizers import CLIP_EPS, RULES
from harness.probes.comparing import compared
from harness.probes.counting import counted
from harness.probes.models.specimen import Specimen
from harness.probes.runs.change_guesses import Declared, Guess, clip, guess_change, wrong_tensors
from harness.probes.runs.declared import declared_options, declared_readings
from harness.probes.runs.gradient_guesses import AGREES, gradient_errors, guess_gradient
from harness.probes.runs.optimizer_manners import CLIP
from harness.probes.runs.short_run import ShortRun, changed, first_of, trained
from harness.probes.runs.stepping import FITS, Comparison, Steps, disagreement, fitting
from harness.probes.runs.twin import by_hand, expected_gradients

LOOP, RATE, EVALUATION = "the training loop", "learning rate", "the evaluation"
# Settings that training itself sees to, and what a wrong one is about.
_PLAIN = {"clip_grad_norm": "clip", "lr_decay": "rate"}
# An optimizer by itself is right when it is so much nearer to its rule than training is.
NEARER = 0.1

# The step that a row is about.
Dated = tuple[int, Measurement]


@dataclass(frozen=True)
class Bench:
    """Where short trainings of a milestone are run."""

    specimen: Specimen
    few: Dataset

    def train(self, config: MilestoneConfig) -> ShortRun:
        """A training on a few examples."""
        return trained(self.specimen, config, self.few)

    @property
    def optimizer(self) -> str:
        """Its name."""
        return self.specimen.config.training.optimizer


def rows_of(bench: Bench, run: ShortRun, expected: np.ndarray, what: str) -> Iterator[Measurement]:
    """Rows about the number of steps, the gradients of the first few, and all changes.

    `what` goes before the words of each.
    """
    yield counted(LOOP, f"{what}steps", run.taken, len(run.batches))
    count = len(run.steps.gradients)
    gradients = _gradients(bench, run, expected[:count], what) if len(expected) else ()
    yield from told_in_order(bench, run, gradients, what)


def told_in_order(
    bench: Bench, run: ShortRun, gradients: Iterable[Dated], what: str
) -> Iterator[Measurement]:
    """Rows about an evaluation that moves tensors, else about gradients and all changes."""
    moved = list(_moved_by_evaluation(run, what))
    yield from moved
    if len(run.steps.gradients) and not moved:
        calm = replace(run, steps=_before_overflow(run.steps))
        changes = _changes(bench, calm, what) if len(calm.steps.gradients) else ()
        dated = [*gradients, *changes]
        yield from (row for _, row in sorted(dated, key=lambda each: each[0]))


def _moved_by_evaluation(run: ShortRun, what: str) -> Iterator[Measurement]:
    """About values that are others after every evaluation, and after nothing else."""
    before = run.steps.values[: len(run.starts)]
    moved = np.flatnonzero((run.starts != before).any(axis=1))
    every = run.config.training.evaluate_every
    if len(moved) and np.array_equal(moved, np.arange(0, len(before), every)):
        step = int(moved[0])
        row = compared(EVALUATION, "", run.starts[step], before[step])
        words = f"{what}values after the evaluation before step {step + 1}"
        yield replace(row, what=words, error=math.inf)


def _row(
    got: np.ndarray, expected: np.ndarray, slices: Sequence[slice], errors: np.ndarray,
    subject: str, what: str, step: int, tensor: int,
) -> Dated:  # fmt: skip
    """About the number of a tensor that is furthest off in a step."""
    a, b = got[step, slices[tensor]], expected[step, slices[tensor]]
    at = int(np.argmax(np.abs(np.subtract(a, b, dtype=np.float64))))
    error = float(errors[step, tensor])
    return step, Measurement(subject, what, float(a[at]), float(b[at]), error)


def _worst(errors: np.ndarray, tolerance: float) -> tuple[int, int]:
    """The first step that is wrong, and the tensor that is worst in it."""
    step = int((~(errors <= tolerance)).any(axis=1).argmax())
    return step, int(np.argmax(np.nan_to_num(errors[step], nan=np.inf)))


def _are_few(wrong: np.ndarray, steps: Steps) -> bool:
    """Whether it is single tensors that are wrong, not the whole."""
    return 2 * len(wrong) <= len(steps.shapes)


def _names(run: ShortRun, tensors: np.ndarray) -> str:
    """Which they are, in a word where they are all."""
    if len(tensors) == len(run.labels):
        return "every tensor"
    names = [run.labels[i] for i in tensors]
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


# --- gradients --------------------------------------------------------------------------------


def _gradients(bench: Bench, run: ShortRun, expected: np.ndarray, what: str) -> Iterator[Dated]:
    """About those that backward left in the first steps."""
    count, steps = len(expected), first_of(run.steps, len(expected))
    errors = gradient_errors(steps, expected)
    size = float(np.linalg.norm(expected))
    words = f"{what}gradients of {count} steps beside those of a model by itself"
    if (errors <= AGREES).all():
        yield 0, Measurement(LOOP, words, size, size, float(errors.max()))
        return
    is_whole = count == len(run.steps.gradients)
    if is_whole and not _is_replayed(bench, run, expected):
        words = f"{words}, not compared: it draws otherwise every time"
        yield 0, Measurement(LOOP, words, math.nan, math.nan, 0.0)
        return
    numbers = list(range(count))
    specimen = bench.specimen if is_whole else None
    yield from wrong_gradients(specimen, run, expected, errors, numbers, what)


def wrong_gradients(
    specimen: Specimen | None,
    run: ShortRun,
    expected: np.ndarray,
    errors: np.ndarray,
    numbers: Sequence[int],
    what: str,
) -> Iterator[Dated]:
    """About gradients that are wrong in some of the first steps, which have these numbers.

    With a specimen there is also an account of them, if one is found.
    """
    steps = first_of(run.steps, len(expected))
    wrong = np.flatnonzero(~(errors <= AGREES).all(axis=0))
    guess = guess_gradient(specimen, run, expected, wrong) if specimen else ""
    after = f", {guess}" if guess else ""
    step, worst = _worst(errors, AGREES)
    row = partial(_row, steps.gradients, expected, steps.slices, errors)
    text = f"{what}gradient of {_names(run, wrong)} in step {numbers[step] + 1}{after}"
    blamed = [(LOOP, text, worst)]
    if not steps.arrived[:, wrong].any() and _are_few(wrong, steps):
        own = [(run.labels[i], f"{what}gradient{after}", int(i)) for i in wrong]
        blamed = [*own, *blamed]
    for subject, words, tensor in blamed:
        yield numbers[step], row(subject, words, step, tensor)[1]


def _is_replayed(bench: Bench, run: ShortRun, expected: np.ndarray) -> bool:
    """Whether batches and gradients are the same when they are asked for again."""
    again = training.batches(run.config, bench.few, bench.specimen.seed)
    pairs = zip(again, run.batches, strict=False)
    if not all(np.array_equal(x, a) and np.array_equal(y, b) for (x, y), (a, b) in pairs):
        return False
    return np.array_equal(expected_gradients(bench.specimen, run), expected)


# --- changes ----------------------------------------------------------------------------------


def _changes(bench: Bench, run: ShortRun, what: str) -> Iterator[Dated]:
    """About what every step did with the gradients that there were."""
    if bench.optimizer not in RULES:
        yield from _without_rule(bench, run, what)
        return
    comparison = _compared(run)
    if comparison.fits:
        words = f"{what}changes in {len(run.steps.gradients)} steps"
        size = float(np.linalg.norm(comparison.expected))
        error = float(comparison.errors.max())
        yield 0, Measurement(bench.optimizer, words, size, size, error)
        return
    declared = _declared(run)
    guess = guess_change(declared, comparison)
    alone = by_hand(bench.specimen, run.config, declared.given())
    is_right = _is_nearer(alone, run.steps.changes, comparison, run.steps)
    yield from _blamed(bench, run, comparison, guess, is_right, what)


def _before_overflow(steps: Steps) -> Steps:
    """The steps up to the first that had too large a gradient to say what it should do."""
    largest = np.abs(steps.gradients).max(axis=1) * np.maximum(steps.rates, 1.0)
    is_calm = largest <= math.sqrt(np.finfo(steps.values.dtype).max)  # NaN is not
    return first_of(steps, len(is_calm) if is_calm.all() else int(is_calm.argmin()))


def _declared(run: ShortRun) -> Declared:
    """What the steps should be by PyTorch's reading of the optimizer."""
    section = run.config.training
    make = RULES[section.optimizer][0]
    options = declared_options(run.config)
    return Declared(run.steps, run.labels, make, options, section.clip_grad_norm, run.epoch)


def _compared(run: ShortRun) -> Comparison:
    """The changes beside those of the first right reading that fits: of rule, rates and norm."""
    steps, norm = run.steps, run.config.training.clip_grad_norm
    readings = list(declared_readings(run.config, list(steps.rates)))
    if norm is None:
        return fitting(steps, readings)
    comparisons = [fitting(clip(steps, norm, CLIP_EPS[0]), readings)]
    if not comparisons[0].fits:
        comparisons += [fitting(clip(steps, norm, eps), readings) for eps in CLIP_EPS[1:]]
    return next((each for each in comparisons if each.fits), comparisons[0])


def _is_nearer(
    alone: np.ndarray, training: np.ndarray, comparison: Comparison, steps: Steps
) -> bool:
    """Whether the optimizer by itself does what it should where training did not."""
    columns = np.concatenate([np.r_[steps.slices[i]] for i in wrong_tensors(comparison)])
    due = comparison.expected[:, columns]
    own, off = (float(np.linalg.norm(each[:, columns] - due)) for each in (alone, training))
    return math.isfinite(own) and not own >= NEARER * off  # training may have gone to NaN


def _blamed(
    bench: Bench,
    run: ShortRun,
    comparison: Comparison,
    guess: Guess | None,
    is_right: bool,
    what: str,
) -> Iterator[Dated]:
    """About tensors, where it is single ones, and about what moves them."""
    steps, errors, wrong = run.steps, comparison.errors, wrong_tensors(comparison)
    row = partial(_row, steps.changes, comparison.expected, steps.slices, errors)
    after = f", {guess.words}" if guess else ""
    step, worst = _worst(errors, FITS)
    if guess and guess.about == "tensor" and _are_few(wrong, steps):
        for tensor in wrong:
            yield row(run.labels[tensor], f"{what}change{after}", step, int(tensor))
    text = f"{what}change of {_names(run, wrong)} in step {step + 1}{after}"
    for subject in _subjects(bench, run, guess, is_right):
        yield row(subject, text, step, worst)


def _subjects(bench: Bench, run: ShortRun, guess: Guess | None, is_right: bool) -> list[str]:
    """Who is to blame, first of all the optimizer unless it does what it should by itself."""
    about = guess.about if guess else _suspect(bench, run) if is_right else ""
    if about == "clip":
        return [CLIP, LOOP] if is_right else [bench.optimizer, CLIP]
    if about == "rate":
        return [LOOP, RATE] if is_right else [bench.optimizer, LOOP, RATE]
    return [LOOP] if is_right else [bench.optimizer]


def _suspect(bench: Bench, run: ShortRun) -> str:
    """What a run is about that is right without one of its settings."""
    for name, about in _PLAIN.items():
        if bench.optimizer in RULES and getattr(run.config.training, name) is not None:
            plain = bench.train(changed(run.config, **{name: None}))
            if _compared(plain).fits:
                return about
    return ""


def _without_rule(bench: Bench, run: ShortRun, what: str) -> Iterator[Dated]:
    """About an optimizer of which no rule is known: training must do what it does by itself."""
    steps, norm = run.steps, run.config.training.clip_grad_norm
    given = steps if norm is None else clip(steps, norm)
    comparison = disagreement(given, by_hand(bench.specimen, run.config, given))
    if comparison.fits:
        words = f"{what}changes beside those of an optimizer by itself"
        yield 0, Measurement(LOOP, words, math.nan, math.nan, float(comparison.errors.max()))
    else:
        yield from _blamed(bench, run, comparison, None, True, what)
    for tensor, place in enumerate(steps.slices):
        if steps.gradients[:, place].any() and not steps.changes[:, place].any():
            words = f"{what}change in all steps, though there is a gradient"
            yield 0, Measurement(run.labels[tensor], words, 0.0, math.nan, math.inf)
