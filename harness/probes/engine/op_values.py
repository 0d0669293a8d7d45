"""What every op, loss and layer computes, against closed forms that do not use the engine.

In float64 without a graph, in float32 with one: in both ways that an engine is used.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

import numpy as np

from harness.backends.base import Backend
from harness.measurement import Measurement, NotMeasurableError
from harness.probes.rounding import SINGLE, compared_in_double, compared_in_single, in_single
from harness.probes.runs.stepping import crashed
from harness.probes.trials.cases.pool import Pool
from harness.probes.trials.layouts import laid_out
from harness.probes.trials.locating import forward_place, placed
from harness.probes.trials.of_engine import NOTHING, all_trials
from harness.probes.trials.trial import Trial

# Far more than float64 rounds to, and less than a check minds.
FITS = 1e-7

# Of many numbers in float32, whoever adds them up one after the other may be off by more.
FITS_LARGE = 1e-4

# An output in float64 and one in float32, or what it raised instead.
Outputs = tuple[np.ndarray, np.ndarray] | Exception


def measure(backend: Backend, seed: int = 0) -> Iterator[Measurement]:
    """Two rows for each case, in float64 and in float32; layers in evaluation mode."""
    is_known = False
    for trials in all_trials(backend, Pool(seed, 1), training=False):
        outputs = [(trial, _outputs(backend, trial, way)) for way, trial in enumerate(trials, 1)]
        for row in _best(backend, [(trial, got) for trial, got in outputs if got is not None]):
            is_known = True
            yield row
    if not is_known:
        raise NotMeasurableError(NOTHING)


def _outputs(backend: Backend, trial: Trial, way: int) -> Outputs | None:
    """What a trial gives, its inputs laid out in one of several ways; None if it may refuse."""
    try:
        return _both(backend, trial, way)
    except Exception as error:  # a broken engine may raise anything
        return None if trial.may_refuse else error


def _both(backend: Backend, trial: Trial, way: int) -> tuple[np.ndarray, np.ndarray]:
    wide = [None if array is None else laid_out(array, way) for array in trial.arrays]
    with backend.no_grad():
        first = np.array(backend.array(trial.run(wide, ()).output))
    recorded = trial.run(in_single(trial.arrays), trial.varied)
    return first, np.array(backend.array(recorded.output))


def readings(backend: Backend, trial: Trial, way: int) -> list[list[Measurement]]:
    """The rows of one trial under each right convention; raises what the engine raises."""
    got = _both(backend, trial, way)
    return [_rows(trial, got, convention) for convention in range(len(trial.oracles))]


def misfit(rows: Iterable[Measurement]) -> float:
    """How badly a convention fits these rows: the least is the engine's own."""
    errors = (row.error for row in rows)
    return sum(1.0 if math.isnan(error) else min(error, 1.0) for error in errors)


def _best(backend: Backend, outputs: Sequence[tuple[Trial, Outputs]]) -> Iterator[Measurement]:
    """The rows under the one convention that fits all cases of a name best."""
    best: list[list[Measurement]] = []
    least = math.inf
    for convention in range(max((len(trial.oracles) for trial, _ in outputs), default=0)):
        tried = [_rows(trial, got, convention) for trial, got in outputs]
        total = misfit(row for rows in tried for row in rows)
        if total < least:
            best, least = tried, total
        if total <= FITS:
            break
    for (trial, _), rows in zip(outputs, best, strict=False):
        is_right = all(row.error <= FITS for row in rows)
        yield from rows if is_right else placed(rows, forward_place(backend, trial))


def _rows(trial: Trial, got: Outputs, convention: int) -> list[Measurement]:
    name, what = trial.subject, f"value for {trial.what}"
    if isinstance(got, Exception):
        return [crashed(name, what, got)]
    try:
        expected = trial.oracles[convention](trial.arrays)
    except NotImplementedError:
        return []
    except (ValueError, KeyError, IndexError) as error:  # not this convention's parameters
        return [Measurement(name, f"{what}: {error}", math.nan, math.nan, math.inf)]
    wide, narrow = got
    single = compared_in_single(name, what, narrow, expected, trial.arrays)
    if single.error > 0.0:  # may be for the inputs, which were rounded first
        rounded = in_single(trial.arrays)
        expected_of = trial.oracles[convention](rounded)
        single = compared_in_single(name, what, narrow, expected_of, rounded)
    if trial.is_large and single.error <= FITS_LARGE:
        single = replace(single, error=0.0)
    # What comes of integers and floats together is a convention.
    if narrow.dtype.kind == "f" and narrow.dtype != SINGLE and not trial.may_refuse:
        bits = 8.0 * narrow.dtype.itemsize
        single = Measurement(name, f"bits of the {what}, in float32", bits, 32.0, math.inf)
    return [compared_in_double(name, what, wide, expected), single]
