"""`python -m harness.bench.worker`: one contender in a process of its own, asked what it takes.

Requests and answers are lines of JSON on stdin and stdout: {"do": "burst", "steps": 100} ->
{"seconds": 0.02}; whatever goes wrong -> {"error": "a sentence"}.
"""

from __future__ import annotations

import gc
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.bench.names import JAX, TORCH_SCRIPT
from harness.errors import HarnessError, UsageError
from harness.resident import serve

if TYPE_CHECKING:
    from harness.bench.trainer import Course, Trainer

Json = dict[str, Any]  # whatever JSON can hold


class _Desk:
    """What this process has at hand: a contender, and the workload that it is at."""

    trainer: Trainer
    course: Course


def main() -> None:
    """Answer requests until stdin ends."""
    serve(partial(_answer, _Desk()))


def _answer(desk: _Desk, request: Json) -> Json:
    try:
        return _done(desk, request)
    except HarnessError as error:  # before what an engine raises: it says itself what is wrong
        return {"refused": error.message, "hint": error.hint, "kind": type(error).__name__}
    except Exception as error:  # an engine may raise anything; it becomes the answer
        return {"error": f"{type(error).__name__}: {error}"}


def _done(desk: _Desk, request: Json) -> Json:
    what = request["do"]
    if what == "open":
        desk.trainer = opened(request["name"])
        return {"version": desk.trainer.version}
    if what == "prepare":
        return _prepare(desk, Path(request["folder"]))
    if what == "losses":
        return {"losses": desk.course.losses(request["count"])}
    if what == "burst":
        return {"seconds": desk.course.burst(request["steps"])}
    if what == "apart":
        return {"seconds": desk.course.apart(request["steps"])}
    if what == "watching":
        from harness.bench.watching import training_seconds

        return {"seconds": training_seconds(request["file"], request["name"], request["watched"])}
    return {"error": f"unknown request {what!r}"}


def _prepare(desk: _Desk, folder: Path) -> Json:
    from harness.bench.trainer import Course
    from harness.bench.workload import read

    desk.course = Course(desk.trainer, read(folder))
    gc.collect()
    gc.freeze()  # so that collecting before each burst looks at next to nothing
    return {"way": desk.course.way}


def opened(name: str) -> Trainer:
    """The contender of that name; raises HarnessError when there is none or it cannot start."""
    if name == TORCH_SCRIPT:
        from harness.bench.torch_script import TorchScriptTrainer

        _require("torch", name)
        return TorchScriptTrainer()
    if name == JAX:
        from harness.bench.jax_contender import JaxTrainer

        _require("jax", name)
        return JaxTrainer()
    from harness import backends
    from harness.bench.engine_trainer import EngineTrainer

    return EngineTrainer(backends.load(name))


def _require(package: str, name: str) -> None:
    if find_spec(package) is None:
        raise UsageError(f"'{name}' needs {package}, which is not installed",
                         f"Install it: pip install 'milestone-harness[{package}]'.")  # fmt: skip


if __name__ == "__main__":
    main()
