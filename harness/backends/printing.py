"""Catching what is printed, by Python or by a library below it: stdout is the harness's own."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout, suppress
from io import StringIO
from tempfile import TemporaryFile

_STDOUT = 1


@contextmanager
def caught() -> Iterator[Callable[[], str]]:
    """Inside, nothing reaches stdout; the function tells afterwards what would have."""
    told: list[str] = []
    words = StringIO()
    with TemporaryFile() as file, redirect_stdout(words):
        before = _redirected(file.fileno())
        try:
            yield lambda: "".join(told)
        finally:
            if before is not None:
                os.dup2(before, _STDOUT)
                os.close(before)
            file.seek(0)
            told += [words.getvalue(), file.read().decode("utf-8", "replace")]


def _redirected(to: int) -> int | None:
    """Send the process's stdout there; gives a copy of what it was, None when it had none."""
    with suppress(OSError):
        before = os.dup(_STDOUT)
        os.dup2(to, _STDOUT)
        return before
    return None


def first_line(text: str) -> str:
    """The first line with something in it, cut to a length that fits a sentence."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    first = lines[0] if lines else text
    return repr(first if len(first) <= 60 else f"{first[:60]}...")
