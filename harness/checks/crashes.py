"""Who raised: the component and the line of code that a traceback leads to."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from types import CodeType, FunctionType

from harness.checks.base import Evidence

_FRAME = re.compile(r'^  File "(.+)", line (\d+), in (.+)$', re.MULTILINE)
# Those who look on, and what everyone calls, are not to blame while anyone else is there.
_ONLOOKERS = re.compile(r"[\\/]harness[\\/](probes|checks|oracles)[\\/]")
_FOREIGN = re.compile(r"[\\/](site|dist)-packages[\\/]|[\\/]lib[\\/]python3|^<")
_INSTALLED = re.compile(r"[\\/](site|dist)-packages[\\/]harness[\\/]")
# So many frames, the deepest first, are named: a helper says less than who called it.
_NAMED = 2

Frame = tuple[str, int, str]


def raised_in(traceback: str) -> Evidence:
    """Evidence of the deepest frame of the harness or an engine: its "culprits" and its "place".

    Empty without one. Only of the exception that was raised last.
    """
    frames: list[Frame] = [(file, int(line), name) for file, line, name in _frames(traceback)]
    own = [frame for frame in frames if _is_own(frame[0])]
    engine = [frame for frame in own if not _ONLOOKERS.search(frame[0])]
    if not own:
        return {}
    file, line, _ = (engine or own)[-1]
    named = [name for frame in engine[: -_NAMED - 1 : -1] for name in _components(*frame)]
    return {"culprits": list(dict.fromkeys(named)), "place": f"{_shown(file)}:{line}"}


def _is_own(file: str) -> bool:
    """Whether a file is of the harness, or of an engine that is no installed package."""
    return bool(_INSTALLED.search(file)) or not _FOREIGN.search(file)


def _frames(traceback: str) -> list[tuple[str, str, str]]:
    last = traceback.rpartition("Traceback (most recent call last):")[2]
    return _FRAME.findall(last)


def _shown(file: str) -> str:
    """The path from the current folder where the file is below it."""
    path = Path(file)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else file


def _components(file: str, line: int, name: str) -> Iterator[str]:
    """The class whose code that is, and the function."""
    owner = _owner(file, line, name)
    if owner:
        yield owner.removesuffix("Backward") or owner
        yield owner
    elif not name.startswith(("<", "_")):
        yield name


def _owner(file: str, line: int, name: str) -> str:
    """The class that a line is in, by the code that is loaded; "" for none, or when it is not."""
    for module in list(sys.modules.values()):
        if getattr(module, "__file__", None) != file:
            continue
        for kind in list(vars(module).values()):
            if not isinstance(kind, type) or kind.__module__ != module.__name__:
                continue
            function = vars(kind).get(name)
            if isinstance(function, FunctionType) and _has(function.__code__, line):
                return kind.__name__
    return ""


def _has(code: CodeType, line: int) -> bool:
    return any(at == line for _, _, at in code.co_lines())
