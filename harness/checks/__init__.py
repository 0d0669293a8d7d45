"""Checks judge a record: pure functions, found by looking through this folder.

Packages may add more through the entry point group `harness.checks` (a module each).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import ModuleType
from typing import Any

from harness.checks.base import NOT_ASKED_FOR, NOT_PROBED, Check, Scope, Verdict
from harness.checks.crashes import raised_in
from harness.config import MilestoneConfig
from harness.errors import UsageError, did_you_mean
from harness.record import EngineRecord, Probed, RunRecord


@cache
def all_checks() -> tuple[Check, ...]:
    """Every check, early stages first."""
    checks = [
        value
        for module in _modules()
        for value in vars(module).values()
        if isinstance(value, Check)
    ]
    return tuple(sorted(checks, key=lambda check: (check.stage, check.name)))


def _modules() -> Iterator[ModuleType]:
    for module in iter_modules(__path__):
        yield import_module(f"{__name__}.{module.name}")
    for point in entry_points(group="harness.checks"):
        yield point.load()


def chosen(only: Sequence[str] = (), skip: Sequence[str] = ()) -> frozenset[str]:
    """The names of the checks to run: all, or `only` these, less those to skip.

    Raises UsageError, with a suggestion, for a name that no check has.
    """
    known = [check.name for check in all_checks()]
    for name in [*only, *skip]:
        if name not in known:
            raise UsageError(
                f"unknown check '{name}'.{did_you_mean(name, known)}",
                f"Known are {', '.join(sorted(known))}.",
            )
    return frozenset(only or known) - frozenset(skip)


def probes_for(scope: Scope, names: frozenset[str] | None) -> tuple[str, ...]:
    """The probes that the checks of these names (all when None) need, each once."""
    needed = [
        check.probe
        for check in all_checks()
        if check.scope == scope and check.probe and (names is None or check.name in names)
    ]
    return tuple(dict.fromkeys(needed))


def only_by_probes(names: frozenset[str] | None) -> bool:
    """Whether all checks of milestones among these names need a probe."""
    return all(
        check.probe is not None
        for check in all_checks()
        if check.scope == "milestone" and (names is None or check.name in names)
    )


def judge(
    config: MilestoneConfig,
    record: RunRecord,
    calibration: Any = None,  # plain JSON, see harness.on_record
    names: frozenset[str] | None = None,
) -> list[Verdict]:
    """The verdict of every check of a milestone. One that raises is an error, the others go on.

    Checks outside `names` (all when None) are listed as not run.
    """
    return [
        _verdict(
            check,
            record.probed,
            names,
            (config, record, calibration) if check.is_calibrated else (config, record),
        )
        for check in all_checks()
        if check.scope == "milestone"
    ]


def judge_engine(record: EngineRecord, names: frozenset[str] | None = None) -> list[Verdict]:
    """The same for the checks of an engine."""
    return [
        _verdict(check, record.probed, names, (record,))
        for check in all_checks()
        if check.scope == "engine"
    ]


def _verdict(
    check: Check, probed: Probed, names: frozenset[str] | None, observed: tuple[object, ...]
) -> Verdict:
    if names is not None and check.name not in names:
        return check.skipped(NOT_ASKED_FOR)
    if check.probe in probed.unmeasurable:
        return check.skipped(probed.unmeasurable[check.probe])
    if check.probe in probed.crashed:
        return _error(check, f"the probe '{check.probe}' failed", probed.crashed[check.probe])
    if check.probe and check.probe not in probed.measured:
        return check.skipped(NOT_PROBED)
    try:
        return check(*observed)
    except Exception as error:  # whatever a check may raise, the others must be heard
        what = f"the check itself failed: {type(error).__name__}: {error}"
        return _error(check, what, traceback.format_exc())


def _error(check: Check, what: str, details: str) -> Verdict:
    last = details.strip().splitlines()[-1]
    reason = what if last in what or what.endswith(last) else f"{what}: {last}"
    return Verdict(
        check=check.name,
        status="error",
        reason=reason,
        hint="The traceback is in the scorecard: an engine that raises, or a bug of the check.",
        evidence={**raised_in(details), "traceback": details},
        stage=check.stage,
    )
