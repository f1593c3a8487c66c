"""A block of threads in Numba's CUDA simulator, one thread at a time.

The simulator gives each CUDA thread a Python thread, and lets a manager ask all of them, over and
over, whether they wait at a barrier. Only one Python thread can run at a time, so this manager and
the threads of the block keep taking the interpreter from each other, and each turn lasts until it
is taken away: 5 ms. Here each thread runs undisturbed to its next barrier or its end and hands the
turn on, in the order of the block; after the last, the first that waits is next:

    thread 0  ---|            ---|
    thread 1      ---|            ---|
    thread 2          ---|            ---|

What a barrier means is the same: no thread is past it before all that still run have come to it.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
from numba.cuda.simulator.cudadrv.devicearray import FakeCUDAArray, FakeWithinKernelCUDAArray
from numba.cuda.simulator.kernel import (
    BlockManager,
    BlockThread,
    FakeCUDAModule,
    _push_kernel_context,
    swapped_cuda_module,
)

from refglow.kernels.cuda.kernel import Launch


def simulate(launch: Launch, module: FakeCUDAModule | None = None) -> None:
    """Run a kernel to its end, block after block.

    Args:
      launch: with its grid, block and arguments; NumPy arrays are used as they are, not copied.
      module: what the kernel sees as numba.cuda; the simulator's own if it is None.

    Raises:
      Exception: of the type that the first failing thread raised, with that thread's indices.
    """
    function = launch.kernel.function
    arguments = [FakeWithinKernelCUDAArray(FakeCUDAArray(argument))
                 if isinstance(argument, np.ndarray) else argument for argument in launch.arguments]
    if module is None:
        module = FakeCUDAModule(launch.grid, launch.block, launch.shared_bytes)
    with _push_kernel_context(module), swapped_cuda_module(function, module):
        for block in np.ndindex(*launch.grid):
            _Block(function, launch.grid, launch.block, False).run(block, *arguments)


class _Block(BlockManager):  # type: ignore[misc]  # Numba has no types
    """Runs the threads of a block in turns."""

    def run(self, grid_point: tuple[int, ...], *arguments: Any) -> None:
        """Give the first thread its turn, and wait until the last has ended."""
        self._round = [_Thread(lambda: self._f(*arguments), self, grid_point, point, False)
                       for point in np.ndindex(*self._block_dim)]
        self._waiting: list[_Thread] = []
        self._failed: _Thread | None = None
        self._done = _taken_lock()
        self._round.reverse()  # it is taken from its end
        for thread in self._round:
            thread.start()
        self.hand_on()
        self._done.acquire()
        if self._failed is not None:
            error, traceback = self._failed.exception
            raise error.with_traceback(traceback)

    def hand_on(self) -> None:
        """To the next thread, or past the barrier to the first that waits at it, or to `run`."""
        if not self._round:
            self._round, self._waiting = self._waiting[::-1], []
        if self._round:
            self._round.pop().turn.release()
        else:
            self._done.release()

    def wait(self, thread: _Thread) -> None:
        """At a barrier."""
        self._waiting.append(thread)
        self.hand_on()
        thread.turn.acquire()

    def end(self, thread: _Thread) -> None:
        """The thread has returned, or failed; then the others stop where they are."""
        if thread.exception and self._failed is None:
            self._failed = thread
            for other in (*self._round, *self._waiting):
                other.abort = True
        self.hand_on()


class _Thread(BlockThread):  # type: ignore[misc]
    """A thread of a block, which runs in its turns only."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.turn = _taken_lock()

    def run(self) -> None:
        """The kernel."""
        self.turn.acquire()
        try:
            if not self.abort:
                super().run()
        finally:
            self._manager.end(self)

    def syncthreads(self) -> None:
        """Wait for all threads of the block that still run."""
        self._manager.wait(self)
        if self.abort:
            raise RuntimeError("another thread of the block has failed")


def _taken_lock() -> Any:
    lock = Lock()
    lock.acquire()
    return lock
