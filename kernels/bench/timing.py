"""How time is measured: a clock, calls that find nothing in the cache, rounds.

* Inputs rotate: every call takes the next of several copies, which together are larger than the
  last cache, so that a kernel bound by memory reads memory. Results rotate too: the last few are
  kept, so that the allocator hands out memory that the kernel has not just written, without the
  cost of asking the system for new pages.
* One timing is the mean over as many calls as fill a few milliseconds. A turn is a few timings.
  Before it come a pause, in which the threads of whoever ran before fall asleep (OpenBLAS's look
  for more work for a tenth of a second, and a kernel beside them takes two to eight times as long),
  and one call that is not counted.
* Contenders take turns, three at least, A B C B C A ..., so that a machine whose speed drifts, or
  that is disturbed for a while, treats them alike.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

from refglow.kernels.bench.records import Arrays, Summary

_MOST_COPIES = 256
_MOST_CALLS = 1000  # of which a timing is the mean


@dataclass(frozen=True)
class Settings:
    """How thoroughly to measure.

    Attributes:
      repeats: timings of each variant.
      rotated_bytes: inputs and results in rotation are larger than this together.
      timing_seconds: how long one timing should last at least.
      warm_up_seconds: after so long, warm-up ends even if not all copies were used.
      timings_of_turn: how many timings follow one another at most.
      pause_seconds: before each turn.
      seed: of the inputs.
    """

    repeats: int
    rotated_bytes: int
    timing_seconds: float = 0.002
    warm_up_seconds: float = 1.0
    timings_of_turn: int = 5
    pause_seconds: float = 0.25
    seed: int = 0


class Clock(Protocol):
    """Whose time is measured: the processor's, or a device's that works on its own."""

    def seconds(self, work: Callable[[], object]) -> float:
        """How long `work` takes, until its results are there."""

    def to_host(self, value: Any) -> Any:
        """An argument or result as the specification takes it: NumPy arrays, numbers."""

    def to_device(self, value: Any) -> Any:
        """A NumPy array as the variants take it."""


class HostClock:
    """Time on the processor; what a function returns is there when it returns."""

    def seconds(self, work: Callable[[], object]) -> float:
        """The seconds from the call to the return."""
        started = time.perf_counter()
        work()
        return time.perf_counter() - started

    def to_host(self, value: Any) -> Any:
        """The value: it is there already."""
        return value

    def to_device(self, value: Any) -> Any:
        """The value."""
        return value


class Rotation:
    """A function that is called with one set of inputs after the other."""

    def __init__(self, function: Callable[..., Any], inputs: Sequence[Arrays]) -> None:
        """Hold the function and its inputs; at least one set."""
        self._function, self._inputs = function, inputs
        self._next = 0
        self._results: deque[Any] = deque(maxlen=len(inputs))

    def __len__(self) -> int:
        """How many sets of inputs there are."""
        return len(self._inputs)

    def run(self, calls: int) -> None:
        """Call it so many times; the last results, as many as there are inputs, are kept."""
        inputs, results, function = self._inputs, self._results, self._function
        index, count = self._next, len(inputs)
        for _ in range(calls):
            results.append(function(*inputs[index]))
            index = index + 1 if index + 1 < count else 0
        self._next = index


def copies(inputs: Arrays, bytes_of_a_call: int, rotated_bytes: int) -> list[Arrays]:
    """As many copies of the inputs as exceed `rotated_bytes`, at least two.

    Args:
      inputs: arrays are copied, numbers and other values are shared.
      bytes_of_a_call: of all inputs and results.
      rotated_bytes: what the copies and as many results should exceed.
    """
    count = min(max(2, rotated_bytes // max(bytes_of_a_call, 1) + 1), _MOST_COPIES)
    return [inputs] + [tuple(value.copy() if hasattr(value, "copy") else value
                             for value in inputs) for _ in range(count - 1)]


def in_rounds(contenders: Mapping[str, Rotation], settings: Settings, clock: Clock,
              progress: Callable[[], None] = lambda: None) -> dict[str, tuple[Summary, int]]:
    """Each contender's timings, and of how many calls each is the mean.

    Args:
      contenders: what takes turns.
      settings: how thoroughly.
      clock: whose time.
      progress: called for each timing that all contenders have.
    """
    calls = {name: _warmed_up(rotation, settings, clock) for name, rotation in contenders.items()}
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    most = max(1, min(settings.timings_of_turn, settings.repeats // 3))
    for round_, done in enumerate(range(0, settings.repeats, most)):
        first = round_ % len(names) if names else 0
        timings = min(most, settings.repeats - done)
        for name in names[first:] + names[:first]:
            time.sleep(settings.pause_seconds)
            rotation, count = contenders[name], calls[name]
            rotation.run(1)
            seconds[name] += [clock.seconds(partial(rotation.run, count)) / count
                              for _ in range(timings)]
        for _ in range(timings):
            progress()
    return {name: (Summary(tuple(found)), calls[name]) for name, found in seconds.items()}


def _warmed_up(rotation: Rotation, settings: Settings, clock: Clock) -> int:
    """Compile, and fill the rotation twice; how many calls a timing needs to last long enough.

    The first results come from new pages of the system, and so may the second ones (an allocator
    keeps a freed block only after it has seen its size); from then on memory is reused.
    """
    rotation.run(1)
    spent, fastest = 0.0, float("inf")
    for _ in range(2 * len(rotation)):
        found = clock.seconds(partial(rotation.run, 1))
        spent, fastest = spent + found, min(fastest, found)
        if spent > settings.warm_up_seconds:
            break
    return min(max(1, round(settings.timing_seconds / max(fastest, 1e-9))), _MOST_CALLS)
