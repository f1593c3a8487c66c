"""Positions on a page: numbers on a logarithmic scale, as per cent of its length."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

_LEAST_SEEN = 1.0  # per cent: what is not zero is not drawn as nothing
_MOST_STEPS = 4
_MOST_DECADES = 40


@dataclass(frozen=True)
class Tick:
    """A power of ten and its place in per cent."""

    exponent: int
    percent: float


@dataclass(frozen=True)
class LogScale:
    """A scale from 10^lowest to 10^highest."""

    lowest: int
    highest: int

    def percent(self, value: float) -> float:
        """Where a number is: 0 for zero, 100 for what is not finite or beyond the scale."""
        if value == 0:
            return 0.0
        if not math.isfinite(value):
            return 100.0
        share = (math.log10(value) - self.lowest) / (self.highest - self.lowest)
        return round(min(100.0, max(_LEAST_SEEN, 100 * share)), 2)

    @property
    def ticks(self) -> list[Tick]:
        """A few powers of ten, evenly spaced."""
        step = -(-(self.highest - self.lowest) // _MOST_STEPS)
        return [Tick(exponent, round(100 * (exponent - self.lowest)
                                     / (self.highest - self.lowest), 2))
                for exponent in range(self.highest, self.lowest - 1, -step)]


def scale_of(values: Iterable[float]) -> LogScale:
    """A scale on which all numbers that are finite and not zero have a place."""
    exponents = [math.log10(value) for value in values if value > 0 and math.isfinite(value)]
    if not exponents:
        return LogScale(-16, 0)
    highest = math.ceil(max(exponents))
    lowest = max(min(math.floor(min(exponents)), highest - 1), highest - _MOST_DECADES)
    return LogScale(lowest, highest)
