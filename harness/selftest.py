"""`harness selftest`: every planted fault, and every milestone without one, under all checks.

The faults are bugs put in on purpose (harness.faults). What sees them is trusted to see
others; what complains about a healthy engine or a harmless variant is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, as_completed
from dataclasses import dataclass, replace
from importlib import import_module
from time import perf_counter

import numpy as np

from harness import on_record, probes
from harness.checks import all_checks, judge, judge_engine, probes_for
from harness.config import MilestoneConfig
from harness.config_files import milestone_files
from harness.errors import JobError, JobNotRunError, UsageError, did_you_mean
from harness.executors import IsolatedExecutor
from harness.faults import all_faults, families, find, planted
from harness.faults.base import Fault
from harness.kill_matrix import ENGINE, Finding, KillMatrix, Look, Row, early_checks
from harness.runner import EngineJob, Job, examine_engine, execute
from harness.session import prepared

# Enough for times to be medians; rare alarms want more, and get them on request.
HEALTHY_SEEDS = 3


@dataclass(frozen=True)
class Selection:
    """What the user asked for: everything where nothing is named.

    `seed` is that of all faults, and the first of `healthy` ones without a fault.
    """

    families: Sequence[str] = ()
    faults: Sequence[str] = ()
    milestones: Sequence[str] = ()
    seed: int = 0
    jobs: int = 1
    timeout: float | None = None
    backend: str = "numpy"
    healthy: int = HEALTHY_SEEDS


def chosen_faults(selection: Selection) -> list[Fault]:
    """The faults of these families and names, those of some milestones where these are named.

    Raises UsageError, with a suggestion, for a name that does not exist.
    """
    for family in selection.families:
        _require(family, families(), "family")
    for name in selection.milestones:
        _require(name, list(milestone_files()), "milestone")
    named = {find(name).name for name in selection.faults}
    some = bool(selection.families or selection.faults)
    return [
        fault
        for fault in all_faults().values()
        if not some or fault.family in selection.families or fault.name in named
        if not selection.milestones
        or not fault.milestones
        or set(fault.milestones) & set(selection.milestones)
    ]


def _require(name: str, known: Sequence[str], what: str) -> None:
    if name not in known:
        raise UsageError(
            f"unknown {what} '{name}'.{did_you_mean(name, known)}", f"Known: {', '.join(known)}."
        )


def run_selftest(
    selection: Selection,
    on_start: Callable[[int], None] = lambda count: None,
    on_look: Callable[[Look], None] = lambda look: None,
) -> KillMatrix:
    """Plant each fault, look at it wherever it can be seen, and at what is healthy, too.

    `on_start` hears how many looks there will be, `on_look` of each. Raises UsageError
    before anything is done for a name that does not exist.
    """
    start, faults = perf_counter(), chosen_faults(selection)
    _prepare_to_fork()
    configs = _smallest_first(selection.backend)
    where = {fault.name: _where(fault, list(configs)) for fault in faults}
    tasks = _plan(selection, where, configs)
    on_start(len(tasks))
    looks = _take_all(tasks, selection, on_look)
    checks = all_checks()
    rows = []
    for fault in faults:
        own = [look for look in looks if look.fault == fault.name]
        is_whole = set(where[fault.name]) == {look.where for look in own if not look.broken}
        rows.append(Row(fault, tuple(own), early_checks(checks), is_whole))
    healthy = tuple(look for look in looks if look.fault is None)
    return KillMatrix(checks, healthy, tuple(rows), selection.seed, perf_counter() - start)


def _prepare_to_fork() -> None:
    """Import now what every job would import for itself: each forks from this process."""
    for kind in probes.KINDS:
        for name in probes.available(kind):
            import_module(f"harness.probes.{kind}.{name}")
    for name in milestone_files():
        on_record.load(name)


def _smallest_first(backend: str) -> dict[str, MilestoneConfig]:
    """All shipped milestones by name, their data in memory; those with few weights first."""
    outlines = prepared(list(milestone_files()), backend)
    outlines.sort(key=lambda outline: sum(map(np.prod, outline.parameters.values())))
    return {outline.config.name: outline.config for outline in outlines}


# --- what to look at ------------------------------------------------------------------------


@dataclass(frozen=True)
class _Task:
    """One look to be taken, in a process of its own."""

    look: Look
    job: Job | EngineJob


def _plan(
    selection: Selection, where: Mapping[str, Sequence[str]], configs: dict[str, MilestoneConfig]
) -> list[_Task]:
    """What is healthy comes first, then fault by fault, then what is healthy once more.

    So a keeper that died on the way is noticed, whatever the faults did.
    """
    asked = selection.milestones or list(configs)
    seeds = range(selection.seed, selection.seed + selection.healthy)

    def tasks(seed: int, places: Sequence[str], fault: str | None) -> list[_Task]:
        return [
            _task(Look(where, seed, fault), configs, selection.backend)
            for where in places
            if where == ENGINE or where in asked
        ]

    everywhere = [ENGINE, *configs]
    planned = tasks(seeds[0], everywhere, None)
    for fault, places in where.items():
        planned += tasks(selection.seed, places, fault)
    for seed in seeds[1:]:
        planned += tasks(seed, everywhere, None)
    return planned


def _where(fault: Fault, milestones: Sequence[str]) -> list[str]:
    """The engine and the milestones that a fault touches, smallest first.

    One that touches none is looked at on the smallest, where a check of milestones must see it.
    An engine that is left as it was would only be looked at once more.
    """
    scopes = {check.name: check.scope for check in all_checks()}
    touched = [name for name in milestones if name in fault.milestones]
    if not touched and any(scopes.get(name) == "milestone" for name in fault.seen_by):
        touched = [milestones[0]]
    return [ENGINE, *touched] if not touched or _reaches_engine(fault) else touched


def _reaches_engine(fault: Fault) -> bool:
    """Whether it breaks something of the engine; where it cannot be planted, a job will say so."""
    try:
        with planted(fault.name, "numpy") as ground:
            return ground.reaches_engine
    except JobNotRunError:
        return True


def _task(look: Look, configs: dict[str, MilestoneConfig], backend: str) -> _Task:
    if look.where == ENGINE:
        return _Task(look, EngineJob(backend, probes_for("engine", None), look.fault))
    needed = probes_for("milestone", None)
    declares = find(look.fault).declares if look.fault else lambda config: config
    config = declares(configs[look.where])
    return _Task(look, Job(config, look.seed, backend, needed, fault=look.fault))


# --- looking --------------------------------------------------------------------------------


def _take_all(
    tasks: Sequence[_Task], selection: Selection, on_look: Callable[[Look], None]
) -> list[Look]:
    """All looks in the order of the tasks, `jobs` at a time."""
    executor = IsolatedExecutor(selection.jobs, selection.timeout)
    try:
        futures = {executor.submit(take, task.look, task.job): task for task in tasks}
        for future in as_completed(futures):
            on_look(_taken(futures[future].look, future))
    finally:
        executor.shutdown(cancel_futures=True)
    return [_taken(task.look, future) for future, task in futures.items()]


def take(look: Look, job: Job | EngineJob) -> Look:
    """The look with what all checks say of its job: no record leaves this process."""
    start = perf_counter()
    if isinstance(job, EngineJob):
        engine = examine_engine(job)
        verdicts, probed = judge_engine(engine), engine.probed
    else:
        record = execute(job)
        verdicts = judge(job.config, record, on_record.load(job.config.name), job.checks)
        probed = record.probed
    return replace(
        look,
        findings=tuple(map(Finding.of, verdicts)),
        probes=probed.seconds,
        seconds=perf_counter() - start,
    )


def _taken(look: Look, future: Future[Look]) -> Look:
    """What came of a look. A job that ended badly tells of its fault, if it had one."""
    error = future.exception()
    if error is None:
        return future.result()
    if not isinstance(error, JobError):
        raise error
    if look.fault is None or isinstance(error, JobNotRunError):
        return replace(look, broken=error.message)
    return replace(look, findings=(Finding.of_crash(error.message),))
