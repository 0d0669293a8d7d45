"""From milestones to results: plan the jobs, execute each, judge what it recorded.

The probes are imported where jobs run: whoever only starts them has no use for them.
"""

from __future__ import annotations

import traceback
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from importlib import import_module
from typing import cast

from harness import backends, datasets, on_record
from harness.arguments import accepts
from harness.backends.base import Backend
from harness.checks import judge, only_by_probes, probes_for
from harness.config import MilestoneConfig
from harness.costs import count as count_cost
from harness.errors import (
    ConfigError,
    JobCrashedError,
    JobError,
    JobNotRunError,
    NotSupportedError,
)
from harness.preparation import not_offered, prepare, unknown_to_the_harness
from harness.probes.models.walking import specs
from harness.record import EngineRecord, RunRecord
from harness.results import failed_result, judged_result
from harness.scorecard import Result
from harness.training import planned_steps, train
from harness.watches.checkpoints import doubling


@dataclass(frozen=True)
class Job:
    """One training run: all that a process needs to know, small and picklable.

    `backend` is what `backends.load` finds it by in any process. `probes` look at the model before
    it is trained, or afterwards at all that its training did.
    `checks` names those to judge by, all when None. `fault` is a planted bug. `checkpoints` are
    the steps that leave fingerprints, counted from 0; None for 0, 1, 2, 4, 8, ... and the last.
    """

    config: MilestoneConfig
    seed: int
    backend: str = "numpy"
    probes: tuple[str, ...] = ()
    checks: frozenset[str] | None = None
    fault: str | None = None
    checkpoints: tuple[int, ...] | None = None


@dataclass(frozen=True)
class EngineJob:
    """One look at an engine itself."""

    backend: str
    probes: tuple[str, ...]
    fault: str | None = None


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its result, and its record when there is one."""

    job: Job
    result: Result
    record: RunRecord | None = None


def plan(
    configs: Sequence[MilestoneConfig],
    seeds: Iterable[int],
    backend: str,
    checks: frozenset[str] | None = None,
    checkpoints: tuple[int, ...] | None = None,
) -> list[Job]:
    """One job for each milestone and seed, milestone by milestone.

    Probes look at the first seed only: what they see is the same on all others. They look at
    every seed where nothing would be judged without them.
    """
    seeds = list(seeds)
    needed = probes_for("milestone", checks)
    probed = seeds if only_by_probes(checks) else seeds[:1]
    return [
        Job(config, seed, backend, needed if seed in probed else (), checks, None, checkpoints)
        for config in configs
        for seed in seeds
    ]


def rehearse(job: Job) -> ConfigError | None:
    """Send two examples through a milestone: what is wrong with its config, if anything.

    Raises NotSupportedError where the engine lacks what it names, and JobCrashedError where the
    config is right, as the harness's own engine takes it, and this engine does not.
    Runs in a process of its own like `execute`: an engine may hang or die in any layer.
    """
    engine = backends.load(job.backend)
    try:
        prepare(job.config, engine)
    except ConfigError as error:
        if engine.name == backends.VOCABULARY or not _is_right(job.config):
            return error
        raise JobCrashedError(
            f"the engine {engine.name} does not take it: {error.problems[0]}",
            "The config is right, as the harness's own engine takes it.",
            traceback.format_exc(),
        ) from error
    return None


def _is_right(config: MilestoneConfig) -> bool:
    """Whether the harness's own engine can train it."""
    try:
        prepare(config, backends.load(backends.VOCABULARY))
    except (ConfigError, NotSupportedError):
        return False
    return True


def get_ready(backend: str, names: Sequence[str]) -> None:
    """Find out what all jobs with these probes would: a process that is forked now knows it."""
    from harness import probes

    for module in ("faults", "probes.runs.whole", "probes.trials.layers"):
        import_module(f"harness.{module}")
    probes.load(names)
    for factory in backends.load(backend).namespace.layers.values():
        accepts(factory, "rng")


def execute(job: Job) -> RunRecord:
    """Probe and train one milestone on one seed; runs the same in any process."""
    from harness import probes
    from harness.faults import planted
    from harness.probes.models.specimen import Specimen
    from harness.probes.runs.short_run import Watched
    from harness.probes.runs.whole import WholeTraining

    with planted(job.fault, job.backend) as ground:
        config, dataset = ground.of(job.config)
        specimen = Specimen(config, ground.backend, dataset, job.seed)
        before, after = (probes.among(kind, job.probes) for kind in ("milestone", "training"))
        probed = probes.examine("milestone", before, specimen)
        uses = specimen.uses()
        kept = Watched(ground.backend) if after else None
        backend = cast(Backend, kept) if kept else ground.backend
        closely = job.checkpoints
        if closely is None:
            closely = tuple(doubling(planned_steps(config, dataset)))
        record = train(config, backend, dataset, job.seed, closely)
        if kept:
            whole = WholeTraining(specimen, record, kept)
            probed.add(probes.examine("training", after, whole))
        if job.probes:
            record.cost = count_cost(config, ground.backend, dataset, job.seed)
    record.probed, record.uses = probed, uses
    record.seconds["probing"] = sum(probed.seconds.values())
    return record


def examine_engine(job: EngineJob) -> EngineRecord:
    """Probe an engine apart from any milestone; runs the same in any process."""
    from harness import probes
    from harness.faults import planted
    from harness.probes.trials.layers import untried

    with planted(job.fault, job.backend) as ground:
        backend = ground.backend
        probed = probes.examine("engine", job.probes, backend)
        lacks = [*not_offered(backend), *untried(backend), *unknown_to_the_harness(backend)]
        return EngineRecord(backend.name, probed, lacks)


def run(
    jobs: Sequence[Job],
    executor: Executor,
    at_once: int,
    fail_fast: bool = False,
    steps: Mapping[str, int] | None = None,
) -> Iterator[Outcome]:
    """The outcome of every job, each as soon as it is known, `at_once` jobs at a time.

    Where several run, the longest start first, so that none is left over at the end. With
    `fail_fast`, they start in their order, and nothing more does after a job that does not pass.
    `steps` says how many each milestone takes; without it, they are counted on its data.
    """
    is_ordered = fail_fast or at_once == 1
    waiting = deque(
        jobs if is_ordered else sorted(jobs, key=lambda job: _length(job, steps), reverse=True)
    )
    running: dict[Future[RunRecord], Job] = {}
    while waiting or running:
        while waiting and len(running) < at_once:
            job = waiting.popleft()
            running[executor.submit(execute, job)] = job
        done, _ = wait(running, return_when=FIRST_COMPLETED)
        for future in done:
            outcome = _outcome(running.pop(future), future)
            if fail_fast and outcome.result.status != "pass":
                waiting.clear()
            yield outcome


def _length(job: Job, steps: Mapping[str, int] | None) -> int:
    """About how long a job takes: a step costs about as much as there are layers."""
    name = job.config.name
    count = steps[name] if steps else planned_steps(job.config, datasets.load(job.config))
    return count * len(specs(job.config.layers))


def in_order(jobs: Sequence[Job], outcomes: Sequence[Outcome], why_not: str) -> list[Outcome]:
    """The outcomes in the order of the jobs; a job without one was not run, and says why."""
    error = JobNotRunError(f"it was not run: {why_not}")
    known = {id(outcome.job): outcome for outcome in outcomes}
    return [known.get(id(job)) or without_verdict(job, error) for job in jobs]


def _outcome(job: Job, future: Future[RunRecord]) -> Outcome:
    error = future.exception()
    if error is None:
        record = future.result()
        verdicts = judge(job.config, record, on_record.load(job.config.name), job.checks)
        return Outcome(job, judged_result(job.config, record, verdicts), record)
    if not isinstance(error, JobError):
        raise error
    return without_verdict(job, error)


def without_verdict(job: Job, error: JobError) -> Outcome:
    """The outcome of a job that came to nothing, and why."""
    backend = backends.load(job.backend).name
    return Outcome(job, failed_result(job.config, job.seed, backend, error))
