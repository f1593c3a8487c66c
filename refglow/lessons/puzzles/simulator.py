"""Numba's CUDA simulator in a process of its own, where a kernel may crash or not come to an end.

Numba chooses between a GPU and the simulator when it is first imported, so the simulator cannot run
in a notebook that has imported Numba already.
"""

from __future__ import annotations

import atexit
import functools
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from refglow.lessons.puzzles.recording import Memory, Recording
from refglow.lessons.puzzles.travelling import pickled
from refglow.validation.implementations.exchange import read_arrays, write_arrays
from refglow.validation.implementations.interpreter import (
    EndedError,
    Interpreter,
    TooLateError,
)
from refglow.validation.strangers.text import one_line

_WORKER = "refglow.lessons.puzzles.worker"
START_LIMIT = 60.0  # seconds
TIME_LIMIT = 20.0  # seconds for one launch; those of the puzzles take less than one


class KernelStoppedError(Exception):
    """The kernel did not come to its end; says why."""


class Simulator:
    """The process, started when it is first needed and again after a kernel has ended it."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._interpreter: Interpreter | None = None

    def run(self, kernel: Callable[..., Any], grid: tuple[int, int, int],
            block: tuple[int, int, int], arguments: Mapping[str, Any],
            time_limit: float = TIME_LIMIT) -> Recording:
        """Run a kernel to its end.

        Args:
            kernel: a function in Numba's CUDA dialect.
            grid, block: blocks, and threads of a block, x first.
            arguments: arrays and whole numbers, in the order of its parameters; they are copied.
            time_limit: seconds.

        Returns:
            What it did, with the arrays as they are afterwards. What it printed is printed.

        Raises:
            KernelStoppedError: it raised, crashed or took too long.
        """
        arrays = {name: value for name, value in arguments.items()
                  if isinstance(value, np.ndarray)}
        numbers = {name: value for name, value in arguments.items() if name not in arrays}
        with tempfile.TemporaryDirectory(prefix="refglow-") as name:
            folder = Path(name)
            paths = {key: folder / key for key in ("kernel", "arguments", "answer")}
            paths["kernel"].write_bytes(pickled(kernel))
            write_arrays(paths["arguments"], arrays, {
                "numbers": numbers, "order": list(arguments), "grid": grid, "block": block})
            self._ask({"do": "run", **{key: str(path) for key, path in paths.items()}}, time_limit)
            found, values = read_arrays(paths["answer"])
        memories = tuple(Memory(name, tuple(shape), itemsize, block_of)
                         for name, shape, itemsize, block_of in values["memories"])
        return Recording(grid, block, memories, found["table"],
                         {name: found[f"result {name}"] for name in arrays})

    def end(self) -> None:
        """End the process."""
        if self._interpreter is not None:
            self._interpreter.end()
            self._interpreter = None

    def _ask(self, request: dict[str, Any], limit: float) -> None:
        if self._interpreter is None:
            self._interpreter = Interpreter(_WORKER, {"NUMBA_ENABLE_CUDASIM": "1"})
            self._ask({"do": "start"}, START_LIMIT)
        try:
            answer = self._interpreter.ask(request, limit)
        except TooLateError:
            self.end()
            raise KernelStoppedError(f"It was stopped after {limit:g} s. Is there a loop that does "
                                     "not end?") from None
        except EndedError as error:
            printed = self._interpreter.last_lines()
            self.end()
            raise KernelStoppedError(f"It ended the simulator's process ({error}). {printed}"
                                     ) from error
        printed = self._interpreter.last_lines()
        if printed:
            print(f"Printed by the kernel, at last: {printed}")
        why = answer.get("stopped", answer.get("failed"))
        if why is not None:
            raise KernelStoppedError(f"It stopped: {one_line(str(why))}.")


@functools.cache
def simulator() -> Simulator:
    """The one that all puzzles of this process share; it ends with the process."""
    shared = Simulator()
    atexit.register(shared.end)
    return shared
