"""Kernels below the limits of the machine, from a report of `refglow bench` or its measurements."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from refglow.plot.style import axes_for, ink

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.lines import Line2D

    from refglow.kernels.bench.roofline_points import Ceiling, Point

_KEY_COLUMNS = 2
_BELOW = -0.16  # where the key begins, below the text of the x axis


def roofline(found: Any, ceilings: Any = None, ax: Axes | None = None) -> Axes:
    """Operations per second over operations per byte, below the two ceilings of the machine.

        attainable rate  =  min(rate of matrix products, intensity x copy bandwidth)

    Each variant is a point and each function a number, by which the key below names it. Functions
    that only move data have no place there: the key says what they reach of the copy's bandwidth.
    Where there are no others, they are bars.

    Args:
      found: the report that `refglow bench cpu --json FILE` or `bench cuda` wrote, as a dict; or
        measurements of the harness.
      ceilings: of the same run as the measurements; a report has its own.
      ax: where to draw; None: a new figure.

    Returns:
      the Axes. Points are lines with one marker, at (operations per byte, GFLOP/s); bars are
      `ax.patches`, in GB/s.

    Raises:
      ImportError: if matplotlib is missing.
      TypeError: if `found` is something else, or `ax` no Axes.
      ValueError: if it is another report, or nothing was timed.

    Source: Williams, Waterman & Patterson 2009, "Roofline: an insightful visual performance model".
    """
    points, ceiling = _of(found, ceilings)
    if not points:
        raise ValueError("There is nothing to draw: no variant was timed.")
    from refglow.kernels.bench import roofline_axes as parts

    axes = axes_for(ax, (9.0, 7.0))
    computing, moving = parts.split_points(points)
    styles = parts.styles_of(points)
    if not computing:
        parts.draw_bars(axes, moving, ceiling, styles)
        return axes
    parts.draw_roofline(axes, computing, ceiling, styles)
    handles = parts.key_handles(parts.names_of(computing), styles)
    axes.legend(handles=handles + _moving(moving, ceiling), loc="upper left",
                bbox_to_anchor=(0.0, _BELOW), borderaxespad=0.0, frameon=False, fontsize="x-small",
                ncols=_KEY_COLUMNS, labelcolor=ink(axes), handlelength=1.0)
    figure = axes.get_figure(root=True)
    assert figure is not None
    figure.draw_without_rendering()  # fixes where things are on the screen
    parts.name_the_ceilings(axes, ceiling)
    parts.number_the_functions(axes, computing, ceiling)
    return axes


def _moving(points: Sequence[Point], ceiling: Ceiling) -> list[Line2D]:
    """Entries of the key that say what functions without arithmetic reach."""
    from matplotlib.lines import Line2D

    from refglow.kernels.bench.roofline_axes import names_of

    reached = {name: ", ".join(f"{point.variant} {point.bandwidth / ceiling.bandwidth:.0%}"
                               for point in points if point.name == name)
               for name in names_of(points)}
    return [Line2D([], [], linestyle="none", label=f"{name}: no operations; of the copy's rate "
                   f"{shares}") for name, shares in reached.items()]


def _of(found: Any, ceilings: Any) -> tuple[list[Point], Ceiling]:
    """Points and ceiling, of whichever was given."""
    from refglow.kernels.bench.machine import Ceilings
    from refglow.kernels.bench.records import Measurement
    from refglow.kernels.bench.roofline_points import ceiling_of, of_report, points_of

    if isinstance(found, Mapping) and ceilings is None:
        return of_report(found)
    if (isinstance(found, Sequence) and all(isinstance(one, Measurement) for one in found)
            and isinstance(ceilings, Ceilings)):
        dtypes = {one.case.dtype for one in found}
        if len(dtypes) > 1:
            raise ValueError(f"A roofline is of one number type; got {', '.join(sorted(dtypes))}.")
        return points_of(found), ceiling_of(ceilings, "".join(dtypes))
    raise TypeError("roofline draws a report of `refglow bench cpu` or `bench cuda` as a dict, or "
                    "measurements with their ceilings; got "
                    f"{type(found).__name__} and {type(ceilings).__name__}.")
