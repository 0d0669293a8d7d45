"""Checks judge a record: pure functions, found by looking through this folder.

Packages may add more through the entry point group `harness.checks` (a module each).
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from pkgutil import iter_modules
from types import ModuleType

from harness.checks.base import Check, Verdict
from harness.config import MilestoneConfig
from harness.record import RunRecord


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


def judge(config: MilestoneConfig, record: RunRecord) -> list[Verdict]:
    """The verdict of every check. A check that raises is an error verdict, the others go on."""
    return [_judged(check, config, record) for check in all_checks()]


def _judged(check: Check, config: MilestoneConfig, record: RunRecord) -> Verdict:
    try:
        return check(config, record)
    except Exception as error:  # whatever a check may raise, the others must be heard
        return Verdict(
            check=check.name,
            status="error",
            reason=f"the check itself failed: {type(error).__name__}: {error}",
            hint="This is a bug of the check, not of the model.",
            evidence={"traceback": traceback.format_exc()},
            stage=check.stage,
        )
