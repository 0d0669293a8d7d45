"""Clean up after a comparison, however it ended; as a script, wait for that end first.

The script reads a pipe whose other end the comparison holds: "+PID" is a process group that
began, "-PID" one that is gone. The pipe closes when the comparison ends, be it by SIGKILL. Then
the groups are killed, the worktrees taken out of the repository and the folder deleted.
It imports nothing of the harness: it must outlive whatever becomes of that code.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep

_GIT_SECONDS = 60.0
# Killed processes are not gone at once, and may write one more file until they are.
_DELETING_SECONDS = 10.0
_CLEAN_LOOKS = 2


def clean(folder: Path, common: Path | None, groups: Iterable[int] = ()) -> None:
    """Kill process groups, remove all worktrees in `folder`, and delete it.

    `common` is the folder that git shares among worktrees; only what lies there under the name
    of `folder` is touched. Doing it twice does no harm.
    """
    for group in groups:
        kill_group(group)
    deadline = monotonic() + _DELETING_SECONDS
    looks = 0
    while looks < _CLEAN_LOOKS and monotonic() < deadline:
        is_left = folder.exists() or (common is not None and any(_records(folder, common)))
        looks = 0 if is_left else looks + 1
        if is_left and common is not None:
            _remove_worktrees(folder, common)
        if is_left:
            shutil.rmtree(folder, ignore_errors=True)
        sleep(0.02)


def kill_group(group: int) -> None:
    """SIGKILL for a process and all that it started; nothing when they are gone."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _records(folder: Path, common: Path) -> Iterable[Path]:
    """What git knows of worktrees in `folder`: no other worktree has such a name."""
    return (common / "worktrees").glob(f"{folder.name}-*")


def _remove_worktrees(folder: Path, common: Path) -> None:
    for tree in sorted(folder.glob(f"{folder.name}-*")):
        command = ["git", "--git-dir", str(common), "worktree", "remove", "--force", "--force"]
        with suppress(OSError, subprocess.SubprocessError):
            subprocess.run(
                [*command, str(tree)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_GIT_SECONDS,
            )
    # A worktree that was cut short while it was made is none that git would remove.
    for record in _records(folder, common):
        shutil.rmtree(record, ignore_errors=True)
    with suppress(OSError):  # git deletes it with the last worktree, too
        (common / "worktrees").rmdir()


def watch(line: int) -> set[int]:
    """The process groups that are left when the other end of the pipe `line` is closed."""
    groups: set[int] = set()
    with os.fdopen(line, encoding="ascii") as words:
        for word in words:
            number = int(word)
            if number > 0:
                groups.add(number)
            else:
                groups.discard(-number)
    return groups


def main(folder: Path, common: Path | None) -> None:
    """Wait for the end of the comparison, then clean up."""
    for each in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(each, signal.SIG_IGN)
    clean(folder, common, watch(0))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]) if sys.argv[2] else None)
