"""The roofline plot: operations per second over operations per byte, below two ceilings.

A kernel that does I operations for each byte it must move cannot do more than

    min(GEMM rate, I * copy bandwidth)        operations per second

Both ceilings are drawn as they were measured, and each variant as a point. Functions that only move
data have no operations and no place in that plot; they get bars of their bandwidth below it.

Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model".
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Bbox

_COLOURS = ("#1f5fa8", "#c4480c", "#2b7a3d", "#7a3f98", "#8a6d00", "#00788a", "#b0306a", "#555555")
_MARKERS = "os^DvPX*<>p"
_KEY_COLUMNS = 3
_ALONG = 150  # boxes along a ceiling that labels keep away from
_REACH = tuple(range(10, 90, 5))  # distances in points at which a label is tried
_DIRECTIONS = tuple(np.deg2rad((90, 270, 45, 135, 315, 225, 0, 180)))


@dataclass(frozen=True)
class Point:
    """One variant in the picture.

    Attributes:
      name: of the function and its size; what its variants have in common.
      variant: which of them.
      intensity: operations per byte; 0 for a function that only moves data.
      rate: operations per second.
      bandwidth: bytes per second.
    """

    name: str
    variant: str
    intensity: float
    rate: float
    bandwidth: float


@dataclass(frozen=True)
class Ceiling:
    """The two limits.

    Attributes:
      bandwidth, bandwidth_label: bytes per second, and what they are, e.g. "copy, measured".
      rate, rate_label: operations per second, and what they are; None if unknown.
    """

    bandwidth: float
    bandwidth_label: str
    rate: float | None
    rate_label: str


def require_matplotlib() -> None:
    """Raises: ImportError if matplotlib is missing; says how to install it."""
    try:
        import matplotlib.figure  # noqa: F401
    except ImportError as error:
        raise ImportError("The roofline plot cannot be drawn without "
                          f"{error.name or error}: pip install \"refglow[train]\".",
                          name=error.name) from error


def roofline_figure(points: Sequence[Point], ceiling: Ceiling, title: str) -> Figure:
    """The picture as a matplotlib figure.

    Args:
      points: the variants, in any order.
      ceiling: the limits they are held against.
      title: says what ran, where.

    Raises:
      ImportError: if matplotlib is missing; says how to install it.
    """
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    computing = [point for point in points if point.intensity > 0]
    moving = [point for point in points if not point.intensity > 0]
    styles = _styles(points)
    key_rows = -(-(len(styles) + len(_names(computing))) // _KEY_COLUMNS)
    heights = ([6.0, 0.2 + 0.17 * key_rows] if computing else []) + (
        [0.9 + 0.3 * len(moving)] if moving else [])
    figure = Figure(figsize=(12, 0.8 + sum(heights)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # measures texts
    figure.suptitle(title, fontsize=10)
    above, *below = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    if computing:
        _draw_roofline(above, computing, ceiling, styles)
        below[0].set_axis_off()
    if moving:
        _draw_bars([above, *below][-1], moving, ceiling, styles)
    figure.draw_without_rendering()  # fixes where things are on the screen
    figure.set_layout_engine("none")
    if computing:
        _draw_key(below[0], _names(computing), styles)
        _name_the_ceilings(above, ceiling)
        _number_the_functions(above, computing, ceiling)
    return figure


def encoded(figure: Figure, format_: str) -> bytes:
    """The file of a figure; the same figure gives the same bytes.

    Args:
      figure: as `roofline_figure` makes it.
      format_: "png" or "svg".
    """
    import matplotlib
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "refglow"}):
        figure.savefig(buffer, format=format_,
                       metadata={"Date": None} if format_ == "svg" else None)
    return buffer.getvalue()


def _styles(points: Sequence[Point]) -> dict[str, tuple[str, str]]:
    """Marker and colour of each variant."""
    variants = list(dict.fromkeys(point.variant for point in points))
    return {variant: (_MARKERS[k % len(_MARKERS)], _COLOURS[k % len(_COLOURS)])
            for k, variant in enumerate(variants)}


def _draw_roofline(axes: Axes, points: Sequence[Point], ceiling: Ceiling,
                   styles: dict[str, tuple[str, str]]) -> None:
    names = _names(points)
    for name in names:  # the variants of a function lie above one another
        group = [point for point in points if point.name == name]
        rates = [point.rate / 1e9 for point in group]
        axes.plot([group[0].intensity] * 2, [min(rates), max(rates)], color="0.8", linewidth=1,
                  zorder=1)
        for point in group:
            marker, colour = styles[point.variant]
            axes.plot(point.intensity, point.rate / 1e9, marker, color=colour, markersize=6,
                      zorder=3)
    _limits(axes, points, ceiling)
    _draw_ceilings(axes, ceiling)
    axes.set_xlabel("arithmetic intensity: operations per byte that must be moved")
    axes.set_ylabel("GFLOP/s")
    axes.grid(color="0.93", linewidth=0.6)
    axes.set_axisbelow(True)


def _names(points: Sequence[Point]) -> list[str]:
    return list(dict.fromkeys(point.name for point in points))


def _limits(axes: Axes, points: Sequence[Point], ceiling: Ceiling) -> None:
    """A view that holds all points and the ridge, where the two ceilings meet, with some room."""
    intensities = [point.intensity for point in points]
    rates = [point.rate / 1e9 for point in points]
    if ceiling.rate is not None:
        intensities.append(ceiling.rate / ceiling.bandwidth)
        rates.append(ceiling.rate / 1e9)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(min(intensities) / 2.5, max(intensities) * 2.5)
    axes.set_ylim(min(rates) / 3, max(*rates, ceiling.bandwidth * min(intensities) / 1e9) * 3)


def _draw_ceilings(axes: Axes, ceiling: Ceiling) -> None:
    for (x0, y0), (x1, y1) in _segments(axes, ceiling):
        axes.plot([x0, x1], [y0, y1], color="black", linewidth=1.5, zorder=2)


def _segments(axes: Axes, ceiling: Ceiling) -> list[tuple[tuple[float, float],
                                                          tuple[float, float]]]:
    """The ends of the slope and, if it is in view, of the level, in the axes' units."""
    low, high = axes.get_xlim()
    slope = ceiling.bandwidth / 1e9
    if ceiling.rate is None or ceiling.rate / ceiling.bandwidth >= high:
        return [((low, low * slope), (high, high * slope))]
    ridge, level = ceiling.rate / ceiling.bandwidth, ceiling.rate / 1e9
    return [((low, low * slope), (ridge, level)), ((ridge, level), (high, level))]


def _name_the_ceilings(axes: Axes, ceiling: Ceiling) -> None:
    """What the two lines are, along and above them."""
    (start, _), *level = _segments(axes, ceiling)
    angle = _slope_on_screen(axes)
    along, above = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    axes.annotate(f"{ceiling.bandwidth_label}: {_figure(ceiling.bandwidth)} GB/s", start,
                  xytext=(14 * along - 5 * above, 14 * above + 5 * along),
                  textcoords="offset points", rotation=angle, rotation_mode="anchor", fontsize=9)
    if level:
        ridge, end = level[0]
        from_left = axes.transData.transform(ridge)[0] < axes.get_window_extent().xmax / 2
        axes.annotate(f"{ceiling.rate_label}: {_figure(ceiling.rate or 0.0)} GFLOP/s",
                      ridge if from_left else end, xytext=(6 if from_left else -6, 6),
                      textcoords="offset points", ha="left" if from_left else "right", fontsize=9)


def _figure(per_second: float) -> str:
    """In thousand millions, three digits or all before the point."""
    giga = per_second / 1e9
    return f"{giga:,.0f}" if giga >= 100 else f"{giga:.3g}"


def _slope_on_screen(axes: Axes) -> float:
    """The angle in degrees at which a line of slope one on both logarithmic axes is drawn."""
    (x0, x1), (y0, y1) = np.log10(axes.get_xlim()), np.log10(axes.get_ylim())
    box = axes.get_window_extent()
    return float(np.degrees(np.arctan2(box.height / (y1 - y0), box.width / (x1 - x0))))


def _draw_key(axes: Axes, names: Sequence[str], styles: dict[str, tuple[str, str]]) -> None:
    """Which marker is which variant, which number is which function; from the figure's left."""
    from matplotlib.lines import Line2D
    handles: list[Line2D] = [
        Line2D([], [], marker=marker, color=colour, linestyle="none", label=variant)
        for variant, (marker, colour) in styles.items()]
    handles += [Line2D([], [], linestyle="none", label=f"{number}  {name}")
                for number, name in enumerate(names, 1)]
    axes.legend(handles=handles, loc="upper left", fontsize=7, frameon=False, handlelength=1.0,
                borderaxespad=0.0, labelspacing=0.3, ncols=_KEY_COLUMNS,
                bbox_to_anchor=(0.02, axes.get_position().y1),
                bbox_transform=axes.figure.transFigure)


def _number_the_functions(axes: Axes, points: Sequence[Point], ceiling: Ceiling) -> None:
    """Each function's number beside its highest point, where it covers nothing."""
    taken = [_box_around(axes.transData.transform((point.intensity, point.rate / 1e9)), 4)
             for point in points]
    for ends in _segments(axes, ceiling):
        (x0, y0), (x1, y1) = axes.transData.transform(ends)
        taken += [_box_around((x, y), 3) for x, y in zip(
            np.linspace(x0, x1, _ALONG), np.linspace(y0, y1, _ALONG), strict=True)]
    taken += [_text_box(text) for text in axes.texts]
    for number, name in enumerate(_names(points), 1):
        top = max((point for point in points if point.name == name), key=lambda p: p.rate)
        _place(axes, str(number), (top.intensity, top.rate / 1e9), taken)


def _place(axes: Axes, text: str, where: tuple[float, float], taken: list[Bbox]) -> None:
    """The text near a point, at the first place whose box meets none of `taken`; adds its own."""
    label: Any = axes.annotate(
        text, where, xytext=(0, 10), textcoords="offset points", ha="center", va="center",
        fontsize=8, arrowprops={"arrowstyle": "-", "color": "0.6", "linewidth": 0.6,
                                "shrinkA": 4, "shrinkB": 3})
    inside = axes.get_window_extent()
    for distance in _REACH:
        for angle in _DIRECTIONS:
            label.set_position((distance * np.cos(angle), distance * np.sin(angle)))
            box = _text_box(label)
            if inside.contains(box.x0, box.y0) and inside.contains(box.x1, box.y1) and not any(
                    box.overlaps(other) for other in taken):
                taken.append(box)
                return
    taken.append(_text_box(label))


def _text_box(label: Any) -> Bbox:
    """The extent of a label's text on the screen, without its line, and a little room."""
    from matplotlib.text import Text
    renderer = label.figure.canvas.get_renderer()
    label.update_positions(renderer)
    return Text.get_window_extent(label, renderer).padded(1.5)


def _box_around(centre: Any, half: float) -> Bbox:
    from matplotlib.transforms import Bbox
    x, y = centre
    return Bbox([[x - half, y - half], [x + half, y + half]])


def _draw_bars(axes: Axes, points: Sequence[Point], ceiling: Ceiling,
               styles: dict[str, tuple[str, str]]) -> None:
    labels = [f"{point.name}, {point.variant}" for point in points]
    bars = axes.barh(labels, [point.bandwidth / 1e9 for point in points], height=0.7,
                     color=[styles[point.variant][1] for point in points])
    axes.bar_label(bars, [f"{point.bandwidth / ceiling.bandwidth:.0%}" for point in points],
                   padding=3, fontsize=8)
    axes.axvline(ceiling.bandwidth / 1e9, color="black", linewidth=1.5)
    axes.set_xlim(0, 1.15 * max(ceiling.bandwidth, *(point.bandwidth for point in points)) / 1e9)
    axes.set_xlabel(f"GB/s of functions without arithmetic; the line is {ceiling.bandwidth_label}: "
                    f"{_figure(ceiling.bandwidth)} GB/s")
    axes.invert_yaxis()
    axes.tick_params(axis="y", labelsize=8)
