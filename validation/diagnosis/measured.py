"""A limit of errors that takes several evaluations to measure: as few as decide.

It comes from random moves of the data, the largest of a few. That is a lower bound of how far they
can move a result, and now and then a low one: three moves of one number are all below a tenth of
their usual size in one of two thousand comparisons. Where an error is above the limit, but not far,
more moves are made. A mistake is far above.
"""

from __future__ import annotations

from collections.abc import Callable

from refglow.validation.conditioning import DRAWS, MORE_DRAWS

_DOUBTFUL = 30.0  # times the limit of a few draws; the smallest mistakes planted are beyond it


class Measured:
    """A limit that is measured when it is asked for."""

    def __init__(self, measure: Callable[[int], float], least: Callable[[], float]) -> None:
        """Measure nothing yet.

        Args:
          measure: the limit by so many draws.
          least: what it is at least, whatever is drawn.
        """
        self._measure, self._least = measure, least
        self._draws, self._value = 0, 0.0

    @property
    def value(self) -> float:
        """The limit, by as many draws as were needed so far."""
        if not self._draws:
            self._measure_by(DRAWS)
        return self._value

    @property
    def least(self) -> float:
        """What it is at least."""
        return self._least()

    def share(self, error: float) -> float:
        """An error as a share of the limit: at most 1 if it is rounding; infinite for NaN."""
        if not self._draws and error <= self.least:
            return error / self.least
        share = error / self.value
        if 1 < share < _DOUBTFUL and self._draws < MORE_DRAWS:
            self._measure_by(MORE_DRAWS)
            share = error / self._value
        return float("inf") if share != share else share

    def _measure_by(self, draws: int) -> None:
        self._draws, self._value = draws, self._measure(draws)
