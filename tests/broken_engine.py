"""A small engine with one thing wrong: the adapter that `harness backend new` writes, changed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from harness.backends.skeletons import adapter

FILE = "mylib_backend.py"
# A line before which all of the adapter is defined.
LAST = "BACKEND = MylibBackend()"


def write(folder: Path, *changes: tuple[str, str]) -> Path:
    """The adapter in `folder`, each (old, new) in it replaced; old must be there once."""
    text = adapter("mylib")
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in the adapter"
        text = text.replace(old, new)
    file = folder / FILE
    file.write_text(text, encoding="utf-8")
    return file


def run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The real command with that adapter, in its folder."""
    return subprocess.run(
        [sys.executable, "-m", "harness", "run", "--backend", f"./{FILE}", *words],
        cwd=folder,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=120,
    )


def line_of(file: Path, text: str) -> int:
    """The number of the only line with that text."""
    (number,) = (
        i for i, each in enumerate(file.read_text("utf-8").splitlines(), 1) if text in each
    )
    return number
