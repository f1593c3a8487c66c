"""Calling an implementation for what a level looks at, and for nothing else."""

from __future__ import annotations

from collections.abc import Collection

from refglow.dtypes import Array
from refglow.validation.implementations.calls import CallFailedError, ObjectCalls
from refglow.validation.implementations.found import Found, NotAResultError
from refglow.validation.testing.levels import results_of

_OURS = "refglow.validation.implementations"


class AskedCalls:
    """An object in this process, as far as it is looked at.

    Attributes:
      raised: the first exception that it raised; None if it did not.
    """

    def __init__(self, calls: ObjectCalls, results: Collection[str]) -> None:
        """Hold both.

        Args:
          calls: the object.
          results: what is looked at (see `levels.py`).
        """
        self._calls, self._results = calls, results
        self.raised: BaseException | None = None

    def offered(self) -> tuple[str, ...]:
        """The names of what it offers that gives something asked for."""
        return tuple(name for name in self._calls.offered()
                     if any(result in self._results for result in results_of(name)))

    def call(self, name: str, argument: Array) -> Found:
        """Call one of its functions; of its results, those that are looked at.

        Raises:
          CallFailedError: if it raised, or gave no arrays.
        """
        try:
            found = self._calls.call(name, argument)
        except CallFailedError as error:
            if self.raised is None and not isinstance(error.__cause__, NotAResultError):
                self.raised = _without_our_frames(error.__cause__)
            raise
        kept = {key for key in found.arrays if key.partition("/")[0] in self._results}
        return Found({key: found.arrays[key] for key in found.arrays if key in kept},
                     {key: found.dtypes[key] for key in found.dtypes if key in kept}, found.layers)


def _without_our_frames(error: BaseException | None) -> BaseException | None:
    """The exception with a traceback that begins in the implementation."""
    if error is None:
        return None
    frames = error.__traceback__
    while frames is not None and str(frames.tb_frame.f_globals.get("__name__")).startswith(_OURS):
        frames = frames.tb_next
    return error.with_traceback(frames or error.__traceback__)
