"""Failures looked at once more, each by itself: does its file show it, or is it owed to others?"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import wait
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import replace
from io import StringIO
from pathlib import Path
from runpy import run_path

from harness.conformance.case import Engine, Finding
from harness.conformance.outcomes import Result, judged
from harness.conformance.repeating import looked_again
from harness.conformance.reproducing import by_id, is_script, write
from harness.executors import IsolatedExecutor

_HINT = (
    "By itself it passes: the engine keeps something from an earlier case of that name, such as "
    "a mode, or an optimizer's state. Its file runs these first."
)


def settled(
    engine: Engine, results: Sequence[Result], files: Mapping[str, Path], executor: IsolatedExecutor
) -> list[Result]:
    """The same results; those that fail only after others have these as their `earlier`.

    A file that passes is written anew: with these before it, or, as what it does is less than
    what the case does, with the case itself.
    """
    tried = [each for each in results if each.case.id in files and not each.is_stopped]
    hidden = _passing(tried, files, executor)
    alone = [each for each in tried if each.after and (each in hidden or not is_script(each))]
    owed = _passing_alone(alone, engine, executor)
    settled = []
    for result in results:
        told = replace(result, earlier=result.after, hint=_HINT) if result in owed else result
        if result in owed or result in hidden:
            write(by_id(told, engine), files[result.case.id])
        settled.append(told)
    return settled


def _passing(
    results: Sequence[Result], files: Mapping[str, Path], executor: IsolatedExecutor
) -> list[Result]:
    """Those whose files make the call themselves, and end with 0."""
    scripts = [each for each in results if is_script(each)]
    futures = [executor.submit(passes, files[each.case.id]) for each in scripts]
    wait(futures)
    found = zip(scripts, futures, strict=True)
    return [each for each, future in found if future.exception() is None and future.result()]


def passes(file: Path) -> bool:
    """In a process of its own: whether a reproducing file ends with 0."""
    sys.argv = [str(file)]
    try:
        with redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            run_path(str(file), run_name="__main__")
    except SystemExit as end:
        return not end.code
    return False


def _passing_alone(
    results: Sequence[Result], engine: Engine, executor: IsolatedExecutor
) -> list[Result]:
    """Those that pass in a process of their own."""
    futures = [executor.submit(looked_again, each.case.id, engine.name) for each in results]
    wait(futures)
    return [
        each
        for each, future in zip(results, futures, strict=True)
        if future.exception() is None and _is_right(each, future.result())
    ]


def _is_right(result: Result, finding: Finding) -> bool:
    return judged(result.case, finding, result.reading).outcome == "pass"
