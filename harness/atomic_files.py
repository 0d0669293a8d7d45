"""Files that are written whole or not at all."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO


@contextmanager
def held(folder: Path, *, waits: bool = False) -> Iterator[None]:
    """Keeps a folder from others that would hold it too; leaves no file.

    Where one does, it waits for the end of that, or raises BlockingIOError. It ends with the
    process, however that ends. Where there are no such locks, nothing is held.
    """
    try:
        from fcntl import LOCK_EX, LOCK_NB, LOCK_UN, flock
    except ImportError:
        yield
        return
    number = os.open(folder, os.O_RDONLY)
    try:
        try:
            flock(number, LOCK_EX if waits else LOCK_EX | LOCK_NB)
        except BlockingIOError:
            raise
        except OSError:  # a file system without locks
            pass
        yield
        with suppress(OSError):
            flock(number, LOCK_UN)  # at once, also where another process has inherited it
    finally:
        os.close(number)


@contextmanager
def replacing(file: Path) -> Iterator[IO[bytes]]:
    """A new file that takes the place of `file` only when it is complete and on disk."""
    new = tempfile.NamedTemporaryFile(dir=file.parent, prefix=f".{file.name}.", delete=False)  # noqa: SIM115  (it outlives the block that writes it)
    try:
        with new:
            yield new
            new.flush()
            os.fsync(new.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(new.name, 0o666 & ~umask)
        os.replace(new.name, file)
    except BaseException:
        os.unlink(new.name)
        raise


def write_text(file: Path, text: str) -> None:
    """Write a text file, whole or not at all."""
    with replacing(file) as new:
        new.write(text.encode())
