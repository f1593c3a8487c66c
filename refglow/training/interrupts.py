"""Ctrl-C that waits for a good moment.

An interrupt in the middle of an optimizer's step would leave some weights moved and others not.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def held_interrupts() -> Iterator[Callable[[], bool]]:
    """Inside it, the first Ctrl-C is only noted; the second raises KeyboardInterrupt, as usual.

    In other threads than the main one nothing is changed: they get no Ctrl-C.

    Yields:
      a function that says whether there has been one.
    """
    noted = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield noted.is_set
        return

    def note(signum: int, frame: FrameType | None) -> None:
        if noted.is_set():
            raise KeyboardInterrupt
        noted.set()
    before = signal.signal(signal.SIGINT, note)
    try:
        yield noted.is_set
    finally:
        signal.signal(signal.SIGINT, before)
