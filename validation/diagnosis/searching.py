"""The search for the one answer, or the two, with which refglow gives what was seen."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

Answers = dict[str, str]
# The largest error with these answers, as a share of what is rounding: at most 1 if they explain.
Judge = Callable[[Answers], float]


class TimeOverError(Exception):
    """Something was to be computed when the time was over."""


@dataclass
class Deadline:
    """When a search has to end.

    Attributes:
      seconds: how long it may take.
      passed: whether a search was cut short.
      whole: the deadline that this one is a part of, if it is one.
    """

    seconds: float
    passed: bool = False
    whole: Deadline | None = None
    _end: float = field(init=False)

    def __post_init__(self) -> None:
        self._end = time.monotonic() + self.seconds

    def over(self) -> bool:
        """Whether the time is over."""
        if time.monotonic() < self._end:
            return False
        self.passed = True
        if self.whole is not None:
            self.whole.passed = True
        return True

    def check(self) -> None:
        """Raise TimeOverError if the time is over."""
        if self.over():
            raise TimeOverError

    def part(self, share: float) -> Deadline:
        """The deadline of a search that may take only a share of what time is left."""
        left = max(0.0, self._end - time.monotonic())
        return Deadline(share * left, whole=self)


def explanations(judge: Judge, ones: Iterable[Answers], twos: Iterable[Answers],
                 deadline: Deadline) -> list[tuple[Answers, float]]:
    """The answers that explain: the single ones if there are any, else the pairs.

    Args:
      judge: of answers; those with which nothing can be computed it refuses by a ValueError.
      ones, twos: what to try.
      deadline: when to stop.

    Returns:
      (answers, error as a share of the limit), in the order of trying.
    """
    for candidates in (ones, twos):
        found = [(answers, share) for answers, share in _judged(judge, candidates, deadline)
                 if share <= 1]
        if found:
            return found
    return []


def _judged(judge: Judge, candidates: Iterable[Answers],
            deadline: Deadline) -> Iterator[tuple[Answers, float]]:
    for answers in candidates:
        if deadline.over():
            return
        try:
            with np.errstate(all="ignore"):
                share = judge(answers)
            yield answers, float("inf") if np.isnan(share) else share
        except TimeOverError:
            return
        except (ValueError, IndexError, np.linalg.LinAlgError, KeyError):
            continue  # these answers do not go with this model: odd channels, singular matrices


def pairs(ones: Iterable[Answers]) -> Iterator[Answers]:
    """Every two of them that answer different questions."""
    for first, second in itertools.combinations(list(ones), 2):
        if first.keys().isdisjoint(second.keys()):
            yield first | second
