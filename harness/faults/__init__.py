"""Planted bugs, one family a file: what the checks are held against by `harness selftest`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from pkgutil import iter_modules

from harness import backends
from harness.errors import JobNotRunError, UsageError, did_you_mean
from harness.faults.base import Fault
from harness.faults.ground import Ground

_NOT_FAMILIES = ("base", "composed", "ground")


def families() -> list[str]:
    """The names of all families."""
    return [module.name for module in iter_modules(__path__) if module.name not in _NOT_FAMILIES]


@cache
def all_faults() -> dict[str, Fault]:
    """Every fault by name, family by family."""
    return {
        value.name: value
        for family in families()
        for value in vars(import_module(f"{__name__}.{family}")).values()
        if isinstance(value, Fault)
    }


def find(name: str) -> Fault:
    """The fault of that name; raises UsageError, with a suggestion, when there is none."""
    known = all_faults()
    if name not in known:
        raise UsageError(
            f"unknown fault '{name}'.{did_you_mean(name, known)}",
            "'harness selftest --list' shows all.",
        )
    return known[name]


@contextmanager
def planted(name: str | None, backend: str) -> Iterator[Ground]:
    """The ground of one job, with the fault of that name in it until the block ends."""
    ground = Ground(backends.load(backend))
    try:
        if name is not None:
            _plant(find(name), ground)
        yield ground
    finally:
        ground.restore()


def _plant(fault: Fault, ground: Ground) -> None:
    """A fault that no longer fits the code must not pass for one that was caught."""
    try:
        fault.plant(ground)
    except Exception as error:
        what = f"fault '{fault.name}' cannot be planted: {type(error).__name__}: {error}"
        raise JobNotRunError(what) from error
