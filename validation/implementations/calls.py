"""Calling an implementation: what a call gives, and how it fails.

`ObjectCalls` calls an object in this process; nothing protects this process from it. A process of
its own, which can be killed, is `process.py`.
"""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import Any, Protocol

from refglow.dtypes import Array
from refglow.validation.implementations.found import Found, NotAResultError, read
from refglow.validation.implementations.offerings import offered
from refglow.validation.strangers.text import one_line


class CallFailedError(Exception):
    """A call that gave no arrays.

    Attributes:
      reason: what happened, on one line.
      output: the last lines that the implementation printed, on one line; may be empty.
    """

    def __init__(self, reason: str, output: str = "") -> None:
        """Keep both, cut to a length that can be shown."""
        self.reason, self.output = one_line(reason), one_line(output)
        super().__init__(self.reason)


class NotAnsweredError(Exception):
    """A call that an implementation which answered before cannot be asked; says why."""


class Calls(Protocol):
    """An implementation that can be called."""

    def offered(self) -> tuple[str, ...]:
        """The names of what it offers.

        Raises:
          CallFailedError: if it could not be built.
        """

    def call(self, name: str, argument: Array) -> Found:
        """Call one of its functions; it gets a copy of the argument.

        Raises:
          CallFailedError: if it gave no arrays.
          NotAnsweredError: if it can only be called with what it was given before.
        """


class ObjectCalls:
    """An object in this process."""

    def __init__(self, implementation: Any) -> None:
        """Hold it."""
        self._implementation = implementation

    def offered(self) -> tuple[str, ...]:
        """The names of what it offers."""
        return offered(self._implementation)

    def call(self, name: str, argument: Array) -> Found:
        """Call one of its functions; it gets a copy of the argument.

        Raises:
          CallFailedError: if it raised, or gave no arrays.
        """
        try:
            return read(name, getattr(self._implementation, name)(argument.copy()))
        except (Exception, SystemExit) as error:
            raise CallFailedError(reason_of(error)) from error


def reason_of(error: BaseException) -> str:
    """Why a call failed, in words: what was raised and where, or what was returned instead."""
    try:
        message = str(error)
    except Exception:  # a stranger's exception, whose text may fail too
        message = "(its message cannot be shown)"
    if isinstance(error, NotAResultError):
        return message
    frames = traceback.extract_tb(error.__traceback__)
    where = ""
    if len(frames) > 1:  # the first is the call
        where = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})"
    colon = ": " if message else ""
    return f"raised {type(error).__name__}{colon}{message[:1000]}{where}"

