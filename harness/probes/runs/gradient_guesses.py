"""What a wrong gradient looks as if: simple accounts of all steps of a run, in words."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain

import numpy as np

from harness.probes.models.specimen import Specimen
from harness.probes.runs.change_guesses import ROUND, twins
from harness.probes.runs.short_run import Batch, ShortRun
from harness.probes.runs.stepping import Steps
from harness.probes.runs.twin import gradients_of

# Gradients of float32 are sums of up to some thousand terms; what is below a share of the
# largest of the model may be a difference of such sums.
AGREES = 1e-4
SMALL = 1e-2
# One this small is rounding, of which no account can be given.
NEGLIGIBLE = 1e-6

# Words, and what the gradients (steps, numbers) would then be.
Account = tuple[str, np.ndarray]


def gradient_errors(steps: Steps, expected: np.ndarray) -> np.ndarray:
    """(steps, tensors) distance from the expected gradient, as a share of its size.

    What is not finite in both, in the same places, is no distance.
    """
    starts = [place.start for place in steps.slices]

    def norms(numbers: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(np.add.reduceat(numbers * numbers, starts, axis=1)))

    size = norms(expected.astype(np.float64))
    difference = np.subtract(steps.gradients, expected, dtype=np.float64)
    difference[~np.isfinite(steps.gradients) & ~np.isfinite(expected)] = 0.0
    off = norms(difference)
    scale = np.maximum(size, SMALL * size.max(axis=1, keepdims=True))
    errors = np.divide(off, scale, out=np.full(size.shape, np.inf), where=scale > 0.0)
    return np.asarray(np.where(off == 0.0, 0.0, errors))


def guess_gradient(
    specimen: Specimen, run: ShortRun, expected: np.ndarray, wrong: np.ndarray
) -> str:
    """The words of the first account that explains all wrong tensors; none: an empty text."""
    steps = run.steps
    if not steps.arrived[:, wrong].any():
        return "none arrived"
    sizes = np.array([np.linalg.norm(expected[:, steps.slices[i]]) for i in wrong])
    wrong = wrong[sizes >= NEGLIGIBLE * sizes.max()]
    if not len(wrong):  # what is expected is not finite
        return ""
    accounts: Iterator[Account] = chain(
        _multiples(run, expected, wrong),
        _changed(steps, expected),
        _swapped(run, expected, wrong),
        _of_other_batches(specimen, run),
    )
    for words, gradients in accounts:
        errors = gradient_errors(steps, gradients)[:, wrong]
        if (errors <= AGREES).all():
            return words
    return ""


# --- of what is there already -----------------------------------------------------------------


def _multiples(run: ShortRun, expected: np.ndarray, wrong: np.ndarray) -> Iterator[Account]:
    """So many times the right gradient, and so many times what was left by the step before.

    Factors that differ from step to step say nothing of a single number.
    """
    steps = run.steps
    got = steps.gradients.astype(np.float64)
    left = np.vstack([np.zeros_like(got[:1]), got[:-1]])
    columns = np.concatenate([np.r_[steps.slices[i]] for i in wrong])
    own = _shares(got[:, columns], expected[:, columns])
    kept = _shares((got - expected)[:, columns], left[:, columns])
    rows = np.array([len(x) for x, _ in run.batches[: len(got)]])
    is_free = len(columns) > 1
    for words, factors in _own_words(own, rows, is_free):
        yield words, factors[:, None] * expected
    for words, factors in _kept_words(kept, is_free):
        yield words, expected + factors[:, None] * left
    yield "as if it were that of the step before", left
    every = np.cumsum(expected, axis=0)
    yield "as if it were the mean of those so far", every / np.arange(1, len(got) + 1)[:, None]


def _shares(got: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """(steps,) how many times the expected numbers fit what was got."""
    size = np.sum(expected * expected, axis=1, dtype=np.float64)
    together = np.sum(got * expected, axis=1, dtype=np.float64)
    return np.asarray(np.divide(together, size, out=np.zeros_like(size), where=size > 0.0))


def _own_words(
    factors: np.ndarray, rows: np.ndarray, is_free: bool
) -> Iterator[tuple[str, np.ndarray]]:
    """Accounts of gradients that are so many times too large."""
    if len(set(rows)) > 1:
        yield "as if it were that of the sum over the batch, not of the mean", rows
        yield "as if it were divided by the size of the batch once more", 1.0 / rows
    same = float(np.median(factors))
    yield f"as if it were {same:.3g} times as large", np.full(len(factors), same)
    if is_free:
        some = ", ".join(f"{factor:.3g}" for factor in factors[:4])
        yield f"as if it were {some}, ... times as large", factors


def _kept_words(factors: np.ndarray, is_free: bool) -> Iterator[tuple[str, np.ndarray]]:
    """Accounts of gradients to which those of the step before were added."""
    before = "the gradients of the step before were added"
    yield f"as if {before}", np.ones(len(factors))
    same = float(np.median(factors[1:])) if len(factors) > 1 else 0.0
    yield f"as if {same:.3g} times {before}", np.full(len(factors), same)
    if is_free:
        added = [str(i + 1) for i in np.flatnonzero(np.abs(factors) > ROUND)]
        yield f"as if {before} in steps {', '.join(added)}", factors


def _changed(steps: Steps, expected: np.ndarray) -> Iterator[Account]:
    """Every gradient by itself, or all together, made into something else."""
    unit, centred, whole = (np.array(expected, dtype=np.float64) for _ in range(3))
    for place in steps.slices:
        part = unit[:, place]
        unit[:, place] = part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-30)
        centred[:, place] -= centred[:, place].mean(axis=1, keepdims=True)
    whole /= np.maximum(np.linalg.norm(whole, axis=1, keepdims=True), 1e-30)
    yield "as if it were scaled to length 1", unit
    yield "as if all were scaled to length 1 together", whole
    yield "as if its mean were taken from it", centred
    yield "as if only its sign counted", np.sign(expected)


def _swapped(run: ShortRun, expected: np.ndarray, wrong: np.ndarray) -> Iterator[Account]:
    """Each wrong tensor has the gradient of another of its shape."""
    steps, gradients, words = run.steps, expected.copy(), []
    for tensor in wrong:
        for other in twins(steps, int(tensor)):
            got, due = steps.gradients[:, steps.slices[tensor]], expected[:, steps.slices[other]]
            off = np.linalg.norm(np.subtract(got, due, dtype=np.float64))
            if off <= AGREES * np.linalg.norm(due):
                gradients[:, steps.slices[tensor]] = due
                words.append(f"{run.labels[tensor]} had that of {run.labels[other]}")
                break
    if words:
        yield f"as if {', '.join(words[:3])}", gradients


# --- of what else might have been asked -------------------------------------------------------


def _of_other_batches(specimen: Specimen, run: ShortRun) -> Iterator[Account]:
    """At other weights, or of other examples; each is a look at the twin."""
    steps, batches = run.steps, run.batches[: len(run.steps.gradients)]
    values = list(steps.values[: len(batches)])

    def of(some: Sequence[np.ndarray], others: Sequence[Batch]) -> np.ndarray:
        return gradients_of(specimen, steps, some, others)

    yield "as if it were taken after the step", of(list(steps.values[1:]), batches)
    earlier = [values[0], *values[:-1]]
    yield "as if it were taken at the weights of the step before", of(earlier, batches)
    first = [(x[: -(-len(x) // 2)], y[: -(-len(y) // 2)]) for x, y in batches]
    second = [(x[-(len(x) // 2) :], y[-(len(y) // 2) :]) for x, y in batches]
    one, two = of(values, first), of(values, second)
    yield "as if it were that of the first half of the batch", one
    yield "as if it were that of the second half of the batch", two
    are_halved = np.array([[len(x) > 1] for x, _ in batches])
    yield "as if it were the sum of those of two half batches", one + two * are_halved
    yield "as if it were that of the batch before", of(values, [batches[0], *batches[:-1]])
    yield "as if it were that of the batch after", of(values, [*batches[1:], batches[-1]])
    yield "as if it were always that of the first batch", of(values, [batches[0]] * len(batches))
