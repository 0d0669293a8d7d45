"""Run as a script: tell the guardian the number of this process, then become another program.

Whoever starts a process and then tells its number may die in between; this one cannot, as the
guardian's line stays open until the number is in it and the other program has begun.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress


def main(line: int, command: list[str]) -> None:
    """Write "+PID" into `line`, and be `command` from now on."""
    with suppress(OSError):  # somebody has killed the guardian; its work is done without it
        os.write(line, f"+{os.getpid()}\n".encode())
    os.set_inheritable(line, False)
    os.execvp(command[0], command)


if __name__ == "__main__":
    main(int(sys.argv[1]), sys.argv[2:])
