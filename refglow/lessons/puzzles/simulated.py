"""Running a kernel in Numba's CUDA simulator with every access noted; needs a process that has it.

The kernel is given arrays that note who reads and writes which element, and the module `cuda` with
shared memory, atomics and barriers that do the same. Which instruction an access belongs to is told
by the frame of the kernel that makes it.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numba.cuda.simulator.kernelapi import FakeCUDAModule

from refglow.kernels.cuda.kernel import Kernel, Launch
from refglow.kernels.cuda.simulated_block import simulate
from refglow.lessons.puzzles.recording import (
    ATOMIC,
    BARRIER,
    COLUMNS,
    NO_INDEX,
    READ,
    WRITE,
    Memory,
    Recording,
)

MOST_ROWS = 100_000  # a kernel of these sizes that makes more does not come to an end
VECTOR_BYTES = 16


class NotInPuzzlesError(Exception):
    """The kernel uses what the puzzles' arrays do not offer; says what to do instead."""


class _Log:
    """The rows of the table."""

    def __init__(self, function: Callable[..., None]) -> None:
        self.rows: list[tuple[int, ...]] = []
        self.memories: list[Memory] = []
        self._places: dict[tuple[Any, ...], int] = {}
        self._positions: dict[Any, list[Any]] = {}
        self._first_line = function.__code__.co_firstlineno
        self._file = function.__code__.co_filename

    def add(self, frame: Any, kind: int, array: int, first: int, count: int, outside: bool,
            index: tuple[int, ...]) -> None:
        """Note what the running thread does in a frame."""
        if len(self.rows) >= MOST_ROWS:
            raise NotInPuzzlesError(f"it does not come to an end: {MOST_ROWS} accesses so far")
        thread: Any = threading.current_thread()
        turns = thread.__dict__.setdefault("turns", {})
        place = self._places.setdefault(self._key(frame, kind), len(self._places))
        turn = turns[place, array] = turns.get((place, array), -1) + 1
        i0, i1, i2 = (*index, NO_INDEX, NO_INDEX, NO_INDEX)[:3]
        self.rows.append((_block_of(thread), thread.thread_id, thread.__dict__.get("phase", 0),
                          place, turn, array, first, count, kind, int(outside), i0, i1, i2,
                          self.line(frame)))

    # An instruction that CPython has specialised may report an offset inside itself, so it is known
    # by its position in the text; the two halves of x[i] += 1 share theirs.
    def _key(self, frame: Any, kind: int) -> tuple[Any, ...]:
        code = frame.f_code
        if code not in self._positions:
            self._positions[code] = list(code.co_positions())
        return code.co_filename, self._positions[code][frame.f_lasti // 2], kind

    def line(self, frame: Any) -> int:
        """The line of the kernel, counted from its `def`, that a frame is in or was called from."""
        while frame is not None and frame.f_code.co_filename != self._file:
            frame = frame.f_back
        return frame.f_lineno - self._first_line + 1 if frame is not None else 0


def _block_of(thread: Any) -> int:
    """The number of a thread's block in the grid."""
    x, y, z = thread.blockIdx
    gx, gy, _ = thread._manager._grid_dim
    return int(x + gx * (y + gy * z))


class RecordedArray:
    """An array inside a kernel."""

    def __init__(self, log: _Log, name: str, numbers: Any, block: int | None = None) -> None:
        """Give `numbers` to the kernel as an array of that name."""
        self._log, self._numbers = log, numbers
        self._number = len(log.memories)
        self.shape, self.size, self.ndim = numbers.shape, numbers.size, numbers.ndim
        self.dtype = numbers.dtype
        log.memories.append(Memory(name, numbers.shape, numbers.itemsize, block))

    def __len__(self) -> int:
        return int(self.shape[0])

    def __getitem__(self, index: Any) -> Any:
        return self.read(index, READ, sys._getframe(1))

    def __setitem__(self, index: Any, value: Any) -> None:
        self.write(index, value, WRITE, sys._getframe(1))

    def read(self, index: Any, kind: int, frame: Any) -> Any:
        """An element; NaN if there is none."""
        parts, outside = self._checked(index)
        self._log.add(frame, kind, self._number, self._flat(parts), 1, outside, parts)
        return self.dtype.type(math.nan if self.dtype.kind == "f" else 0) if outside else (
            self._numbers[parts])

    def write(self, index: Any, value: Any, kind: int, frame: Any) -> None:
        """Write an element, if there is one."""
        parts, outside = self._checked(index)
        self._log.add(frame, kind, self._number, self._flat(parts), 1, outside, parts)
        if not outside:
            with np.errstate(over="ignore", invalid="ignore"):
                self._numbers[parts] = value

    def vector(self, index: Any, kind: int, frame: Any) -> Any:
        """16 bytes from an element on, as one access; None if they are not all inside."""
        lanes = VECTOR_BYTES // self.dtype.itemsize
        (first,), _ = self._checked(index)
        if first % lanes:
            raise NotInPuzzlesError(
                f"16 bytes at once must begin at a multiple of {lanes} numbers (their address is a "
                f"multiple of 16); these begin at {first}")
        outside = not 0 <= first <= self.size - lanes
        self._log.add(frame, kind, self._number, first, lanes, outside, (first,))
        return None if outside else self._numbers[first:first + lanes]

    def _checked(self, index: Any) -> tuple[tuple[int, ...], bool]:
        parts = index if isinstance(index, tuple) else (index,)
        if any(isinstance(part, bool | slice) or not isinstance(part, int | np.integer)
               for part in parts):
            raise NotInPuzzlesError(f"an index is a whole number (// divides without a remainder); "
                                    f"got {index!r}")
        if len(parts) != self.ndim:
            raise NotInPuzzlesError(f"an array of {self.ndim} dimensions takes as many indices; "
                                    f"got {len(parts)}")
        whole = tuple(int(part) for part in parts)
        return whole, not all(0 <= p < n for p, n in zip(whole, self.shape, strict=True))

    def _flat(self, parts: tuple[int, ...]) -> int:
        flat = 0
        for part, length in zip(parts, self.shape, strict=True):
            flat = flat * length + part
        return flat


class _Shared:
    """cuda.shared: an array for each block and line of the kernel that asks for one."""

    def __init__(self, log: _Log) -> None:
        self._log, self._lock = log, threading.Lock()
        self._arrays: dict[tuple[Any, ...], RecordedArray] = {}
        self._names: dict[tuple[Any, ...], str] = {}

    def array(self, shape: Any, dtype: Any, alignment: Any = None) -> RecordedArray:
        """The running thread's block's array; it holds no numbers yet."""
        frame = sys._getframe(1)
        thread: Any = threading.current_thread()
        line = (frame.f_code.co_filename, frame.f_lineno)
        block = _block_of(thread)
        with self._lock:
            if (block, line) not in self._arrays:
                name = self._names.setdefault(
                    line, "shared" + (str(len(self._names) + 1) if self._names else ""))
                # A Numba type's name is NumPy's.
                numbers = np.full(shape, math.nan, np.dtype(getattr(dtype, "name", dtype)))
                self._arrays[block, line] = RecordedArray(self._log, name, numbers, block)
            return self._arrays[block, line]


class _Atomic:
    """cuda.atomic: the operations on one element that no other thread comes between."""

    def add(self, array: RecordedArray, index: Any, value: Any) -> Any:
        """Add to an element; what it was."""
        frame = sys._getframe(1)
        old = array.read(index, ATOMIC, frame)
        array.write(index, old + value, ATOMIC, frame)
        return old

    def __getattr__(self, name: str) -> Any:
        raise NotInPuzzlesError(f"of cuda.atomic the puzzles have add; not {name}")


class _RecordingModule(FakeCUDAModule):  # type: ignore[misc]  # Numba has no types
    """The module `cuda` as a kernel sees it."""

    def __init__(self, log: _Log, grid: tuple[int, ...], block: tuple[int, ...]) -> None:
        super().__init__(grid, block, 0)
        self._log, self._shared, self._atomic = log, _Shared(log), _Atomic()

    def syncthreads(self) -> None:
        """Wait at a barrier."""
        self._log.add(sys._getframe(1), BARRIER, -1, 0, 0, False, ())
        thread: Any = threading.current_thread()
        thread.phase = thread.__dict__.get("phase", 0) + 1
        super().syncthreads()


def load_vector(array: RecordedArray, index: int, registers: Any, first: int) -> None:
    """Stands for refglow.kernels.cuda.vector_access.load_vector."""
    numbers = array.vector(index, READ, sys._getframe(1))
    lanes = VECTOR_BYTES // array.dtype.itemsize
    registers[first:first + lanes] = math.nan if numbers is None else numbers


def store_vector(array: RecordedArray, index: int, registers: Any, first: int) -> None:
    """Stands for refglow.kernels.cuda.vector_access.store_vector."""
    numbers = array.vector(index, WRITE, sys._getframe(1))
    if numbers is not None:
        numbers[:] = registers[first:first + VECTOR_BYTES // array.dtype.itemsize]


def record(function: Callable[..., None], grid: tuple[int, int, int], block: tuple[int, int, int],
           arguments: Mapping[str, Any]) -> Recording:
    """Run a kernel to its end.

    Args:
        function: the kernel, a plain function in Numba's CUDA dialect.
        grid, block: blocks, and threads of a block, x first.
        arguments: in the order of its parameters; arrays are written as the kernel writes.

    Raises:
        Exception: of the type that the first failing thread raised, with that thread's indices.
    """
    log = _Log(function)
    given = tuple(RecordedArray(log, name, value) if isinstance(value, np.ndarray) else value
                  for name, value in arguments.items())
    simulate(Launch(Kernel(function), grid, block, given), _RecordingModule(log, grid, block))
    table = np.array(log.rows, np.int64).reshape(-1, len(COLUMNS))
    return Recording(grid, block, tuple(log.memories), table,
                     {name: value for name, value in arguments.items()
                      if isinstance(value, np.ndarray)})
