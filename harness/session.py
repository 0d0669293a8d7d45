"""One `harness run`, from the names of milestones to a saved scorecard."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from harness import backends, config
from harness.backends.base import Backend
from harness.config import MilestoneConfig
from harness.errors import ConfigError, Problem, UsageError
from harness.executors import IsolatedExecutor
from harness.preparation import Outline, known_to, prepare
from harness.provenance import gather
from harness.runner import Job, Outcome, in_order, plan, run
from harness.scorecard import Scorecard, assemble, open_folder, save


@dataclass(frozen=True)
class Request:
    """What the user asked for."""

    names: Sequence[str]
    out: Path
    seeds: range
    jobs: int
    backend: str = "numpy"
    timeout: float | None = None
    changes: Sequence[str] = ()
    fail_fast: bool = False
    blas_threads: int | None = None


@dataclass(frozen=True)
class Finished:
    """The scorecard, where it was saved, and whether the user cut the run short."""

    scorecard: Scorecard
    file: Path
    interrupted: bool


def run_session(
    request: Request,
    on_start: Callable[[int], None] = lambda count: None,
    on_outcome: Callable[[Outcome], None] = lambda outcome: None,
) -> Finished:
    """Check everything, train everything, judge it and save the scorecard.

    Raises a HarnessError before anything is trained or overwritten when the request
    cannot be met. `on_start` hears how many jobs there are, `on_outcome` of each.
    """
    outlines = prepared(request.names, request.backend, request.changes)
    open_folder(request.out)
    jobs = plan([outline.config for outline in outlines], request.seeds, request.backend)
    on_start(len(jobs))
    outcomes, interrupted = _run(jobs, request, on_outcome)
    scorecard = assemble(
        [outcome.result for outcome in outcomes],
        gather(
            backend=request.backend,
            seeds=request.seeds,
            configs={outline.config.name: outline.config.digest for outline in outlines},
            data={outline.config.name: outline.dataset.digest for outline in outlines},
            modified=request.changes,
            blas_threads=request.blas_threads,
        ),
    )
    records = [outcome.record for outcome in outcomes if outcome.record is not None]
    return Finished(scorecard, save(scorecard, records, request.out), interrupted)


def prepared(names: Sequence[str], backend: str, changes: Sequence[str] = ()) -> list[Outline]:
    """The outlines of the milestones of these names or files, ready to be trained."""
    engine = backends.load(backend)
    return _prepare_all(_load_all(names, engine, changes), engine)


def _load_all(
    names: Sequence[str], engine: Backend, changes: Sequence[str]
) -> list[MilestoneConfig]:
    """Each milestone once; all problems of all files at once."""
    known = known_to(engine)
    configs: dict[Path, MilestoneConfig] = {}
    problems: list[Problem] = []
    for name in names:
        file = config.find(name)
        try:
            configs[file.resolve()] = config.load(file, known, changes)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    found = [each.name for each in configs.values()]
    for name in found:
        if found.count(name) > 1:
            raise UsageError(f"two of the configs are named '{name}'", "Rename one of them.")
    return list(configs.values())


def _prepare_all(configs: Sequence[MilestoneConfig], engine: Backend) -> list[Outline]:
    """The outlines of all milestones; all problems of all of them at once."""
    outlines: list[Outline] = []
    problems: list[Problem] = []
    for each in configs:
        try:
            outlines.append(prepare(each, engine))
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    return outlines


def _run(
    jobs: Sequence[Job], request: Request, on_outcome: Callable[[Outcome], None]
) -> tuple[list[Outcome], bool]:
    """All outcomes in order, and whether the user interrupted."""
    executor = IsolatedExecutor(request.jobs, request.timeout)
    outcomes: list[Outcome] = []
    interrupted = False
    try:
        for outcome in run(jobs, executor, request.jobs, request.fail_fast):
            outcomes.append(outcome)
            on_outcome(outcome)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        executor.shutdown(cancel_futures=True)
    why_not = "interrupted" if interrupted else "stopped after the first failure (--fail-fast)"
    return in_order(jobs, outcomes, why_not), interrupted
