"""Which threads a parallel kernel runs on: Numba's, wherever this process may use them.

Numba starts its threads once in a process, by one of three layers: "tbb", which serves any process
and any number of its threads, and two with a weak point, at which the process ends or hangs with no
exception that a program could handle:

    "omp"        after a fork. Only the thread that forked lives on in the child, and GNU's OpenMP
                 cannot start others: Numba raises SIGTERM in a child that tries, and overlooks the
                 child's child, which waits for ever. Numba takes this layer on Linux, unless TBB
                 is installed.
    "workqueue"  when two threads of Python call it at once. Numba takes this layer where there is
                 neither TBB nor OpenMP, as on most Macs.

So in the child of a process that had started OpenMP's threads a kernel runs on the calling thread,
compiled without a parallel loop (a data loader's processes share the cores anyway); and with
"workqueue" one call waits for the other. Results are the same bits on any number of threads.

`_process` is the one thing in the kernels that changes. It is no choice that a part of a program
could make for another, but a fact about the process, which a fork makes true for all of it.

What is not caught: threads that other code started by Numba, if the fork also came before the first
kernel was imported; and other code's parallel functions that run beside a kernel on "workqueue".
"""

from __future__ import annotations

import functools
import os
import sys
import threading
from collections.abc import Callable
from typing import Any

import numba


class _Process:
    """What this process may do with Numba's threads."""

    def __init__(self) -> None:
        self.lost_threads = False
        # Reentrant, for a signal's handler that computes while its own thread holds the turn.
        self.turn = threading.RLock()

    def after_fork(self) -> None:
        """In the child: its parent's threads are gone, with the turn if one of them held it."""
        self.lost_threads = self.lost_threads or _running_layer() == "omp"
        self.turn = threading.RLock()


_process = _Process()
if sys.platform != "win32":  # which has no fork
    os.register_at_fork(after_in_child=_process.after_fork)


class ParallelKernel:
    """A kernel with parallel loops, which are run as ordinary ones where threads cannot be used."""

    def __init__(self, parallel: Callable[..., None],
                 make_serial: Callable[[], Callable[..., None]]) -> None:
        """Make it of one function compiled twice.

        Args:
          parallel: with `numba.prange` loops on all cores.
          make_serial: makes what computes the same on the calling thread; called if needed.
        """
        self._parallel = parallel
        self.on_one_thread = functools.cache(make_serial)

    def __call__(self, *arguments: Any) -> None:
        """Compute."""
        if _process.lost_threads:
            self.on_one_thread()(*arguments)
        elif _one_call_at_a_time():
            with _process.turn:
                self._parallel(*arguments)
        else:
            self._parallel(*arguments)


@functools.cache
def _one_call_at_a_time() -> bool:
    """Whether the layer can serve one thread of Python only; once started it does not change."""
    numba.get_num_threads()  # starts the threads
    return _running_layer() == "workqueue"


def _running_layer() -> str | None:
    """The layer whose threads have been started, or None."""
    try:
        return str(numba.threading_layer())
    except ValueError:
        return None
