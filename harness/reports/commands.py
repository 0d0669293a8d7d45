"""The command that shows a finding again: one milestone, one seed, with the same settings."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterable

from harness.errors import JobTimeoutError
from harness.on_record import file_for
from harness.scorecard import VerdictRow


def run_again(
    milestone: str,
    *words: str,
    backend: str = "",
    changes: Iterable[str] = (),
    cause: VerdictRow | None = None,
) -> str:
    """Such as "harness run cnn --seed 3", for a shell; `words` are options behind the name.

    `backend` is what --backend was given, "" for the harness's own engine.
    A milestone that is not shipped was given as a file: it is named by one of its name.
    """
    name = milestone if _is_shipped(milestone) else f"{milestone}.yaml"
    settings = [word for change in changes for word in ("--set", change)]
    limit = _limit(cause) if cause else []
    engine = ["--backend", backend] if backend else []
    return shlex.join(["harness", "run", name, *engine, *words, *limit, *settings])


def _is_shipped(milestone: str) -> bool:
    """Whether `harness run` knows it by its name: configs/ stands beside the milestones' folder."""
    if not re.fullmatch("[a-z][a-z0-9_]{0,99}", milestone):
        return False
    return (file_for(milestone).parents[2] / "configs" / f"{milestone}.yaml").is_file()


def _limit(cause: VerdictRow) -> list[str]:
    """The time after which it was stopped, which decides whether it is stopped again."""
    if cause.evidence.get("kind") != JobTimeoutError.__name__:
        return []
    found = re.search(r"after ([0-9.e+-]+) s", cause.reason)
    return ["--timeout", found[1]] if found else []
