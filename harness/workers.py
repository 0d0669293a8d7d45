"""Processes that answer requests, one line of JSON each: started, asked, pinned and ended."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

from harness.errors import JobCrashedError, JobError, JobKilledError, JobTimeoutError

_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")

Json = dict[str, Any]  # `Any`: whatever JSON can hold


def with_one_thread(inherited: Mapping[str, str]) -> dict[str, str]:
    """The variables of a process whose linear algebra has one thread."""
    return {**inherited, **dict.fromkeys(_THREADS, "1")}


def processors() -> list[int]:
    """The processors that this process may use, by number; none where the system cannot tell."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def pin(pid: int, number: int) -> None:
    """Keep a process on one of our processors, the `number`th in turn, where the system can."""
    if ours := processors():
        with suppress(OSError):  # it is gone: the next request says so
            os.sched_setaffinity(pid, {ours[number % len(ours)]})


class Worker:
    """A process that runs a module which answers as `harness.resident.serve` does.

    `name` begins every message about it. What it says on stderr goes to a file in `folder`.
    """

    def __init__(
        self,
        name: str,
        module: str,
        folder: Path,
        environment: Mapping[str, str],
        patience: float,
        cwd: Path | None = None,
    ) -> None:
        self.name, self._patience = name, patience
        self._complaints = folder / f"{name.replace('/', '_')}.txt"
        with open(self._complaints, "wb") as complaints:
            self._process = subprocess.Popen(
                [sys.executable, "-m", module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=complaints,
                cwd=cwd or folder,
                env=dict(environment),
                start_new_session=True,
            )
        self._answers: SimpleQueue[bytes] = SimpleQueue()
        self._listener = threading.Thread(target=self._listen, daemon=True)
        self._listener.start()

    @property
    def pid(self) -> int:
        """The number of the process."""
        return self._process.pid

    @property
    def has_ended(self) -> bool:
        """Whether it answers no more."""
        return self._process.poll() is not None

    def ask(self, **request: Any) -> Json:  # `Any`: whatever JSON can hold
        """The answer to a request; raises JobError for an error, a death or no answer in time."""
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(OSError):  # it is gone: there is no answer either
            pipe.write(json.dumps(request).encode() + b"\n")
            pipe.flush()
        try:
            line = self._answers.get(timeout=self._patience)
        except Empty:
            self.stop()  # what it may still answer is no answer to the next request
            message = f"{self.name}: no answer to '{request['do']}' in {self._patience:g} s"
            raise JobTimeoutError(message, "Does its code loop for ever?") from None
        if not line:
            self._answers.put(line)  # for the next request, too
            raise self._death()
        answer = self._understood(line)
        if "error" in answer:
            raise JobCrashedError(f"{self.name}: {answer['error']}")
        return answer

    def _understood(self, line: bytes) -> Json:
        try:
            answer = json.loads(line)
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise JobCrashedError(f"{self.name}: its timing worker wrote {line[:80]!r}, "
                                  "expected JSON")  # fmt: skip
        return answer

    def _listen(self) -> None:
        """Pass answers on, and an empty one at the end."""
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                self._answers.put(line)
        self._answers.put(b"")

    def _death(self) -> JobError:
        """What it died of, after it has closed its stdout."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(1.0)
        self.stop()
        code = self._process.returncode
        said = self._complaints.read_text(encoding="utf-8", errors="replace").split("\n")
        last = next((line.strip() for line in reversed(said) if line.strip()), "no word")
        if code < 0:
            return JobKilledError(f"{self.name}: its timing worker was killed by "
                                  f"{signal.Signals(-code).name}")  # fmt: skip
        return JobCrashedError(f"{self.name}: its timing worker ended with exit code {code}: "
                               f"{last}")  # fmt: skip

    def stop(self) -> None:
        """End it, and all that it has started, at once; once more does nothing."""
        with suppress(OSError):  # all of them are gone
            os.killpg(self.pid, signal.SIGKILL)
        self._process.wait()
        self._listener.join(1.0)
        assert self._process.stdin is not None
        with suppress(OSError):  # what is left of a request has no reader now
            self._process.stdin.close()
