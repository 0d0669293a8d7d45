"""Whole processes, started in turn: their seconds, and the memory of the largest of each tree."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from harness.bench.ratios import paired_ratio
from harness.bench.results import Cold, Process
from harness.bench.script import plain_script, scriptable
from harness.bench.workload import find, load
from harness.config_files import milestone_files
from harness.errors import JobCrashedError, JobError, JobTimeoutError
from harness.resources import root

# Starts a command and tells what it cost. It is small itself, because a process is given the
# memory of the one that starts it as the first word on its own peak.
_LAUNCHER = """
import json, os, sys, time
out = os.open(os.devnull, os.O_WRONLY)
start = time.perf_counter()
pid = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ,
                     file_actions=[(os.POSIX_SPAWN_DUP2, out, 1)])
_, status, usage = os.wait4(pid, 0)
seconds = time.perf_counter() - start
kib = usage.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
print(json.dumps([seconds, int(kib * 1024), os.waitstatus_to_exitcode(status)]))
"""
_MINIMAL = """
import sys, pathlib, numpy, yaml
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    if file.suffix == ".npz":
        held = [array for array in dict(numpy.load(file)).values()]
    elif file.suffix == ".yaml":
        yaml.safe_load(file.read_text(encoding="utf-8"))
"""

Command = Sequence[str]


@dataclass(frozen=True)
class Pair:
    """A command and the one that it is held against, `repetitions` times each."""

    name: str
    command: Command
    base: Command
    repetitions: int
    quantity: Literal["seconds", "bytes"] = "seconds"


def cold_pairs(folder: Path, *, has_torch: bool, quick: bool) -> list[Pair]:
    """What is started; scripts and results go to `folder`."""
    harness = [sys.executable, "-m", "harness"]
    run = [*harness, "run", "--all", "--no-progress", "--out", str(folder / "runs")]
    minimal = [sys.executable, "-c", _MINIMAL, str(root("data"))]
    help_ = Pair("help", [*harness, "--help"], [sys.executable, "-c", "import numpy"], 12)
    if quick:
        return [Pair(help_.name, help_.command, help_.base, 1)]
    pairs = [help_, Pair("memory", [*run, "--seeds", "1"], minimal, 3, "bytes")]
    if has_torch:
        importing = [sys.executable, "-c", "import torch"]
        pairs.append(Pair("run_all", [*run, "--seeds", "1"], importing, 8))
        script = [sys.executable, str(written_script(folder))]
        pairs.append(Pair("run_20_seeds", [*run, "--seeds", "20"], script, 3))
    return pairs


def jobs_pair(folder: Path) -> Pair:
    """Many seeds with two jobs against one."""
    run = [sys.executable, "-m", "harness", "run", "--all", "--no-progress", "--seeds", "100",
           "--out", str(folder / "runs")]  # fmt: skip
    return Pair("jobs", [*run, "--jobs", "2"], [*run, "--jobs", "1"], 1)


def written_script(folder: Path) -> Path:
    """A PyTorch script that trains the latest milestone that PyTorch has all layers of."""
    name = [each for each in milestone_files() if scriptable(load(find(each)))][-1]
    return plain_script(load(find(name)), folder)


def measure_cold(
    pair: Pair, environment: Mapping[str, str], patience: float, rng: np.random.Generator
) -> Cold:
    """Both commands in turn, whose turn it is drawn at random; raises JobError when one fails."""
    commands = {"command": pair.command, "base": pair.base}
    found: dict[str, list[tuple[float, int]]] = {key: [] for key in commands}
    for _ in range(pair.repetitions):
        for i in rng.permutation(len(commands)):
            key = list(commands)[i]
            found[key].append(started(commands[key], environment, patience))
    command, base = (_process(pair, key, commands[key], found[key]) for key in commands)
    numbers = [
        process.seconds if pair.quantity == "seconds" else process.peak_bytes
        for process in (command, base)
    ]
    return Cold(name=pair.name, quantity=pair.quantity, process=command, base=base,
                ratio=paired_ratio(*numbers))  # fmt: skip


def _process(pair: Pair, key: str, command: Command, found: Sequence[tuple[float, int]]) -> Process:
    words = ["python", *command[1:]]
    shown = " ".join(word if "\n" not in word else "..." for word in words)
    return Process(command=shown, seconds=[seconds for seconds, _ in found],
                   peak_bytes=[peak for _, peak in found])  # fmt: skip


def started(command: Command, environment: Mapping[str, str], patience: float) -> tuple[float, int]:
    """Seconds and peak bytes of one whole process; raises JobError when it fails.

    A harness that ends with 1, a check that failed, has done its work all the same.
    """
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", _LAUNCHER, *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=dict(environment),
        start_new_session=True,
    )
    try:
        out, complaints = process.communicate(timeout=patience)
    except subprocess.TimeoutExpired:
        message = f"'{_short(command)}' has not ended in {patience:g} s"
        raise JobTimeoutError(message, "Raise --timeout.") from None
    finally:
        _end(process)
    try:
        seconds, peak, code = json.loads(out)
    except ValueError:
        raise _failure(command, process.returncode, complaints) from None
    if code not in (0, 1):
        raise _failure(command, code, complaints)
    return seconds, peak


def _end(process: subprocess.Popen[bytes]) -> None:
    """End it with all that it started; nothing when it has ended."""
    with suppress(OSError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _failure(command: Command, code: int, complaints: bytes) -> JobError:
    said = [line for line in complaints.decode(errors="replace").splitlines() if line.strip()]
    last = said[-1].strip() if said else "no word"
    return JobCrashedError(f"'{_short(command)}' ended with exit code {code}: {last}")


def _short(command: Command) -> str:
    return " ".join(word for word in command[1:] if "\n" not in word)[:80]
