"""Reports of a comparison: one format a file, each a `render(comparison) -> str`, by its name."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

from harness.comparison import Comparison

# Each shows every milestone; `badge` has room for one word.
FORMATS = ("text", "json", "markdown", "github", "junit")


def renderer(name: str) -> Callable[[Comparison], str]:
    """The `render` of one format, or of "badge"."""
    function: Callable[[Comparison], str] = import_module(f"{__name__}.{name}").render
    return function
