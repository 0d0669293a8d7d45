"""What a milestone does on many seeds of a correct engine, measured and put on record.

`calibrate` trains it on every seed, with a twin that differs by rounding, and each of its
controls on some.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from harness import bands
from harness.calibrating import noise
from harness.checks import all_checks
from harness.checks.accuracy import steps_to
from harness.checks.loss import first_and_last
from harness.config import MilestoneConfig
from harness.curves import curves
from harness.datasets.summary import put_on_record
from harness.errors import JobError
from harness.executors import IsolatedExecutor
from harness.on_record import SCHEMA, Json
from harness.preparation import Outline
from harness.record import RunRecord
from harness.runner import Job, Outcome, run

# Fewer seeds say too little of what hardly any seed does.
LEAST_SEEDS_FOR_BANDS = 100
_QUANTILES = {"lowest": 0.0, "low": 0.01, "median": 0.5, "high": 0.99, "highest": 1.0}


def calibrate(
    outline: Outline,
    seeds: int,
    control_seeds: int,
    jobs: int,
    backend: str = "numpy",
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Json:
    """The calibration of one milestone: bands over `seeds` seeds, and what controls reach."""
    config = outline.config
    outcomes = _train(config, seeds, jobs, backend, on_outcome)
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    failing = [o.result.seed for o in outcomes if o.result.status != "pass"]
    last = [first_and_last(record.loss)[1] for record in records]
    reached = [steps_to(record, config.targets.accuracy) for record in records]
    return {
        "schema": SCHEMA,
        "milestone": config.name,
        "config": config.digest,
        "written": config.written,
        "data": outline.dataset.digest,
        "examples": put_on_record(config.data.model_dump(mode="json"), outline.dataset),
        "backend": backend,
        "numpy": np.__version__,
        "seeds": seeds,
        "failing_seeds": failing,
        "target": config.targets.accuracy,
        "accuracy": _band([record.final_accuracy for record in records]),
        "loss_first": _band([float(record.loss[0]) for record in records]),
        "loss_last": _band(last),
        "loss_curve": _curve(records),
        "steps": records[0].steps,
        "steps_to_target": _band([step for step in reached if step is not None]),
        "controls": {
            label: _control(outline, label, control_seeds, jobs, backend, on_outcome)
            for label in config.controls
        },
        "initial_norm": initial_norms(records),
        "bands": _bands(config, records),
        "comparison": _comparison(config, records, jobs, backend),
    }


def _train(
    config: MilestoneConfig,
    seeds: int,
    jobs: int,
    backend: str,
    on_outcome: Callable[[Outcome], None],
) -> list[Outcome]:
    executor = IsolatedExecutor(jobs)
    # What is on record from the last time must not judge what is to be put on record now.
    checks = frozenset(check.name for check in all_checks() if not check.is_calibrated)
    outcomes = []
    try:
        planned = [Job(config, seed, backend, checks=checks) for seed in range(seeds)]
        for outcome in run(planned, executor, jobs):
            on_outcome(outcome)
            if outcome.record is None:
                raise JobError(f"{config.name}: {outcome.result.verdicts[0].reason}")
            outcomes.append(outcome)
    finally:
        executor.shutdown(cancel_futures=True)
    return sorted(outcomes, key=lambda outcome: outcome.job.seed)


def _control(
    outline: Outline,
    label: str,
    seeds: int,
    jobs: int,
    backend: str,
    on_outcome: Callable[[Outcome], None],
) -> Json:
    """What a control reaches on held-out data; the majority class needs no training."""
    control = outline.config.controls[label]
    if control.layers is None:
        return {"why": control.why, "accuracy": _band([outline.dataset.majority_accuracy])}
    outcomes = _train(outline.config.control(label), seeds, jobs, backend, on_outcome)
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    weights = sum(int(np.prod(shape)) for shape in records[0].shapes)
    accuracies = [record.final_accuracy for record in records]
    return {"why": control.why, "seeds": seeds, "weights": weights, "accuracy": _band(accuracies)}


def _comparison(
    config: MilestoneConfig, records: Sequence[RunRecord], jobs: int, backend: str
) -> Json:
    """What a comparison of branches must know beforehand; see `noise.comparison`."""
    twins = noise.train_twins(config, [record.seed for record in records], jobs, backend)
    return noise.comparison(config, records, twins)


def _band(values: Sequence[float]) -> dict[str, float]:
    """Lowest, 1 %, median, 99 % and highest of the values."""
    if not values:
        return {}
    return {name: round(float(np.quantile(values, q)), 5) for name, q in _QUANTILES.items()}


def _curve(records: Sequence[RunRecord]) -> Json:
    """The band of the loss at about forty steps, evenly spread."""
    losses = np.stack([record.loss for record in records])
    steps = np.unique(np.linspace(0, losses.shape[1] - 1, 40).astype(int))
    return {
        "step": (steps + 1).tolist(),
        **{
            name: np.quantile(losses[:, steps], _QUANTILES[name], axis=0).round(4).tolist()
            for name in ("low", "median", "high")
        },
    }


def initial_norms(records: Sequence[RunRecord]) -> Json:
    """The smallest and the largest norm that each tensor started with."""
    norms = np.stack([record.initial_norm for record in records])
    ends = zip(norms.min(axis=0), norms.max(axis=0), strict=True)
    return {
        label: [float(f"{end:.5g}") for end in pair]
        for label, pair in zip(records[0].labels, ends, strict=True)
    }


def _bands(config: MilestoneConfig, records: Sequence[RunRecord]) -> Json:
    """The bands of all curves; none when too few seeds took all steps."""
    whole = [record for record in records if record.steps == record.planned_steps > 1]
    if len(whole) < LEAST_SEEDS_FOR_BANDS:
        return {}
    null = config.expectations.null_gradients
    return bands.fit([curves(record, null) for record in whole])
