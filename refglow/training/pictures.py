"""Pictures of a training run: grids of images and the course of the likelihood, as PNG files."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from refglow.atomic_file import AnyPath, write_atomically
from refglow.dtypes import Array
from refglow.extras import from_extra
from refglow.image_grid import side_by_side, square_columns

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GRID_WIDTH = 400  # pixels; small images are magnified until a grid is at least that wide
_MARGIN = 2  # pixels between images
_MARGIN_GREY = 255
_MEDIAN_POINTS = 400  # at most so many points of a running median are drawn
_MEDIAN_FRACTION = 50  # its window is the run's length divided by this
_FEW = 50  # up to so many training values are dots too
_MAX_LABELS = 8  # on test dots
_TRAIN_COLOUR, _TEST_COLOUR = "#1f5fa8", "#c4480c"


def brightness(levels: Array, max_level: int) -> npt.NDArray[np.uint8]:
    """round(255 levels / max_level), clipped: levels as a picture shows them.

    Args:
      levels: whole numbers of any shape.
      max_level: the level that is white, at least 1. For data reduced to n bits it is
        `data.max_level >> (data.n_bits - n)`.

    Returns:
      uint8, of the shape of `levels`.
    """
    scaled = np.rint(levels.astype(np.float64) * 255 / max_level)
    return np.asarray(np.clip(scaled, 0, 255).astype(np.uint8))


def save_grid(path: AnyPath, images: npt.ArrayLike, columns: int | None = None) -> None:
    """Write a PNG of all images, row by row; small ones are magnified by a whole factor.

    Pixels become squares (nearest neighbour), so that the grid is at least 400 pixels wide. Thin
    white lines lie between and around the images; places left over in the last row are white.

    Args:
      path: the file.
      images: uint8 [N, H, W, C], N at least 1, C = 1 (grey) or 3 (RGB).
      columns: images in a row; None makes the grid as square as it gets.

    Raises:
      ImportError: if Pillow is missing.
      OSError: if the file cannot be written.
      ValueError: if the images are of another shape or dtype, or columns is not at least 1.
    """
    array = np.asarray(images)
    if (array.dtype != np.uint8 or array.ndim != 4 or array.shape[-1] not in (1, 3)
            or 0 in array.shape):
        raise ValueError("A grid is made of uint8 images [N, H, W, 1] or [N, H, W, 3], at least "
                         f"one; got {array.dtype} of shape {list(array.shape)}.")
    if columns is not None and columns < 1:
        raise ValueError(f"A grid needs at least 1 column; got {columns}.")
    number, height, width, _ = array.shape
    columns = min(columns or square_columns(number, height, width), number)
    with from_extra("train", "PNG files"):
        from PIL import Image

    grid = _grid(array, columns)
    encoded = io.BytesIO()
    Image.fromarray(grid[..., 0] if grid.shape[-1] == 1 else grid).save(encoded, "PNG")
    write_atomically(path, encoded.getvalue())


def _grid(images: npt.NDArray[np.uint8], columns: int) -> npt.NDArray[np.uint8]:
    """The picture, uint8 [rows, columns, C]."""
    width = images.shape[2]
    factor = max(1, math.ceil((_GRID_WIDTH - (columns + 1) * _MARGIN) / (columns * width)))
    large = images.repeat(factor, axis=1).repeat(factor, axis=2)
    around = (_MARGIN, _MARGIN)
    return np.pad(side_by_side(large, columns, _MARGIN, _MARGIN_GREY), (around, around, (0, 0)),
                  constant_values=_MARGIN_GREY)


def save_loss_curve(path: AnyPath, steps: npt.ArrayLike, losses: npt.ArrayLike,
                    bits_per_dim: npt.ArrayLike, test_steps: npt.ArrayLike,
                    test_bpd: npt.ArrayLike) -> None:
    """Write a PNG of a training run: bits per dimension above, the loss itself below.

    Each step's value is drawn faintly with a running median on top (over the nearest fiftieth of
    the run), test values as dots. Axes are linear. They leave out the highest first values if
    these would press the rest flat, and say so. Values that are not finite leave gaps.

    Args:
      path: the file.
      steps: step numbers [N], increasing, N at least 1.
      losses: [N], nats per image: -log p(x) of the continuous x, a batch's mean.
      bits_per_dim: [N], bits per dimension of the same batches.
      test_steps: step numbers [M], increasing; M may be 0.
      test_bpd: [M], bits per dimension of the test images.

    Raises:
      ImportError: if matplotlib is missing.
      OSError: if the file cannot be written.
      ValueError: if the lengths differ or there is no step.
    """
    with from_extra("train", "The loss curve"):
        from matplotlib.figure import Figure

    step, loss, bpd = _series("steps, losses and bits_per_dim", steps, losses, bits_per_dim)
    test_step, test = _series("test_steps and test_bpd", test_steps, test_bpd)
    if not step.size:
        raise ValueError("There is no step to draw: steps is empty.")
    figure = Figure(figsize=(9, 6.5), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    _draw_training(upper, step, bpd, also_shown=test, unit="bits/dim")
    _draw_test(upper, test_step, test)
    _draw_training(lower, step, loss, also_shown=loss[:0], unit="nats")
    upper.set_ylabel("bits per dimension")
    upper.legend(loc="upper right", frameon=False)
    lower.set_ylabel("loss (nats per image)")
    lower.set_xlabel("training step")
    lower.xaxis.get_major_locator().set_params(integer=True)
    figure.align_ylabels()
    encoded = io.BytesIO()
    figure.savefig(encoded, format="png")
    write_atomically(path, encoded.getvalue())


def running_median(steps: Array, values: Array) -> tuple[Array, Array]:
    """The median of the values around each of at most 400 evenly spaced steps.

    Args:
      steps, values: [N], N at least 1; values that are not finite are left out.

    Returns:
      (steps, medians), each [min(N, 400)]; NaN where a window has no finite value.
    """
    half = max(2, len(steps) // (2 * _MEDIAN_FRACTION))
    centres = np.unique(np.linspace(0, len(steps) - 1, min(len(steps), _MEDIAN_POINTS)).round()
                        .astype(int))
    windows = [values[max(0, centre - half):centre + half + 1] for centre in centres]
    medians = [float(np.median(finite)) if (finite := w[np.isfinite(w)]).size else math.nan
               for w in windows]
    return steps[centres], np.asarray(medians)


def _series(names: str, *columns: npt.ArrayLike) -> list[Array]:
    arrays = [np.asarray(column, np.float64) for column in columns]
    if any(array.ndim != 1 for array in arrays) or len({len(array) for array in arrays}) > 1:
        raise ValueError(f"{names} must be sequences of one length; got shapes "
                         f"{', '.join(str(list(array.shape)) for array in arrays)}.")
    return arrays


def _draw_training(axes: Axes, steps: Array, values: Array, also_shown: Array,
                   unit: str) -> None:
    values = np.where(np.isfinite(values), values, np.nan)  # gaps
    dots = "." if len(steps) <= _FEW else ""  # a value between two gaps makes no line
    axes.plot(steps, values, color=_TRAIN_COLOUR, alpha=0.3, linewidth=0.8,
              label="training batches", marker=dots)
    at, median = running_median(steps, values)
    axes.plot(at, median, color=_TRAIN_COLOUR, linewidth=1.8, label="their running median")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9", linewidth=0.8)
    axes.set_axisbelow(True)
    _leave_out_first_peak(axes, steps, values, also_shown, unit)


def _leave_out_first_peak(axes: Axes, steps: Array, values: Array, also_shown: Array,
                          unit: str) -> None:
    """End the axis above all but the highest first tenth, if that makes the rest twice as tall."""
    finite = np.isfinite(values)
    if not finite[len(values) // 10:].any():
        return
    rest = np.concatenate([values[len(values) // 10:], also_shown])
    rest = rest[np.isfinite(rest)]
    low, high, peak = np.nanmin(values), rest.max(), np.nanmax(values)
    low = min(low, rest.min())
    if peak - low <= 2 * (high - low) or high == low:
        return
    margin = 0.15 * (high - low)
    axes.set_ylim(low - margin / 2, high + margin)
    where = int(np.nanargmax(values))
    number = f"{peak:,.0f}" if abs(peak) >= 100 else f"{peak:.3g}"
    axes.text(0.5, 0.98, f"not shown: up to {number} {unit}, at step {steps[where]:g}",
              transform=axes.transAxes, ha="center", va="top", color=_TRAIN_COLOUR, fontsize=9)


def _draw_test(axes: Axes, steps: Array, values: Array) -> None:
    steps, values = steps[np.isfinite(values)], values[np.isfinite(values)]
    if not steps.size:
        return
    axes.plot(steps, values, "o", color=_TEST_COLOUR, markersize=5, label="test images")
    # The last one always has its label, the others as far as there is room.
    for index in range(len(steps) - 1, -1, -math.ceil(len(steps) / _MAX_LABELS)):
        axes.annotate(f"{values[index]:.3f}", (steps[index], values[index]), xytext=(0, 9),
                      textcoords="offset points", ha="center", color=_TEST_COLOUR, fontsize=9,
                      bbox={"facecolor": "white", "alpha": 0.75, "edgecolor": "none", "pad": 1})
