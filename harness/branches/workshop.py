"""Where a comparison works: a folder of its own with worktrees and processes, gone at the end.

Whatever that end is: a guardian in a process of its own does the cleaning, in the normal case,
too, so that there is one way of doing it and it is always used.
"""

from __future__ import annotations

import os
import secrets
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from harness.branches import guardian, launcher
from harness.branches.repository import Repository, for_git, git_command, last_line
from harness.errors import BranchError

_CLEANING_SECONDS = 90.0
_GIT_SECONDS = 300.0


@dataclass(frozen=True)
class Started:
    """A process, the leader of its own group, and the file that its stderr goes to."""

    process: subprocess.Popen[bytes]
    complaints: Path

    def complaint(self) -> str:
        """The line of its stderr that says most."""
        try:
            return last_line(self.complaints.read_text(encoding="utf-8", errors="replace"))
        except OSError:
            return "it said nothing"


class Workshop:
    """A context; nothing is made before the first worktree or process is asked for."""

    def __init__(self, repository: Repository | None, environment: Mapping[str, str]) -> None:
        self._repository = repository
        self._environment = environment
        name = f"harness-compare-{secrets.token_hex(6)}"
        self._folder = Path(tempfile.gettempdir()).resolve() / name
        self._common = repository.common_folder() if repository else None
        self._guardian: subprocess.Popen[bytes] | None = None
        self._line = -1
        self._running: dict[int, Started] = {}
        self._count = 0

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave nothing behind. A second Ctrl-C does not stop the guardian."""
        if self._guardian is None:
            return
        for each in list(self._running.values()):
            self.end(each)
        os.close(self._line)
        with suppress(subprocess.TimeoutExpired):
            self._guardian.wait(_CLEANING_SECONDS)
        if self._guardian.returncode != 0 or self._folder.exists():
            guardian.clean(self._folder, self._common)  # somebody has killed it

    @property
    def folder(self) -> Path:
        """The folder, which from now on is there."""
        self._open()
        return self._folder

    def new_place(self, word: str) -> Path:
        """A path in the folder where nothing is yet."""
        self._count += 1
        return self.folder / f"{self._count}-{word}"

    def start(self, command: Sequence[str], environment: Mapping[str, str]) -> Started:
        """Start a program in a session of its own, which the guardian knows of."""
        neutral = self.folder / "empty"
        complaints = self.new_place("complaints")
        tell = [sys.executable, "-I", "-S", launcher.__file__, str(self._line)]
        with _working(f"cannot work in {self._folder}"):
            neutral.mkdir(exist_ok=True)
            with open(complaints, "wb") as errors:
                process = subprocess.Popen(
                    [*tell, *command],
                    cwd=neutral,
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    pass_fds=[self._line],
                    start_new_session=True,
                )
        self._running[process.pid] = Started(process, complaints)
        return self._running[process.pid]

    def end(self, started: Started) -> None:
        """Kill a process with all that it started, or what it left behind, and forget it."""
        number = started.process.pid
        guardian.kill_group(number)
        started.process.wait()
        self._running.pop(number, None)
        with suppress(OSError):  # without a guardian there is nobody to tell
            os.write(self._line, f"-{number}\n".encode())

    def worktree(self, commit: str, word: str) -> Path:
        """The files of a commit in a new worktree; raises BranchError when git cannot."""
        assert self._repository is not None
        tree = self.folder / f"{self._folder.name}-{word}"
        command = git_command(self._repository.root, "worktree", "add", "--detach", "--quiet",
                              str(tree), commit)  # fmt: skip
        git = self.start(command, for_git(self._environment))
        try:
            git.process.wait(_GIT_SECONDS)
        except subprocess.TimeoutExpired as error:
            raise BranchError(
                f"git made no worktree of {commit[:8]} in {_GIT_SECONDS:g} s"
            ) from error
        finally:
            self.end(git)
        if git.process.returncode:
            raise BranchError(
                f"git cannot make a worktree of {commit[:8]}: {git.complaint()}",
                f"It is made in {self._folder.parent}. Is that full? TMPDIR names another folder.",
            )
        return tree

    def _open(self) -> None:
        """Start the guardian, and only then make what it is to remove."""
        if self._guardian is not None:
            return
        theirs, self._line = os.pipe()
        script = [sys.executable, "-I", "-S", guardian.__file__]
        try:
            self._guardian = subprocess.Popen(
                [*script, str(self._folder), str(self._common or "")],
                cwd=self._folder.parent,
                env=for_git(self._environment),
                stdin=theirs,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        finally:
            os.close(theirs)
        with _working(f"cannot work in {self._folder.parent}"):
            self._folder.mkdir(mode=0o700)


@contextmanager
def _working(where: str) -> Iterator[None]:
    """Turns an OSError into a BranchError that says where."""
    try:
        yield
    except OSError as error:
        raise BranchError(
            f"{where}: {error.strerror}", "TMPDIR names another folder for it."
        ) from error
