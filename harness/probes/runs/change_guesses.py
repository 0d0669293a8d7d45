"""What a wrong gradient or step looks as if: simple accounts of the whole of it, in words.

A guess is taken only when it leaves nothing to explain.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np

from harness.oracles.optimizers import CLIP_EPS, Rule, clipped
from harness.probes.runs.stepping import (
    FITS,
    Comparison,
    Steps,
    disagreement,
    expected_changes,
)

# A share of a number that is a round number but for rounding.
ROUND = 1e-3


@dataclass(frozen=True)
class Guess:
    """An account in words, and what it is about: "rate", "clip", "tensor", or any other thing."""

    words: str
    about: str = ""


@dataclass(frozen=True)
class Declared:
    """What the steps of a run should be: `make` makes the rule without its options."""

    steps: Steps
    labels: Sequence[str]
    make: Callable[..., Rule]
    options: Mapping[str, Any] = field(default_factory=dict)
    max_norm: float | None = None
    epoch: int = 1

    def rule(self) -> Rule:
        """The rule with its options."""
        return self.make(**self.options)

    def given(self) -> Steps:
        """The steps with the gradients that the optimizer should get: clipped, if declared."""
        return self.steps if self.max_norm is None else clip(self.steps, self.max_norm)


def clip(steps: Steps, max_norm: float, eps: float = CLIP_EPS[0]) -> Steps:
    """The steps with all gradients of each clipped together."""
    rows = [clipped([row], max_norm, eps)[0] for row in steps.gradients]
    return replace(steps, gradients=np.array(rows))


# --- steps --------------------------------------------------------------------------------------

# Words, what they are about, and the changes (steps, numbers) that would then have been made.
Account = tuple[str, str, np.ndarray]


def guess_change(declared: Declared, comparison: Comparison) -> Guess | None:
    """The first account that explains all tensors whose steps are wrong."""
    wrong = wrong_tensors(comparison)
    accounts = (
        _undone,
        _done_twice,
        _other_rates,
        _without_options,
        _forgetting,
        _other_gradients,
        _from_the_start,
        _swapped,
    )
    for account in accounts:
        for words, about, changes in account(declared, comparison, wrong):
            errors = disagreement(declared.given(), changes).errors[:, wrong]
            if (errors <= FITS).all():
                return Guess(words, about)
    return None


def wrong_tensors(comparison: Comparison) -> np.ndarray:
    """The positions of the tensors that are wrong in some step."""
    return np.flatnonzero(~(comparison.errors <= FITS).all(axis=0))


def _numbers(steps: Steps, tensors: Iterable[int]) -> np.ndarray:
    """The positions of the numbers of some tensors."""
    slices = steps.slices
    return np.concatenate([np.arange(slices[i].start, slices[i].stop) for i in tensors])


def _undone(declared: Declared, comparison: Comparison, wrong: np.ndarray) -> Iterator[Account]:
    """Steps in which nothing moves."""
    steps, columns = declared.given(), _numbers(declared.steps, wrong)
    still = (steps.changes[:, columns] == 0.0).all(axis=1)
    still &= (comparison.expected[:, columns] != 0.0).any(axis=1)
    if still.all():
        yield "as if there were none", "tensor", np.zeros_like(comparison.expected)
    elif still.any():
        arrived = steps.arrived & ~still[:, None]
        rested = expected_changes(replace(steps, arrived=arrived), declared.rule, steps.rates)
        yield f"as if {_listed('step', still)} were left out", "", rested


def _done_twice(declared: Declared, comparison: Comparison, wrong: np.ndarray) -> Iterator[Account]:
    """Two steps for each."""
    steps = declared.given()

    class Twice:
        """The rule, applied twice to the same gradient."""

        def __init__(self) -> None:
            self.rule = declared.rule()

        def change(self, p: np.ndarray, g: np.ndarray, rate: float) -> np.ndarray:
            first = self.rule.change(p, g, rate)
            return np.asarray(first + self.rule.change(p + first, g, rate))

        def rest(self) -> None:
            self.rule.rest()

    yield "as if it was done twice", "tensor", expected_changes(steps, Twice, steps.rates)


def _other_rates(
    declared: Declared, comparison: Comparison, wrong: np.ndarray
) -> Iterator[Account]:
    """Every change is right but for a factor, one a step, or one a tensor."""
    steps = declared.given()
    factors = _factors(steps.changes, comparison.expected, _numbers(steps, wrong))
    about = "rate" if len(wrong) == len(steps.shapes) else ""
    if len(_numbers(steps, wrong)) == 1 and np.ptp(factors) > ROUND * abs(factors[0, 0]):
        return  # such factors say nothing of a single number
    yield _rate_words(np.asarray(steps.rates), factors), about, factors * comparison.expected
    own, seen = np.ones(comparison.expected.shape), []
    for tensor in wrong:
        place = steps.slices[tensor]
        factor = _factors(steps.changes, comparison.expected, np.arange(place.start, place.stop))
        own[:, place] = factor
        seen.append(float(np.median(factor)))
    shown = ", ".join(
        f"{factor:.3g} for {declared.labels[tensor]}"
        for factor, tensor in list(zip(seen, wrong, strict=True))[:3]
    )
    yield f"as if each had a learning rate of its own, times {shown}", "", own * comparison.expected


def _factors(got: np.ndarray, expected: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """(steps, 1) by how much some numbers of each step are too large; 1 where nothing is due."""
    a, b = got[:, columns], expected[:, columns]
    size = np.sum(b * b, axis=1, keepdims=True)
    together = np.sum(a * b, axis=1, keepdims=True)
    return np.asarray(np.divide(together, size, out=np.ones_like(size), where=size > 0.0))


def _rate_words(rates: np.ndarray, factors: np.ndarray) -> str:
    """What the learning rates seem to be."""
    factors = factors[:, 0]
    if np.ptp(factors) <= ROUND * abs(factors[0]):
        return f"as if the learning rate were {factors[0]:.3g} times the declared one"
    real = rates * factors
    if np.ptp(real) <= ROUND * abs(real[0]):
        return f"as if the learning rate stayed at {real[0]:.3g}"
    first = int((np.abs(factors - 1.0) > ROUND).argmax())
    when = f"from step {first + 1} on " if first > 1 else ""
    start = first if when else 0
    shown = (row[start : start + 4] for row in (real, rates))
    some, declared = (", ".join(f"{rate:.3g}" for rate in row) for row in shown)
    return f"as if {when}the learning rates were {some}, ... and not {declared}, ..."


def _without_options(
    declared: Declared, comparison: Comparison, wrong: np.ndarray
) -> Iterator[Account]:
    """One option, or all, are as if they had not been given."""
    steps, options = declared.given(), declared.options
    for name in options:
        others = {key: value for key, value in options.items() if key != name}
        yield f"as if {name} were not given", "", _by(steps, partial(declared.make, **others))
    yield "as if no option were given", "", _by(steps, declared.make)


def _by(steps: Steps, rule: Callable[[], Rule]) -> np.ndarray:
    return expected_changes(steps, rule, steps.rates)


def _forgetting(declared: Declared, comparison: Comparison, wrong: np.ndarray) -> Iterator[Account]:
    """What the optimizer remembers is lost on the way."""
    steps, epoch = declared.given(), declared.epoch
    for every, when in ((1, "at every step"), (epoch, "at every epoch")):
        parts = [
            _by(_between(steps, start, start + every), declared.rule)
            for start in range(0, len(steps.gradients), every)
        ]
        yield f"as if the optimizer were made anew {when}", "", np.concatenate(parts)


def _between(steps: Steps, start: int, end: int) -> Steps:
    """Some of the steps."""
    return replace(
        steps,
        values=steps.values[start : end + 1],
        gradients=steps.gradients[start:end],
        arrived=steps.arrived[start:end],
        rates=steps.rates[start:end],
    )


def _other_gradients(
    declared: Declared, comparison: Comparison, wrong: np.ndarray
) -> Iterator[Account]:
    """The optimizer got other gradients than those that had arrived."""
    steps = declared.given()
    for words, about, gradients in _changed_gradients(declared, steps):
        yield words, about, _by(replace(steps, gradients=gradients), declared.rule)
    late = np.vstack([np.zeros((1, steps.gradients.shape[1])), steps.gradients[:-1]])
    shifted = np.vstack([np.zeros_like(steps.arrived[:1]), steps.arrived[:-1]])
    words = "as if it took the gradients of the step before"
    stale = replace(steps, gradients=late, arrived=shifted)
    for rates in (steps.rates, [0.0, *steps.rates[:-1]]):
        yield words, "", expected_changes(stale, declared.rule, rates)


def _changed_gradients(declared: Declared, steps: Steps) -> Iterator[Account]:
    raw, g = declared.steps.gradients, steps.gradients
    if declared.max_norm is not None:
        limit, whole = declared.max_norm, _norms(raw, [slice(None)])
        own = np.maximum(_norms(raw, steps.slices), limit)
        yield "as if they were not clipped", "clip", raw
        yield "as if every tensor were clipped by itself", "clip", raw * limit / own
        yield "as if every number were clipped", "clip", np.clip(raw, -limit, limit)
        yield "as if they were scaled to the largest norm", "clip", raw * limit / whole
        square = np.maximum(whole**2, limit)
        yield "as if the square of the norm were held against it", "clip", raw * limit / square
    yield "as if the gradient had the other sign", "", -g
    yield "as if only the sign of the gradient counted", "", np.sign(g)
    yield "as if every gradient were scaled to length 1", "", g / _norms(g, steps.slices)
    yield "as if all gradients were scaled to length 1", "", g / _norms(g, [slice(None)])
    yield "as if every gradient lost its mean", "", g - _means(g, steps.slices)
    before = np.vstack([np.zeros_like(g[:1]), g[:-1]])
    yield "as if the gradients of the step before were added", "", g + before
    yield "as if all gradients so far were added up", "", np.cumsum(g, axis=0)


def _norms(numbers: np.ndarray, slices: Sequence[slice]) -> np.ndarray:
    """(steps, numbers) the norm of the part that each number stands in; never zero."""
    out = np.empty_like(numbers)
    for place in slices:
        out[:, place] = np.linalg.norm(numbers[:, place], axis=1, keepdims=True)
    return np.asarray(np.maximum(out, np.finfo(out.dtype).tiny))


def _means(numbers: np.ndarray, slices: Sequence[slice]) -> np.ndarray:
    out = np.empty_like(numbers)
    for place in slices:
        out[:, place] = numbers[:, place].mean(axis=1, keepdims=True)
    return out


def _from_the_start(
    declared: Declared, comparison: Comparison, wrong: np.ndarray
) -> Iterator[Account]:
    """Every step goes back to where the first began, or to where the one before it did."""
    values = declared.steps.values[:-1].astype(np.float64)
    yield "as if it started from the first weights", "", values[0] - values + comparison.expected
    before = np.vstack([values[:1], values[:-1]])
    words = "as if it started from the weights of the step before"
    yield words, "", before - values + comparison.expected


def _swapped(declared: Declared, comparison: Comparison, wrong: np.ndarray) -> Iterator[Account]:
    """Each wrong tensor moves as another of its shape should."""
    steps, changes, words = declared.given(), comparison.expected.copy(), []
    for tensor in wrong:
        for other in twins(steps, int(tensor)):
            moved = steps.changes[:, steps.slices[tensor]]
            due = comparison.expected[:, steps.slices[other]]
            if _near(moved, due):
                changes[:, steps.slices[tensor]] = due
                words.append(f"{declared.labels[tensor]} as {declared.labels[other]} should")
    if words:
        yield f"as if moving {', '.join(words[:3])}", "tensor", changes


def twins(steps: Steps, tensor: int) -> list[int]:
    """The other tensors of the same shape."""
    alike = [i for i, shape in enumerate(steps.shapes) if shape == steps.shapes[tensor]]
    return [i for i in alike if i != tensor]


def _near(got: np.ndarray, expected: np.ndarray) -> bool:
    off, size = np.linalg.norm(got - expected), np.linalg.norm(expected)
    return bool(off <= ROUND * size) and bool(size > 0.0)


def _listed(noun: str, flags: np.ndarray) -> str:
    """ "steps 2, 4 and 6": the numbers, from 1, of those that are set."""
    numbers = [str(i + 1) for i in np.flatnonzero(flags)]
    if len(numbers) == 1:
        return f"{noun} {numbers[0]}"
    return f"{noun}s {', '.join(numbers[:-1])} and {numbers[-1]}"
