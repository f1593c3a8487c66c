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
from typing import TYPE_CHECKING

from refglow.extras import from_extra
from refglow.kernels.bench.roofline_axes import (
    Styles,
    draw_bars,
    draw_roofline,
    key_handles,
    name_the_ceilings,
    names_of,
    number_the_functions,
    split_points,
    styles_of,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from refglow.kernels.bench.roofline_points import Ceiling, Point

_KEY_COLUMNS = 3


def require_matplotlib() -> None:
    """Raises: ImportError if matplotlib is missing; says how to install it."""
    with from_extra("train", "The roofline plot"):
        import matplotlib.figure  # noqa: F401


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

    computing, moving = split_points(points)
    styles = styles_of(points)
    key_rows = -(-(len(styles) + len(names_of(computing))) // _KEY_COLUMNS)
    heights = ([6.0, 0.2 + 0.17 * key_rows] if computing else []) + (
        [0.9 + 0.3 * len(moving)] if moving else [])
    figure = Figure(figsize=(12, 0.8 + sum(heights)), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)  # measures texts
    figure.suptitle(title, fontsize=10)
    above, *below = figure.subplots(len(heights), 1, squeeze=False, height_ratios=heights)[:, 0]
    if computing:
        draw_roofline(above, computing, ceiling, styles)
        below[0].set_axis_off()
    if moving:
        draw_bars([above, *below][-1], moving, ceiling, styles)
    figure.draw_without_rendering()  # fixes where things are on the screen
    figure.set_layout_engine("none")
    if computing:
        _draw_key(below[0], names_of(computing), styles)
        name_the_ceilings(above, ceiling)
        number_the_functions(above, computing, ceiling)
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


def _draw_key(axes: Axes, names: Sequence[str], styles: Styles) -> None:
    """The key, from the figure's left."""
    axes.legend(handles=key_handles(names, styles), loc="upper left", fontsize=7, frameon=False,
                handlelength=1.0, borderaxespad=0.0, labelspacing=0.3, ncols=_KEY_COLUMNS,
                bbox_to_anchor=(0.02, axes.get_position().y1),
                bbox_transform=axes.figure.transFigure)
