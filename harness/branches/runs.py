"""One `harness run` with the code of one side: its command, its patience, what came of it."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import monotonic, sleep

import numpy as np

from harness.branches.targets import Word
from harness.branches.workshop import Workshop
from harness.comparing.curves_file import read_curves
from harness.errors import ScorecardError
from harness.scorecard import FILE_NAME, Scorecard, load

# Seconds that code may need until its imports are done and its first training begins.
PATIENCE = 60.0
# Of imports alone, asked once more when the whole takes too long.
_IMPORT_SECONDS = 15.0
_LOOK_EVERY = 0.02
_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
# Old code has no session.
_IMPORTS = """
import harness.cli, harness.backends.numpy
try:
    import harness.session
except ModuleNotFoundError as error:
    if error.name != "harness.session":
        raise
"""


@dataclass(frozen=True)
class Code:
    """The code of a side: the folder with its `harness`, and whether it is the user's own."""

    root: Path
    is_users: bool


@dataclass(frozen=True)
class Order:
    """What to run. Options that older code does not know are left out when it says so."""

    code: Code
    names: tuple[str, ...]
    seeds: range
    jobs: int
    timeout: float
    checks: str = ""
    checkpoints: tuple[int, ...] = ()
    patience: float = PATIENCE

    @property
    def seconds(self) -> float:
        """What all its trainings may take together, and a start."""
        rounds = -(-len(self.seeds) * len(self.names) // self.jobs) + len(self.names)
        return self.patience + self.timeout * rounds

    def command(self, out: Path) -> list[str]:
        """The words of the command."""
        words = [sys.executable, "-m", "harness", "run", *self.names,
                 "--seeds", str(len(self.seeds)), "--seed", str(self.seeds.start),
                 "--jobs", str(self.jobs), "--timeout", f"{self.timeout:g}",
                 "--out", str(out), "--no-progress", "-q"]  # fmt: skip
        if self.checks:
            words += ["--checks", self.checks]
        if self.checkpoints:
            words += ["--checkpoints", ",".join(map(str, self.checkpoints))]
        return words


@dataclass(frozen=True)
class Ran:
    """The results of a run, and the folder of their files while that is there."""

    scorecard: Scorecard
    curves: Mapping[str, np.ndarray] = field(default_factory=dict)
    folder: Path | None = None


@dataclass(frozen=True)
class Failure:
    """Why a run has no results; `ends_all` when others of that side need not be tried."""

    message: str
    hint: str = ""
    ends_all: bool = False


def environment_of(code: Code, user: Mapping[str, str], workshop: Workshop) -> dict[str, str]:
    """The variables of a run: the user's, but for git's, with this code before any other.

    Into the user's own folders no bytecode is written; a worktree keeps its own.
    """
    kept = {key: value for key, value in user.items() if not key.startswith("GIT_")}
    kept.pop("PYTHONDONTWRITEBYTECODE", None)
    path = [str(code.root), *filter(None, [user.get("PYTHONPATH", "")])]
    if code.is_users:
        kept["PYTHONPYCACHEPREFIX"] = str(workshop.folder / "bytecode")
    return {
        **kept,
        **dict.fromkeys(_THREADS, "1"),
        "PYTHONPATH": ":".join(path),
        # What the code under test asks of git takes no lock in the user's repository.
        "GIT_OPTIONAL_LOCKS": "0",
    }


def run_together(
    orders: Mapping[Word, Order],
    workshop: Workshop,
    user: Mapping[str, str],
    on_end: Callable[[Word], None] = lambda side: None,
) -> dict[Word, Ran | Failure]:
    """All runs at once, by side; when one of them ends all, the others are stopped."""
    running = {side: _Run(order, workshop, user) for side, order in orders.items()}
    answers: dict[Word, Ran | Failure] = {}
    try:
        while running:
            for side, each in list(running.items()):
                answer = each.answer()
                if answer is None:
                    continue
                answers[side] = answer
                del running[side]
                on_end(side)
                if isinstance(answer, Failure) and answer.ends_all:
                    return answers
            if running:
                sleep(_LOOK_EVERY)
    finally:
        for each in running.values():
            each.stop()
    return answers


class _Run:
    """A run that is going on; started again without options that its code does not know."""

    def __init__(self, order: Order, workshop: Workshop, user: Mapping[str, str]) -> None:
        self._order = order
        self._workshop = workshop
        self._environment = environment_of(order.code, user, workshop)
        self._begin()

    def _begin(self) -> None:
        self._out = self._workshop.new_place("-".join(self._order.names[:1]))
        self._is_under_suspicion = False
        self._since = monotonic()
        self._started = self._workshop.start(self._order.command(self._out), self._environment)

    def stop(self) -> None:
        """Kill it, or what it left behind."""
        self._workshop.end(self._started)

    def answer(self) -> Ran | Failure | None:
        """What came of it; None while it goes on as it should."""
        code = self._started.process.poll()
        if code is None:
            return self._overdue()
        self.stop()
        # Where the worktree was is of no use to a reader: it is gone.
        said = self._started.complaint().replace(f"{self._order.code.root}/", "")
        if code == 2 and "No such option" in said and (simpler := _older(self._order)):
            self._order = simpler
            self._begin()
            return None
        if (self._out / FILE_NAME).exists():
            return _read(self._out, self._order.code.root)
        return self._died(code, said)

    def _overdue(self) -> Failure | None:
        """Whether it hangs. The folder for its results is made just before it trains."""
        seconds = monotonic() - self._since
        if seconds > self._order.seconds:
            self.stop()
            return Failure(f"did not end within {self._order.seconds:.0f} s and was stopped",
                           "Does it loop for ever, outside of a training?", True)  # fmt: skip
        late = seconds > self._order.patience and not self._out.exists()
        if not late or self._is_under_suspicion:
            return None
        self._is_under_suspicion = True
        if self._imports() is not None:
            return None
        self.stop()
        message = f"does not start: its imports did not end within {self._order.patience:g} s"
        return Failure(message, "Does a module loop for ever?", True)

    def _died(self, code: int, said: str) -> Failure:
        names = " ".join(self._order.names)
        if code < 0:
            name = signal.Signals(-code).name
            hint = "Was the machine out of memory?" if name == "SIGKILL" else ""
            return Failure(f"`harness run {names}` was killed by {name}", hint, True)
        if self._imports() is False:
            return Failure(f"does not start: {said}", "Its code cannot be imported.", True)
        return Failure(f"`harness run {names}` ended with exit code {code}: {said}")

    def _imports(self) -> bool | None:
        """Whether the code can be imported by itself; None when that takes too long."""
        trial = self._workshop.start([sys.executable, "-c", _IMPORTS], self._environment)
        deadline = monotonic() + min(self._order.patience, _IMPORT_SECONDS)
        try:
            while trial.process.poll() is None:
                if monotonic() > deadline:
                    return None
                sleep(_LOOK_EVERY)
        finally:
            self._workshop.end(trial)
        return trial.process.returncode == 0


def _older(order: Order) -> Order | None:
    """The same for code that knows fewer options; None when nothing can be left out."""
    if order.checkpoints:
        return replace(order, checkpoints=())
    return replace(order, checks="") if order.checks else None


def _read(out: Path, root: Path) -> Ran | Failure:
    """The results in a folder. Places in the code are told from its root: a worktree goes away."""
    file = out / FILE_NAME
    try:
        text = file.read_text(encoding="utf-8")
        file.write_text(text.replace(json.dumps(f"{root}/")[1:-1], ""), encoding="utf-8")
        scorecard = load(out)
        return Ran(scorecard, read_curves(out, scorecard), out)
    except (OSError, UnicodeError) as error:
        return Failure(f"left results that cannot be read: {error}")
    except ScorecardError as error:
        said = error.message.replace(f"{out}/", "")
        return Failure(f"left results that cannot be read: {said}", error.hint)
