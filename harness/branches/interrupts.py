"""Every polite end of a process is like Ctrl-C: what was begun is cleaned up on the way out."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

_POLITE = ("SIGTERM", "SIGHUP")


@contextmanager
def ends_like_ctrl_c() -> Iterator[None]:
    """Here, SIGTERM and SIGHUP raise KeyboardInterrupt; a signal that is ignored stays so.

    Only for the main thread.
    """
    before = {}
    for name in _POLITE:
        number = getattr(signal, name, None)  # not every system has both
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt
