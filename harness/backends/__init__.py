"""Engines: those that come with the harness, one a file here, and those of anybody else.

A shipped one is a module of this folder that has a `BACKEND`; other modules here are parts of
those. All are imported when they are asked for, and none before.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import import_module
from importlib.machinery import PathFinder
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from pkgutil import iter_modules

from harness.backends.base import Backend
from harness.backends.foreign import (
    backend_of_file,
    backend_of_module,
    backend_of_point,
    is_path,
    standing_beside,
)
from harness.errors import UsageError, did_you_mean

# The engine whose namespace says what a config may name.
VOCABULARY = "numpy"
# The entry point group in which a package announces an engine: a `Backend`, or its module.
GROUP = "harness.backends"


@cache
def available() -> tuple[str, ...]:
    """Names of the engines that come with the harness; nothing is imported to tell."""
    names = [module.name for module in iter_modules(__path__)]
    return tuple(name for name in names if _has_backend(name))


def announced() -> dict[str, EntryPoint]:
    """The engines that installed packages announce, by name; nothing is imported to tell."""
    return {point.name: point for point in entry_points(group=GROUP)}


def is_shipped(name: str) -> bool:
    """Whether an engine of that name comes with the harness."""
    return name == VOCABULARY or name in available()


def located(name: str) -> str:
    """What `load` finds the same engine by from any folder: a path becomes a full one."""
    return str(Path(name).resolve()) if is_path(name) else name


def load(name: str) -> Backend:
    """The engine of that name: a shipped one, an announced one, a dotted module or a .py file.

    Raises UsageError when there is none, and BackendError when it is none to work with.
    """
    if is_shipped(name):
        return _shipped(name)
    if is_path(name):
        return backend_of_file(Path(name).resolve(), available())
    points = announced()
    if name in points:
        return backend_of_point(points[name], available())
    if "." in name:
        return backend_of_module(name, available())
    names = [*available(), *points]
    raise UsageError(
        f"unknown backend '{name}'.{did_you_mean(name, names) or standing_beside(name)}",
        f"Known: {', '.join(names)}; a dotted module or a path to a .py file works too, and "
        "`harness backend new NAME` writes one.",
    )


def _shipped(name: str) -> Backend:
    try:
        backend: Backend = import_module(f"{__name__}.{name}").BACKEND
    except ImportError as error:
        missing = (error.name or "").split(".")[0]
        if missing in ("", "harness"):
            raise
        raise UsageError(
            f"backend '{name}' needs the package {missing}, which is not installed",
            f"Install it with: pip install 'milestone-harness[{name}]'",
        ) from error
    return backend


def _has_backend(name: str) -> bool:
    """Whether the text of a module of this folder assigns a BACKEND."""
    spec = PathFinder.find_spec(name, list(__path__))
    if spec is None or spec.origin is None:
        return False
    text = Path(spec.origin).read_text(encoding="utf-8")
    return re.search(r"^BACKEND\b.*=", text, flags=re.MULTILINE) is not None
