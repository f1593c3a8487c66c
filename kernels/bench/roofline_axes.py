"""The parts of the roofline plot, drawn into axes that somebody else has made.

Colours have a contrast of at least 3 to white and to a page that is nearly black; ceilings and
texts have the colour in which the axes write.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D
    from matplotlib.transforms import Bbox

    from refglow.kernels.bench.roofline_points import Ceiling, Point

_COLOURS = ("#2a78c8", "#d55e00", "#2f8a4a", "#9b5fc0", "#8a6d00", "#00788a", "#d0407c", "#808080")
_MARKERS = "os^DvPX*<>p"
_FAINT = "#80808060"
_ALONG = 150  # boxes along a ceiling that labels keep away from
_REACH = tuple(range(10, 90, 5))  # distances in points at which a label is tried
_DIRECTIONS = tuple(np.deg2rad((90, 270, 45, 135, 315, 225, 0, 180)))

Styles = dict[str, tuple[str, str]]


def split_points(points: Sequence[Point]) -> tuple[list[Point], list[Point]]:
    """(those that compute and have a place in the plot, those that only move data)."""
    return ([point for point in points if point.intensity > 0],
            [point for point in points if not point.intensity > 0])


def names_of(points: Sequence[Point]) -> list[str]:
    """The functions, each once, in the order of their numbers in the plot."""
    return list(dict.fromkeys(point.name for point in points))


def styles_of(points: Sequence[Point]) -> Styles:
    """Marker and colour of each variant."""
    variants = list(dict.fromkeys(point.variant for point in points))
    return {variant: (_MARKERS[k % len(_MARKERS)], _COLOURS[k % len(_COLOURS)])
            for k, variant in enumerate(variants)}


def draw_roofline(axes: Axes, points: Sequence[Point], ceiling: Ceiling, styles: Styles) -> None:
    """The plot without its labels, which are placed when its size is fixed.

    Args:
      axes: where to draw.
      points: those that compute, at least one.
      ceiling: the limits they are held against.
      styles: of the variants.
    """
    for name in names_of(points):  # the variants of a function lie above one another
        group = [point for point in points if point.name == name]
        rates = [point.rate / 1e9 for point in group]
        axes.plot([group[0].intensity] * 2, [min(rates), max(rates)], color=_FAINT, linewidth=1,
                  zorder=1)
        for point in group:
            marker, colour = styles[point.variant]
            axes.plot(point.intensity, point.rate / 1e9, marker, color=colour, markersize=6,
                      zorder=3)
    _limits(axes, points, ceiling)
    _draw_ceilings(axes, ceiling)
    axes.set_xlabel("arithmetic intensity: operations per byte that must be moved")
    axes.set_ylabel("GFLOP/s")
    axes.grid(color=_FAINT, linewidth=0.4)
    axes.set_axisbelow(True)


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
        axes.plot([x0, x1], [y0, y1], color=_ink(axes), linewidth=1.5, zorder=2)


def _ink(axes: Axes) -> Any:
    return axes.xaxis.label.get_color()


def _segments(axes: Axes, ceiling: Ceiling) -> list[tuple[tuple[float, float],
                                                          tuple[float, float]]]:
    """The ends of the slope and, if it is in view, of the level, in the axes' units."""
    low, high = axes.get_xlim()
    slope = ceiling.bandwidth / 1e9
    if ceiling.rate is None or ceiling.rate / ceiling.bandwidth >= high:
        return [((low, low * slope), (high, high * slope))]
    ridge, level = ceiling.rate / ceiling.bandwidth, ceiling.rate / 1e9
    return [((low, low * slope), (ridge, level)), ((ridge, level), (high, level))]


def name_the_ceilings(axes: Axes, ceiling: Ceiling) -> None:
    """What the two lines are, along and above them.

    Args:
      axes: as `draw_roofline` left them, their size fixed.
      ceiling: the limits.
    """
    (start, _), *level = _segments(axes, ceiling)
    angle = _slope_on_screen(axes)
    along, above = np.cos(np.deg2rad(angle)), np.sin(np.deg2rad(angle))
    axes.annotate(f"{ceiling.bandwidth_label}: {_figure(ceiling.bandwidth)} GB/s", start,
                  xytext=(14 * along - 5 * above, 14 * above + 5 * along),
                  textcoords="offset points", rotation=angle, rotation_mode="anchor", fontsize=9,
                  color=_ink(axes))
    if level:
        ridge, end = level[0]
        from_left = axes.transData.transform(ridge)[0] < axes.get_window_extent().xmax / 2
        axes.annotate(f"{ceiling.rate_label}: {_figure(ceiling.rate or 0.0)} GFLOP/s",
                      ridge if from_left else end, xytext=(6 if from_left else -6, 6),
                      textcoords="offset points", ha="left" if from_left else "right", fontsize=9,
                      color=_ink(axes))


def _figure(per_second: float) -> str:
    """In thousand millions, three digits or all before the point."""
    giga = per_second / 1e9
    return f"{giga:,.0f}" if giga >= 100 else f"{giga:.3g}"


def _slope_on_screen(axes: Axes) -> float:
    """The angle in degrees at which a line of slope one on both logarithmic axes is drawn."""
    (x0, x1), (y0, y1) = np.log10(axes.get_xlim()), np.log10(axes.get_ylim())
    box = axes.get_window_extent()
    return float(np.degrees(np.arctan2(box.height / (y1 - y0), box.width / (x1 - x0))))


def key_handles(names: Sequence[str], styles: Styles) -> list[Line2D]:
    """Which marker is which variant, which number is which function: the entries of a legend.

    Args:
      names: of the functions, in the order of their numbers.
      styles: of the variants.
    """
    from matplotlib.lines import Line2D
    variants = [Line2D([], [], marker=marker, color=colour, linestyle="none", label=variant)
                for variant, (marker, colour) in styles.items()]
    return variants + [Line2D([], [], linestyle="none", label=f"{number}  {name}")
                       for number, name in enumerate(names, 1)]


def number_the_functions(axes: Axes, points: Sequence[Point], ceiling: Ceiling) -> None:
    """Each function's number beside its highest point, where it covers nothing.

    Args:
      axes: as `name_the_ceilings` left them.
      points: those that compute.
      ceiling: the limits.
    """
    taken = [_box_around(axes.transData.transform((point.intensity, point.rate / 1e9)), 4)
             for point in points]
    for ends in _segments(axes, ceiling):
        (x0, y0), (x1, y1) = axes.transData.transform(ends)
        taken += [_box_around((x, y), 3) for x, y in zip(
            np.linspace(x0, x1, _ALONG), np.linspace(y0, y1, _ALONG), strict=True)]
    taken += [_text_box(text) for text in axes.texts]
    for number, name in enumerate(names_of(points), 1):
        top = max((point for point in points if point.name == name), key=lambda p: p.rate)
        _place(axes, str(number), (top.intensity, top.rate / 1e9), taken)


def _place(axes: Axes, text: str, where: tuple[float, float], taken: list[Bbox]) -> None:
    """The text near a point, at the first place whose box meets none of `taken`; adds its own."""
    label: Any = axes.annotate(
        text, where, xytext=(0, 10), textcoords="offset points", ha="center", va="center",
        fontsize=8, color=_ink(axes), arrowprops={
            "arrowstyle": "-", "color": "0.5", "linewidth": 0.6, "shrinkA": 4, "shrinkB": 3})
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
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.text import Text
    whole = label.figure.get_figure(root=True)  # its own canvas may be that of another format
    canvas: Any = FigureCanvasAgg(Figure(whole.get_size_inches(), whole.dpi))
    renderer = canvas.get_renderer()
    label.update_positions(renderer)
    return Text.get_window_extent(label, renderer).padded(1.5)


def _box_around(centre: Any, half: float) -> Bbox:
    from matplotlib.transforms import Bbox
    x, y = centre
    return Bbox([[x - half, y - half], [x + half, y + half]])


def draw_bars(axes: Axes, points: Sequence[Point], ceiling: Ceiling, styles: Styles) -> None:
    """The bandwidth of functions that only move data.

    Args:
      axes: where to draw.
      points: those that only move data, at least one.
      ceiling, styles: as for `draw_roofline`.
    """
    places = range(len(points))
    bars = axes.barh(places, [point.bandwidth / 1e9 for point in points], height=0.7,
                     color=[styles[point.variant][1] for point in points])
    axes.bar_label(bars, [f"{point.bandwidth / ceiling.bandwidth:.0%}" for point in points],
                   padding=3, fontsize=8, color=_ink(axes))
    axes.axvline(ceiling.bandwidth / 1e9, color=_ink(axes), linewidth=1.5)
    axes.set_xlim(0, 1.15 * max(ceiling.bandwidth, *(point.bandwidth for point in points)) / 1e9)
    axes.set_xlabel(f"GB/s of functions without arithmetic; the line is {ceiling.bandwidth_label}: "
                    f"{_figure(ceiling.bandwidth)} GB/s")
    axes.set_yticks(places, [f"{point.name}, {point.variant}" for point in points], fontsize=8)
    axes.invert_yaxis()
