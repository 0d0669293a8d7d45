"""The console that text reports print on, so that what they print is a string."""

from __future__ import annotations

from io import StringIO

from rich.console import Console


def console_to(out: StringIO, *, colour: bool, width: int) -> Console:
    """Prints into `out`, `width` columns wide, words as they are; colours only where wanted."""
    return Console(
        file=out, width=width, force_terminal=colour, no_color=not colour, highlight=False,
        legacy_windows=False, soft_wrap=False,
    )  # fmt: skip
