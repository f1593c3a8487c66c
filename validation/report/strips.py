"""Charts with a column for each layer, from image to latent: SVG paths in a box of 1000 x 100.

The box is stretched to the page's width; numbers stand in the tables below.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

from refglow.validation.report.figures import Figures
from refglow.validation.report.layers import BROKEN, WRONG, Compared, LayerReport
from refglow.validation.report.scale import LogScale, scale_of

_WIDTH, _HEIGHT = 1000.0, 100.0
_GAP = 0.2  # of a column
_MOST_TICKS = 8  # beside zero


@dataclass(frozen=True)
class BlockOfLayers:
    """The layers of one block, and its share of the chart's width in per cent."""

    name: str
    layers: tuple[LayerReport, ...]
    percent: float

    @property
    def passed(self) -> bool:
        """Whether all are right, for the input that they got."""
        return all(layer.verdict not in (WRONG, BROKEN) for layer in self.layers)

    @property
    def worst(self) -> Figures | None:
        """The largest share of a tolerance of the layers alone; None if none was compared."""
        return max((figures for layer in self.layers for figures in layer.alone.both),
                   key=lambda figures: figures.error / figures.tolerance, default=None)


def blocks_of(layers: Sequence[LayerReport]) -> list[BlockOfLayers]:
    """The layers by block, in their order."""
    groups = groupby(layers, key=lambda layer: layer.name.partition(".")[0])
    return [BlockOfLayers(name, each, round(100 * len(each) / len(layers), 3))
            for name, each in ((name, tuple(group)) for name, group in groups)]


@dataclass(frozen=True)
class ErrorStrip:
    """Errors of layers' outputs: paths of columns and lines.

    Attributes:
      scale: of the errors.
      right, wrong: columns of the errors alone, of layers that are right and of those that are not.
      tolerance: a line: that of the layers alone.
      on_the_way: a line: the error on the way.
    """

    scale: LogScale
    right: str
    wrong: str
    tolerance: str
    on_the_way: str


def error_strip(layers: Sequence[LayerReport]) -> ErrorStrip:
    """The chart of errors by layer."""
    figures = [one.output for layer in layers for one in (layer.alone, layer.on_the_way)
               if one.output is not None]
    scale = scale_of([number for one in figures for number in (one.error, one.tolerance)])

    def heights(get: Callable[[LayerReport], Figures | None],
                number: Callable[[Figures], float]) -> list[float | None]:
        found = [get(layer) for layer in layers]
        return [None if one is None else scale.percent(number(one)) for one in found]
    alone = heights(lambda layer: _shown(layer).output, lambda figures: figures.error)
    is_wrong = [layer.verdict in (WRONG, BROKEN) for layer in layers]
    return ErrorStrip(
        scale, _columns([None if wrong else h for h, wrong in zip(alone, is_wrong, strict=True)]),
        _columns([(100.0 if h is None else h) if wrong else None
                  for h, wrong in zip(alone, is_wrong, strict=True)]),
        _line(heights(lambda layer: _shown(layer).output, lambda figures: figures.tolerance)),
        _line(heights(lambda layer: layer.on_the_way.output, lambda figures: figures.error)))


def _shown(layer: LayerReport) -> Compared:
    """A layer's errors for its own input; those on the way where that is not known."""
    return layer.alone if layer.alone.both else layer.on_the_way


@dataclass(frozen=True)
class LogDetStrip:
    """What layers add to the log-det, mean over the examples: columns up and down from zero.

    Attributes:
      ticks: (number, its place in per cent from below).
      zero: the place of zero.
      true: columns.
      yours: a line.
    """

    ticks: tuple[tuple[float, float], ...]
    zero: float
    true: str
    yours: str


def log_det_strip(layers: Sequence[LayerReport]) -> LogDetStrip:
    """The chart of contributions to the log-det.

    Exits of many channels add hundreds of nats, other layers a few: x stands at
    sign(x) log10(1 + |x|), which is linear for small numbers.
    """
    true = [layer.contribution.true_mean for layer in layers]
    yours = [layer.contribution.your_mean for layer in layers]
    placed = [_signed_log(value) for value in (*true, *yours)
              if value is not None and math.isfinite(value)]
    low, high = min([*placed, 0.0]), max([*placed, 0.0])
    low, high = (low, high) if high > low else (0.0, 1.0)

    def place(value: float | None) -> float | None:
        if value is None or not math.isfinite(value):
            return None
        return 100 * (_signed_log(value) - low) / (high - low)
    # Numbers of hundreds of decades, which diverging layers give, are labelled where there is room.
    every = math.ceil((high - low) / _MOST_TICKS)
    ticks = [sign * float(10**k) for sign in (1, -1)
             for k in range(every - 1, 300, every)
             if low <= _signed_log(sign * 10.0**k) <= high]
    zero = place(0.0) or 0.0
    return LogDetStrip(tuple((tick, round(place(tick) or 0.0, 2)) for tick in (0.0, *ticks)), zero,
                       _columns([place(value) for value in true], base=zero),
                       _line([place(value) for value in yours]))


def _signed_log(value: float) -> float:
    return math.copysign(math.log10(1 + abs(value)), value)


def _columns(heights: Sequence[float | None], base: float = 0.0) -> str:
    """Columns from the base line to the heights, in per cent from below."""
    width = _WIDTH / len(heights)
    return "".join(
        f"M{_n((k + _GAP / 2) * width)} {_n(_HEIGHT - base)}h{_n((1 - _GAP) * width)}"
        f"v{_n(base - height)}h{_n(-(1 - _GAP) * width)}z"
        for k, height in enumerate(heights) if height is not None)


def _line(heights: Sequence[float | None]) -> str:
    """A level line over each column, joined where neighbours have one."""
    width, path, joined = _WIDTH / len(heights), [], False
    for k, height in enumerate(heights):
        if height is not None:
            path.append(f"{'L' if joined else 'M'}{_n(k * width)} {_n(_HEIGHT - height)}"
                        f"h{_n(width)}")
        joined = height is not None
    return "".join(path)


def _n(number: float) -> str:
    """A coordinate, short."""
    return f"{number:.1f}".removesuffix(".0")
