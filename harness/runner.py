"""From milestones to results: plan the jobs, execute each, judge what it recorded."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass

from harness import backends, datasets
from harness.checks import judge
from harness.config import MilestoneConfig
from harness.errors import ConfigError, JobError, JobNotRunError
from harness.preparation import prepare
from harness.record import RunRecord
from harness.results import failed_result, judged_result
from harness.scorecard import Result
from harness.training import train


@dataclass(frozen=True)
class Job:
    """One training run: all that a process needs to know, small and picklable."""

    config: MilestoneConfig
    seed: int
    backend: str = "numpy"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: its result, and its record when there is one."""

    job: Job
    result: Result
    record: RunRecord | None = None


def plan(configs: Sequence[MilestoneConfig], seeds: Iterable[int], backend: str) -> list[Job]:
    """One job for each milestone and seed, milestone by milestone."""
    seeds = list(seeds)
    return [Job(config, seed, backend) for config in configs for seed in seeds]


def rehearse(job: Job) -> ConfigError | None:
    """Send two examples through a milestone: what is wrong with its config, if anything.

    Runs in a process of its own like `execute`: an engine may hang or die in any layer.
    """
    try:
        prepare(job.config, backends.load(job.backend))
    except ConfigError as error:
        return error
    return None


def execute(job: Job) -> RunRecord:
    """Train one milestone on one seed; runs the same in any process."""
    return train(job.config, backends.load(job.backend), datasets.load(job.config), job.seed)


def run(
    jobs: Sequence[Job], executor: Executor, at_once: int, fail_fast: bool = False
) -> Iterator[Outcome]:
    """The outcome of every job, each as soon as it is known, `at_once` jobs at a time.

    With `fail_fast`, nothing more starts after a job that does not pass.
    """
    waiting = deque(jobs)
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


def in_order(jobs: Sequence[Job], outcomes: Sequence[Outcome], why_not: str) -> list[Outcome]:
    """The outcomes in the order of the jobs; a job without one was not run, and says why."""
    error = JobNotRunError(f"it was not run: {why_not}")
    known = {id(outcome.job): outcome for outcome in outcomes}
    return [known.get(id(job)) or without_verdict(job, error) for job in jobs]


def _outcome(job: Job, future: Future[RunRecord]) -> Outcome:
    error = future.exception()
    if error is None:
        record = future.result()
        return Outcome(job, judged_result(job.config, record, judge(job.config, record)), record)
    if not isinstance(error, JobError):
        raise error
    return without_verdict(job, error)


def without_verdict(job: Job, error: JobError) -> Outcome:
    """The outcome of a job that came to nothing, and why."""
    return Outcome(job, failed_result(job.config, job.seed, job.backend, error))
