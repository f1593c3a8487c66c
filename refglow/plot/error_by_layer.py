"""How far each layer of an implementation is from the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from refglow.plot.style import BLUE, GREY, VERMILION, axes_for, ink, mark_blocks, plain

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from refglow.validation.report.layers import LayerReport

_ROOM = 10.0  # between the numbers and the lines for zero and for what is not finite


@dataclass(frozen=True)
class _Error:
    """One layer: relative errors alone and on the way; NaN where there is none."""

    name: str
    alone: float
    tolerance: float
    on_the_way: float

    @property
    def wrong(self) -> bool:
        return not math.isnan(self.tolerance) and not self.alone <= self.tolerance


def error_by_layer(found: Any, dtype: str | None = None, ax: Axes | None = None) -> Axes:
    """The largest error of each layer's output relative to its largest number, from the image on.

    Dots are errors of each layer alone, for the input that it got, and a short line above each is
    the largest that passes; a layer that does not is red. The grey line is the error from the image
    on, with all that came before. What is exactly right lies on the lowest line, what is not finite
    on the highest.

    Args:
      found: what `conformance` or `report_of` gave, or a list with (name, error) or (name, error,
        tolerance) of each layer, in order.
      dtype: which number type of a report, "float32" or "float64"; None: the first with layers.
      ax: where to draw; None: a new figure.

    Returns:
      the Axes. Its lines with the labels "alone" and "wrong alone" hold the errors at x = 0, 1, ...

    Raises:
      ImportError: if matplotlib is missing.
      TypeError: if `found` is something else, or `ax` no Axes.
      ValueError: if no layer was given, or an error is negative.

    Source: `refglow.validation.implementations`, on layers that are compared twice.
    """
    layers = _layers(found, dtype)
    axes = axes_for(ax, (9.0, 4.0))
    places = _Places([e for one in layers for e in (one.alone, one.tolerance, one.on_the_way)])
    _draw(axes, layers, places)
    mark_blocks(axes, [one.name for one in layers])
    axes.set_xlabel("layers, from the image to the latents")
    axes.set_ylabel("error, relative to the largest number")
    plain(axes)
    _name_the_first(axes, layers, places)
    axes.legend(frameon=False, labelcolor=ink(axes), loc="lower left", ncols=4,
                bbox_to_anchor=(0.0, 1.0), borderaxespad=0.2)
    return axes


def _layers(found: Any, dtype: str | None) -> list[_Error]:
    """What is to be drawn, of any of the kinds that may be given."""
    from refglow.validation.implementations import Conformance
    from refglow.validation.report.layers import layers_of
    from refglow.validation.report.record import Report

    if isinstance(found, Report):
        layers = _of_type(found, dtype)
    elif isinstance(found, Conformance):
        layers = [_of_report(layer) for layer in layers_of(found)]
    elif isinstance(found, Sequence) and not isinstance(found, str):
        layers = [_of_numbers(one) for one in found]
    else:
        raise TypeError("error_by_layer draws a Report, a Conformance, or a list of (name, error) "
                        f"or (name, error, tolerance); got {type(found).__name__}.")
    if not layers:
        raise ValueError("There is no layer to draw: the implementation offers no `layers`, or "
                         "they could not be compared.")
    return layers


def _of_type(report: Any, dtype: str | None) -> list[_Error]:
    types = [one for one in report.types if dtype is None or one.dtype == dtype]
    if not types:
        raise ValueError("The report has no layers in "
                         f"{dtype or 'any number type'}; it is of {report.kind}"
                         f"{', in ' if report.types else ''}"
                         f"{' and '.join(one.dtype for one in report.types)}.")
    with_layers = next((one for one in types if one.layers), types[0])
    return [_of_report(layer) for layer in with_layers.layers]


def _of_report(layer: LayerReport) -> _Error:
    alone = layer.alone.output or layer.on_the_way.output
    way = layer.on_the_way.output
    if alone is None:
        return _Error(layer.name, math.inf, 0.0, math.inf)
    return _Error(layer.name, alone.error, alone.tolerance, math.nan if way is None else way.error)


def _of_numbers(one: Any) -> _Error:
    try:
        name, error, *tolerance = one
        found = _Error(str(name), float(error), float(tolerance[0]) if tolerance else math.nan,
                       math.nan)
    except (TypeError, ValueError):
        raise TypeError("Each layer is (name, error) or (name, error, tolerance); got "
                        f"{one!r}.") from None
    if len(tolerance) > 1 or found.alone < 0 or found.tolerance < 0:
        raise ValueError(f"Each layer is (name, error) or (name, error, tolerance), which are at "
                         f"least 0; got {one!r}.")
    return found


class _Places:
    """Heights on a logarithmic axis, which has none for zero and infinity of its own."""

    def __init__(self, errors: Sequence[float]) -> None:
        positive = [e for e in errors if 0 < e < math.inf]
        self.low = min(positive, default=1e-17) / _ROOM
        self.high = max(positive, default=1.0) * _ROOM

    def of(self, error: float, missing: bool = False) -> float:
        """Where an error is drawn; what is NaN on top, or, where that means nothing, nowhere."""
        if math.isnan(error):
            return math.nan if missing else self.high
        return min(max(error, self.low), self.high)


def _draw(axes: Axes, layers: list[_Error], places: _Places) -> None:
    import numpy as np

    axes.set_yscale("log")
    x = np.arange(len(layers))
    way = [places.of(one.on_the_way, missing=True) for one in layers]
    if not np.isnan(way).all():
        axes.plot(x, way, color=GREY, linewidth=1.2, label="with all that came before", zorder=1)
    allowed = [places.of(one.tolerance, missing=True) for one in layers]
    if not np.isnan(allowed).all():
        axes.plot(x, allowed, "_", color=ink(axes), markersize=7, label="largest that passes")
    wrong = np.array([one.wrong for one in layers])
    alone = np.array([places.of(one.alone) for one in layers])
    axes.plot(x[~wrong], alone[~wrong], "o", color=BLUE, markersize=4.5, label="alone")
    if wrong.any():
        axes.plot(x[wrong], alone[wrong], "X", color=VERMILION, markersize=8, label="wrong alone")
    axes.set_ylim(places.low / 3, places.high * 3)
    for height, shown, text in ((places.low, any(one.alone == 0 for one in layers), "exact"),
                                (places.high, not all(math.isfinite(one.alone) for one in layers),
                                 "not finite")):
        if shown:
            axes.axhline(height, color=GREY, linewidth=0.8, linestyle=":")
            axes.annotate(text, (1.0, height), xycoords=("axes fraction", "data"), xytext=(-2, 2),
                          textcoords="offset points", ha="right", fontsize="small",
                          color=ink(axes))


def _name_the_first(axes: Axes, layers: list[_Error], places: _Places) -> None:
    """The first layer that is wrong, by name, towards the middle of the picture."""
    first = next((k for k, one in enumerate(layers) if one.wrong), None)
    if first is not None:
        left = first < len(layers) / 2
        axes.annotate(layers[first].name, (first, places.of(layers[first].alone)),
                      xytext=(0, 8), textcoords="offset points", color=ink(axes),
                      ha="left" if left else "right")
