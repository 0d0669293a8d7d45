"""Reports: one format a file, each a `render(scorecard) -> str`, found by its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from harness.scorecard import Scorecard

# Each shows every milestone; `badge` has room for a few words only.
FORMATS = ("text", "json", "markdown", "github", "junit")


def renderer(name: str) -> Callable[[Scorecard], str]:
    """The `render` of one format, or of "badge"."""
    function: Callable[[Scorecard], str] = import_module(f"{__name__}.{name}").render
    return function
