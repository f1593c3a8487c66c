"""How large the numbers of a tensor are, in all and by channel."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array


@dataclass(frozen=True)
class Statistics:
    """Of the numbers of a tensor's channels that have not exited yet, over all examples.

    Attributes:
      least, largest, mean, deviation: of all finite numbers; the deviation is that of the
        population. NaN if there are none.
      not_finite: how many numbers are infinite or NaN.
      channel_least, channel_largest: the same by channel, [C].
    """

    least: float
    largest: float
    mean: float
    deviation: float
    not_finite: int
    channel_least: tuple[float, ...]
    channel_largest: tuple[float, ...]

    @property
    def least_channel(self) -> int:
        """The channel that holds the least number."""
        return _place_of(self.channel_least, self.least)

    @property
    def largest_channel(self) -> int:
        """The channel that holds the largest number."""
        return _place_of(self.channel_largest, self.largest)

    def in_channel(self, channel: int) -> str:
        """" in channel 3"; nothing of a vector, which has none, or if no number is finite."""
        told = len(self.channel_least) > 1 and not math.isnan(self.least)
        return f" in channel {channel}" if told else ""

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"min": self.least, "max": self.largest, "mean": self.mean,
                "standard_deviation": self.deviation, "not_finite": self.not_finite,
                "channel_min": list(self.channel_least), "channel_max": list(self.channel_largest)}


def _place_of(values: tuple[float, ...], wanted: float) -> int:
    return values.index(wanted) if wanted in values else 0


def statistics_of(tensor: Array) -> Statistics:
    """The statistics of [B, ..., C]; of a vector's numbers, [B, D], as one channel."""
    numbers = tensor.astype(np.float64)
    rows = numbers.reshape(-1, numbers.shape[-1] if tensor.ndim > 2 else 1)
    fine = np.isfinite(rows)
    least = np.where(fine, rows, np.inf).min(axis=0)
    largest = np.where(fine, rows, -np.inf).max(axis=0)
    least, largest = (np.where(fine.any(axis=0), ends, np.nan) for ends in (least, largest))
    kept = rows[fine]
    if not kept.size:
        kept = np.array([np.nan])
    return Statistics(float(kept.min()), float(kept.max()), float(kept.mean()), float(kept.std()),
                      int((~fine).sum()), tuple(least.tolist()), tuple(largest.tolist()))
