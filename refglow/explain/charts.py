"""The page's two charts over the stages: SVG paths in a box of 1000 x 100, stretched to its width.

Place k of the slider, behind stage k, is at k / L of the width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

_WIDTH, _HEIGHT = 1000.0, 100.0
_GAP = 0.15  # of a column
_TICKS = 4  # about
_LEAST_SEEN = 0.6  # per cent: what is not zero is not drawn as nothing


@dataclass(frozen=True)
class Tick:
    """A number and its place in per cent from below."""

    value: float
    percent: float


@dataclass(frozen=True)
class LinearScale:
    """A scale from `low` to `high`."""

    low: float
    high: float

    def percent(self, value: float) -> float:
        """Where a number is."""
        return 100 * (value - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[Tick]:
        """A few round numbers."""
        rough = (self.high - self.low) / _TICKS
        power = 10.0**math.floor(math.log10(rough))
        step = next(m * power for m in (1, 2, 5, 10) if m * power >= rough)
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [Tick(k * step, round(self.percent(k * step), 2)) for k in range(first, last + 1)]


def linear_scale(values: Sequence[float]) -> LinearScale:
    """A scale on which all finite numbers have a place."""
    finite = [value for value in values if math.isfinite(value)] or [0.0]
    low, high = min(finite), max(finite)
    margin = 0.04 * (high - low) or max(1.0, 0.04 * abs(high))
    return LinearScale(low - margin, high + margin)


@dataclass(frozen=True)
class Waterfall:
    """The sum of the log-dets so far: each stage a column from the sum before it to that behind.

    Attributes:
      scale: of the sum, in nats.
      up, down: columns of stages that add, and that take away.
    """

    scale: LinearScale
    up: str
    down: str


def waterfall(log_dets: Sequence[float]) -> Waterfall:
    """The chart of the stages' log-dets, in the order of the pass; it ends at their sum."""
    sums = [0.0]
    for value in log_dets:
        sums.append(sums[-1] + value)
    scale = linear_scale(sums)
    width = _WIDTH / max(1, len(log_dets))
    columns: dict[bool, list[str]] = {True: [], False: []}
    for k, (before, after) in enumerate(pairwise(sums)):
        if not (math.isfinite(before) and math.isfinite(after)) or before == after:
            continue
        height = scale.percent(after) - scale.percent(before)
        height = math.copysign(max(abs(height), _LEAST_SEEN), height)
        columns[height > 0].append(
            f"M{_n((k + _GAP / 2) * width)} {_n(_HEIGHT - scale.percent(before))}"
            f"h{_n((1 - _GAP) * width)}v{_n(-height)}h{_n(-(1 - _GAP) * width)}z")
    return Waterfall(scale, "".join(columns[True]), "".join(columns[False]))


@dataclass(frozen=True)
class Line:
    """Numbers by place: a path with a corner at each."""

    scale: LinearScale
    path: str


def line_of(values: Sequence[float]) -> Line:
    """The chart of one number at each place, the first before all stages."""
    scale, path, joined = linear_scale(values), [], False
    for k, value in enumerate(values):
        if math.isfinite(value):
            x = _WIDTH * k / max(1, len(values) - 1)
            path.append(f"{'L' if joined else 'M'}{_n(x)} {_n(_HEIGHT - scale.percent(value))}")
        joined = math.isfinite(value)
    return Line(scale, "".join(path))


def _n(number: float) -> str:
    """A coordinate, short."""
    return f"{number:.2f}".rstrip("0").rstrip(".")
