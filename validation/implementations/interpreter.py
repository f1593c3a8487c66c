"""A fresh Python that runs `child.py` or its like: asked one thing at a time, with a limit of time.

What it prints is read all the time, so that it never waits for a full pipe; only the end is kept.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any

from refglow.validation.strangers.text import one_line

_CHILD = "refglow.validation.implementations.child"
_LAST_WORDS = 0.5  # seconds to read what an ended process had printed
_LOOK = 0.1  # seconds between two looks at whether it still runs
_CHUNK = 2**16  # bytes; also how much is kept of what it prints
_MOST_ANSWER = 2**20  # bytes
_LAST_LINES, _LAST_CHARACTERS = 4, 280


class EndedError(Exception):
    """The process has ended, or answers what is no answer."""


class TooLateError(Exception):
    """The limit of time has passed."""


class Interpreter:
    """The process."""

    def __init__(self, module: str = _CHILD, environment: Mapping[str, str] | None = None) -> None:
        """Start it, in a group of processes of its own, so that all it starts can be killed.

        Args:
          module: what it runs, which serves as `child.py` does.
          environment: variables it has besides this process's.
        """
        self._process = subprocess.Popen(
            [sys.executable, "-u", "-P", "-m", module],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            start_new_session=True, env={**os.environ, **(environment or {})})
        self._answers, self._printed = b"", b""
        self._selector = selectors.DefaultSelector()
        for stream in (self._process.stdout, self._process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
            self._selector.register(stream, selectors.EVENT_READ)

    def ask(self, request: dict[str, Any], limit: float) -> dict[str, Any]:
        """The answer to a request.

        Args:
          request: see `child.py`.
          limit: seconds.

        Raises:
          EndedError, TooLateError: then it is of no more use; end it.
        """
        assert self._process.stdin is not None
        self._printed, deadline = b"", time.monotonic() + limit
        try:
            self._process.stdin.write(json.dumps(request).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            raise self._ended() from None
        while b"\n" not in self._answers:
            if time.monotonic() > deadline:
                raise TooLateError
            if not self._read(min(_LOOK, max(0.0, deadline - time.monotonic()))) and (
                    self._process.poll() is not None):
                raise self._ended()
            if len(self._answers) > _MOST_ANSWER:
                raise EndedError("it answered without end")
        self._read_printed()
        line, _, self._answers = self._answers.partition(b"\n")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise EndedError("it answered what is no answer")
        return answer

    def last_lines(self) -> str:
        """The last lines printed since the last request, on one line; control characters as ?."""
        lines = [one_line(line) for line in self._printed.decode(errors="replace").splitlines()]
        text = " | ".join([line for line in lines if line][-_LAST_LINES:])
        return text if len(text) <= _LAST_CHARACTERS else "..." + text[-_LAST_CHARACTERS:]

    def end(self) -> None:
        """Kill it and all that it started."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        self._process.wait()
        self._selector.close()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()

    def _read(self, seconds: float) -> bool:
        """Read what comes within some seconds; whether anything did."""
        some = False
        for key, _ in self._selector.select(seconds):
            chunk = self._chunk(key.fileobj)
            some = some or bool(chunk)
            if key.fileobj is self._process.stdout:
                self._answers += chunk or b""
            elif chunk:
                self._printed = (self._printed + chunk)[-_CHUNK:]
            if chunk == b"":
                self._selector.unregister(key.fileobj)
        if not some and not self._selector.get_map():
            time.sleep(seconds)
        return some

    def _read_printed(self) -> None:
        """Read what was printed before the answer, which is in the pipe; of more, no more."""
        for _ in range(4):
            chunk = self._chunk(self._process.stderr)
            if not chunk:
                return
            self._printed = (self._printed + chunk)[-_CHUNK:]

    @staticmethod
    def _chunk(stream: Any) -> bytes | None:
        """What there is to read; b"" at the end, None if there is nothing now."""
        try:
            return os.read(stream.fileno(), _CHUNK)
        except BlockingIOError:
            return None

    def _ended(self) -> EndedError:
        """How it ended; what it had printed is read."""
        deadline = time.monotonic() + _LAST_WORDS
        while time.monotonic() < deadline and self._read(_LOOK):
            pass
        try:
            code = self._process.wait(_LAST_WORDS)
        except subprocess.TimeoutExpired:
            return EndedError("it closed its pipes")
        return EndedError(f"exit code {code}" if code >= 0 else f"killed by {_signal(-code)}")


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
