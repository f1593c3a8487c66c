"""An implementation in a process of its own, which may crash, hang or print without harm.

One whose process ended, ran out of memory or past the limit of time is killed, with all that it
started; the next call gets a new process, in which the implementation is imported and built again.
"""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from refglow.dtypes import Array
from refglow.validation.implementations.calls import CallFailedError
from refglow.validation.implementations.exchange import read_found, write_arrays
from refglow.validation.implementations.found import Found
from refglow.validation.implementations.interpreter import (
    EndedError,
    Interpreter,
    TooLateError,
)
from refglow.validation.implementations.offerings import OFFERINGS
from refglow.validation.implementations.source import Source
from refglow.validation.strangers.text import one_line

START_LIMIT = 60.0  # seconds for Python and refglow themselves, before a stranger's code runs


class ProcessCalls:
    """A stranger's implementation; a context manager, at whose end its process ends."""

    def __init__(self, source: Source, architecture: Mapping[str, Any],
                 parameters: Mapping[str, Array], time_limit: float) -> None:
        """Hold what is needed to build it.

        Args:
          source: where it is.
          architecture, parameters: what it is built with.
          time_limit: seconds for importing, for building and for each call.
        """
        self._source, self._architecture, self._parameters = source, architecture, parameters
        self._time_limit = time_limit
        self._interpreter: Interpreter | None = None
        self._offered: tuple[str, ...] = ()
        self._was_built = False

    def __enter__(self) -> ProcessCalls:
        """Make the folder through which arrays pass."""
        self._folder = tempfile.TemporaryDirectory(prefix="refglow-", ignore_cleanup_errors=True)
        return self

    def __exit__(self, *error: object) -> None:
        """End the process."""
        self._end()
        self._folder.cleanup()

    def offered(self) -> tuple[str, ...]:
        """The names of what it offers.

        Raises:
          CallFailedError: if importing or building it failed.
          ValueError: if the file or module has no such name.
        """
        self._running()
        return self._offered

    def call(self, name: str, argument: Array) -> Found:
        """Call one of its functions.

        Raises:
          CallFailedError: if it raised, crashed, took too long, or gave no arrays.
        """
        interpreter, answer = self._running(), self._path("answer")
        self._ask(interpreter, {"do": "call", "name": name, "answer": str(answer),
                                "file": self._written({"argument": argument}, {})},
                  self._time_limit)
        try:
            return read_found(answer)
        except (OSError, ValueError) as error:
            self._end()
            raise CallFailedError(f"left no readable answer: {error}") from error

    def _running(self) -> Interpreter:
        """The process with the implementation built, a new one if there is none."""
        if self._interpreter is not None:
            return self._interpreter
        again = " again" if self._was_built else ""
        interpreter = self._interpreter = Interpreter()
        try:
            self._ask(interpreter, {"do": "start"}, START_LIMIT)
            self._do(interpreter, f"importing it{again}: ", {
                "do": "import", "place": self._source.place, "name": self._source.name,
                "is_file": self._source.is_file})
            answer = self._do(interpreter, f"building it{again}: ", {
                "do": "build", "file": self._written(
                    self._parameters, {"architecture": dict(self._architecture)})})
        except BaseException:
            self._end()
            raise
        offered = answer.get("offered")
        if not isinstance(offered, list) or not all(
                isinstance(name, str) and name in OFFERINGS for name in offered):
            self._end()
            raise CallFailedError("building it gave no answer")
        self._offered, self._was_built = tuple(offered), True
        return interpreter

    def _do(self, interpreter: Interpreter, what: str, request: dict[str, Any]) -> dict[str, Any]:
        try:
            return self._ask(interpreter, request, self._time_limit)
        except CallFailedError as error:
            raise CallFailedError(what + error.reason, error.output) from error

    def _ask(self, interpreter: Interpreter, request: dict[str, Any],
             limit: float) -> dict[str, Any]:
        """The answer; what is of no more use afterwards is ended."""
        try:
            answer = interpreter.ask(request, limit)
        except EndedError as error:
            output = interpreter.last_lines()
            self._end()
            raise CallFailedError(f"ended its process ({error})", output) from error
        except TooLateError as error:
            output = interpreter.last_lines()
            self._end()
            raise CallFailedError(f"took longer than the time limit of {limit:g} s and was stopped",
                                  output) from error
        if answer.get("exhausted"):
            self._end()
        if "missing" in answer:
            raise ValueError(one_line(str(answer["missing"])))
        if "failed" in answer:
            raise CallFailedError(str(answer["failed"]), interpreter.last_lines())
        return answer

    def _written(self, arrays: Mapping[str, Array], values: Mapping[str, Any]) -> str:
        path = self._path("request")
        write_arrays(path, arrays, values)
        return str(path)

    def _path(self, name: str) -> Path:
        return Path(self._folder.name) / f"{name}.safetensors"

    def _end(self) -> None:
        if self._interpreter is not None:
            self._interpreter.end()
            self._interpreter = None
