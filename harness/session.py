"""One `harness run`, from the names of milestones to a saved scorecard."""

from __future__ import annotations

import signal
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future, wait
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

from harness import backends, config_files
from harness.atomic_files import held
from harness.backends.base import Backend, shown_path
from harness.checks import chosen, judge_engine, probes_for
from harness.config import MilestoneConfig
from harness.errors import (
    BackendError,
    ConfigError,
    HarnessError,
    JobCrashedError,
    JobError,
    JobTimeoutError,
    NotSupportedError,
    OutputError,
    Problem,
    UsageError,
)
from harness.executors import IsolatedExecutor
from harness.explanation import Explanation
from harness.preparation import Facts, Outline, facts, known_to, prepare
from harness.provenance import gather
from harness.record import EngineRecord
from harness.results import engine_result, failed_engine_result
from harness.runner import (
    EngineJob,
    Job,
    Outcome,
    examine_engine,
    get_ready,
    in_order,
    plan,
    rehearse,
    run,
    without_verdict,
)
from harness.scorecard import EngineResult, Scorecard, assemble, open_folder, save

T = TypeVar("T")


@dataclass(frozen=True)
class Request:
    """What the user asked for.

    `explain` is the label of a tensor of the only milestone, `checkpoints` are as in a Job.
    """

    names: Sequence[str]
    out: Path
    seeds: range
    jobs: int
    backend: str = "numpy"
    timeout: float | None = None
    changes: Sequence[str] = ()
    fail_fast: bool = False
    checks: Sequence[str] = ()
    skip: Sequence[str] = ()
    explain: str | None = None
    checkpoints: tuple[int, ...] | None = None
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
    names = chosen(request.checks, request.skip)
    asked, request = request, replace(request, backend=backends.located(request.backend))
    engine = load_backend(request.backend, request.timeout)
    with ExitStack() as holding:
        executor = IsolatedExecutor(request.jobs, request.timeout)
        holding.callback(executor.shutdown, cancel_futures=True)
        # While it is looked at, all that may keep the jobs from running is found out.
        looked = _look(executor, EngineJob(request.backend, probes_for("engine", names)))
        configs = _load_all(request.names, engine, request.changes)
        if request.explain is not None and len(configs) != 1:
            raise UsageError(
                f"--explain needs one milestone, got {len(configs)}",
                "A tensor has one path: harness run NAME --explain LABEL.",
            )
        jobs = plan(configs, request.seeds, request.backend, names, request.checkpoints)
        executor.share(get_ready, request.backend, jobs[0].probes)
        known = _known(executor.share(_load_data, configs), configs, request.timeout)
        steps = {name: each.steps for name, each in known.items()}
        ran = _run(jobs, looked, request, executor, steps, on_start, on_outcome, holding)
        data = {name: each.digest for name, each in known.items()}
        scorecard = _assembled(ran, request, asked.backend, engine, configs, data)
        records = [outcome.record for outcome in ran.outcomes if outcome.record is not None]
        return Finished(scorecard, save(scorecard, records, request.out), ran.interrupted)


def _look(executor: IsolatedExecutor, job: EngineJob) -> Future[EngineRecord] | None:
    """The look at an engine, when anything about it is asked."""
    if not job.probes:
        return None
    executor.share(get_ready, job.backend, job.probes)
    return executor.submit(examine_engine, job)


def _assembled(
    ran: _Ran,
    request: Request,
    asked: str,
    engine: Backend,
    configs: Sequence[MilestoneConfig],
    data: dict[str, str],
) -> Scorecard:
    """The scorecard, with where it comes from; `asked` is what --backend was given."""
    return assemble(
        [outcome.result for outcome in ran.outcomes],
        gather(
            backend=engine.name,
            backend_version=engine.version,
            backend_from="" if asked == backends.VOCABULARY else asked,
            seeds=request.seeds,
            configs={each.name: each.digest for each in configs},
            data=data,
            settings={each.name: each.decisive for each in configs},
            modified=request.changes,
            blas_threads=request.blas_threads,
        ),
        ran.engine,
    )


def _hold(folder: Path, holding: ExitStack) -> None:
    """Keep other runs out of the folder until the results are in it; raises OutputError."""
    try:
        holding.enter_context(held(folder))
    except BlockingIOError as error:
        raise OutputError(
            f"another run is writing to {folder}",
            "Name another folder with --out DIR, or wait until that has ended.",
        ) from error


def load_backend(name: str, timeout: float | None) -> Backend:
    """The backend of that name; one from elsewhere is imported in a process of its own first.

    Raises BackendError for one that does not survive that: it would take this process along.
    """
    if not backends.is_shipped(name):
        executor = IsolatedExecutor(1, timeout)
        try:
            died = executor.submit(_try_to_load, name).exception()
        finally:
            executor.shutdown(cancel_futures=True)
        if isinstance(died, JobError):
            shown = shown_path(name)
            raise BackendError(f"{shown}: while it was imported, {died.message}", died.hint)
    return backends.load(name)


def _try_to_load(name: str) -> None:
    with suppress(HarnessError):  # raised again where it is loaded for good
        backends.load(name)


def prepared(names: Sequence[str], backend: str, changes: Sequence[str] = ()) -> list[Outline]:
    """The outlines of the milestones of these names or files, made in this process."""
    engine = backends.load(backend)
    configs = _load_all(names, engine, changes)
    return _each(configs, lambda config: prepare(config, engine))


def _load_all(
    names: Sequence[str], engine: Backend, changes: Sequence[str]
) -> list[MilestoneConfig]:
    """Each milestone once; all problems of all files at once."""
    known = known_to(engine)
    configs: dict[Path, MilestoneConfig] = {}
    problems: list[Problem] = []
    for name in names:
        file = config_files.find(name)
        try:
            configs[file.resolve()] = config_files.load(file, known, changes)
        except ConfigError as error:
            problems += error.problems
    if problems:
        raise ConfigError(problems)
    found = [each.name for each in configs.values()]
    for name in found:
        if found.count(name) > 1:
            raise UsageError(f"two of the configs are named '{name}'", "Rename one of them.")
    return list(configs.values())


def _known(
    loading: Future[dict[str, Facts] | ConfigError],
    configs: Sequence[MilestoneConfig],
    timeout: float | None,
) -> dict[str, Facts]:
    """What is known of the data, once they are there; raises ConfigError or JobError."""
    recipes = ", ".join(dict.fromkeys(f"'{each.data.recipe}'" for each in configs))
    try:
        known = loading.result(timeout)
    except TimeoutError:
        message = f"the data are not there after {timeout:g} s: recipe {recipes}"
        raise JobTimeoutError(message, "Look at the recipe, or raise --timeout.") from None
    except JobError as error:
        message = f"the data could not be loaded, recipe {recipes}: {error.message}"
        raise JobCrashedError(message, "Look at the recipe.") from error
    if isinstance(known, ConfigError):
        raise known
    return known


def _load_data(configs: Sequence[MilestoneConfig]) -> dict[str, Facts] | ConfigError:
    """What is known of each milestone's data, which from now on are in memory.

    They are in that of the process which all jobs are forked from; the session needs none.
    """
    try:
        return dict(zip([each.name for each in configs], _each(configs, facts), strict=True))
    except ConfigError as error:
        return error


def _each(configs: Sequence[MilestoneConfig], step: Callable[[MilestoneConfig], T]) -> list[T]:
    """`step` of every config; all problems of all of them at once."""
    done: list[T] = []
    errors: list[ConfigError] = []
    for each in configs:
        try:
            done.append(step(each))
        except ConfigError as error:
            errors.append(error)
    _raise_together(errors)
    return done


def _raise_together(errors: Sequence[ConfigError]) -> None:
    if errors:
        hints = dict.fromkeys(error.hint for error in errors if error.hint)
        raise ConfigError([each for error in errors for each in error.problems], " ".join(hints))


@dataclass(frozen=True)
class _Ran:
    """All outcomes in order, the engine's own result, and whether the user interrupted."""

    outcomes: list[Outcome]
    engine: EngineResult | None
    interrupted: bool


def _run(
    jobs: Sequence[Job],
    looked: Future[EngineRecord] | None,
    request: Request,
    executor: IsolatedExecutor,
    steps: Mapping[str, int],
    on_start: Callable[[int], None],
    on_outcome: Callable[[Outcome], None],
    holding: ExitStack,
) -> _Ran:
    outcomes: list[Outcome] = []
    interrupted = False
    explained: Explanation | None = None
    try:
        broken = _rehearse(jobs, executor)
        explained = _explain(jobs[0], request.explain, executor, broken)
        open_folder(request.out)
        _hold(request.out, holding)
        on_start(len(jobs))
        outcomes += [without_verdict(job, broken[job.config.name]) for job in jobs
                     if job.config.name in broken]  # fmt: skip
        fit = [job for job in jobs if job.config.name not in broken]
        fit = [] if request.fail_fast and broken else fit
        for outcome in run(fit, executor, request.jobs, request.fail_fast, steps):
            outcomes.append(outcome)
            on_outcome(outcome)
        if looked:
            wait([looked])
    except KeyboardInterrupt:
        with suppress(ValueError):  # only the main thread may say so
            signal.signal(signal.SIGINT, signal.SIG_IGN)  # a second one must not lose the results
        interrupted = True
        looked = looked if looked and looked.done() else None
    finally:
        executor.shutdown(cancel_futures=True)
    why_not = "interrupted" if interrupted else "stopped after the first failure (--fail-fast)"
    first, *others = in_order(jobs, outcomes, why_not)
    result = first.result.model_copy(update={"explanation": explained})
    ordered = [replace(first, result=result), *others]
    return _Ran(ordered, _engine(looked, jobs), interrupted)


def _explain(
    job: Job, label: str | None, executor: Executor, broken: Mapping[str, JobError]
) -> Explanation | None:
    """How a tensor gets its gradient, looked at before anything is trained.

    Raises UsageError when the milestone has no such tensor.
    """
    if label is None:
        return None
    from harness.explaining import explain

    if isinstance(lacks := broken.get(job.config.name), NotSupportedError):
        return Explanation(label, problem=lacks.message)
    future = executor.submit(explain, job, label)
    error = future.exception()
    if isinstance(error, JobError):
        return Explanation(label, problem=f"its path could not be followed: {error.message}")
    told = future.result()
    if isinstance(told, UsageError):
        raise told
    return told


def _engine(looked: Future[EngineRecord] | None, jobs: Sequence[Job]) -> EngineResult | None:
    """The engine's result, when it was looked at."""
    if looked is None or looked.cancelled():
        return None
    error = looked.exception()
    if error is None:
        return engine_result(looked.result(), judge_engine(looked.result(), jobs[0].checks))
    if not isinstance(error, JobError):
        raise error
    return failed_engine_result(backends.load(jobs[0].backend).name, error)


def _rehearse(jobs: Sequence[Job], executor: Executor) -> dict[str, JobError]:
    """Milestones whose engine does not survive two examples, and what it died of.

    Raises ConfigError with all problems when it is the configs that are at fault.
    """
    first = {job.config.name: job for job in jobs}
    futures = {name: executor.submit(rehearse, job) for name, job in first.items()}
    errors: list[ConfigError] = []
    broken: dict[str, JobError] = {}
    for name, future in futures.items():
        died = future.exception()
        if isinstance(died, JobError):
            broken[name] = died
        elif (error := future.result()) is not None:
            errors.append(error)
    _raise_together(errors)
    return broken
