"""Engines: one a file, each a `BACKEND`, imported when it is asked for."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from harness.backends.base import Backend
from harness.errors import UsageError, did_you_mean


def available() -> list[str]:
    """Names of the engines that come with the harness."""
    return [module.name for module in iter_modules(__path__) if module.name != "base"]


def load(name: str) -> Backend:
    """The engine of that name; raises UsageError when there is none."""
    names = available()
    if name not in names:
        raise UsageError(
            f"unknown backend '{name}'.{did_you_mean(name, names)}", f"Known: {', '.join(names)}"
        )
    backend: Backend = import_module(f"{__name__}.{name}").BACKEND
    return backend
