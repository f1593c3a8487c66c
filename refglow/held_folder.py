"""A folder in which only one process works at a time."""

from __future__ import annotations

import contextlib
import fcntl
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def held_folder(path: Path, doing: str) -> Iterator[None]:
    """Make the folder if it is not there; inside it, no other process can hold it.

    What killed processes have left unfinished is removed. The hold ends with the process, however
    that ends.

    Args:
      path: the folder.
      doing: what a process that holds it is doing, for the message.

    Raises:
      OSError: if the folder cannot be made, or something else is there.
      ValueError: if another process holds it.
    """
    path.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"Another process is {doing} in {path}.") from None
        except OSError:
            pass  # a file system without locks
        for unfinished in path.glob(".refglow-*.tmp"):
            unfinished.unlink(missing_ok=True)
        yield
    finally:
        os.close(descriptor)
