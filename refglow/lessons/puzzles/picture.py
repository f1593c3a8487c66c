"""Pictures of a recorded launch: who reads and writes what, and how memory answers.

    reads_and_writes(recording)     each array's elements, with the thread that touches them
    requests(recording)             each request of the first warps, over the sectors of memory
    bank_passes(recording)          the same for the banks of shared memory

They need matplotlib (`pip install "refglow[train]"`).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
import numpy.typing as npt

from refglow.extras import from_extra
from refglow.kernels.ptx.patterns import BANKS, SECTOR_BYTES, WARP
from refglow.lessons.puzzles.recording import ATOMIC, READ, WRITE, Recording
from refglow.lessons.puzzles.traffic import request_of

_CELL, _TITLE, _NARROWEST, _WIDEST = 0.34, 0.28, 1.75, 6.6  # inches
_DPI = 140
_EMPTY, _MANY = "#f2f2f2", "#d9d9d9"
_COLOURS = "viridis"


def reads_and_writes(recording: Recording, arrays: Collection[str] | None = None) -> Any:
    """A matplotlib figure: each array as cells, in a cell who touches that element.

    A thread is written block:thread, or as its number where there is one block; several threads as
    how many there are, with a cross. Colour follows the thread's number in the whole grid.

    Args:
        recording: of a launch on small arrays.
        arrays: the names of those to show; all of the arguments if None.
    """
    pyplot = _pyplot()
    panels = [(name, verb, kinds) for name in arrays or recording.names
              for verb, kinds in (("read", (READ,)), ("written", (WRITE,)), ("added to", (ATOMIC,)))
              if len(recording.of(name).of_kinds(*kinds).table)]
    shapes = [_as_rows(recording.memory(name).shape) for name, _, _ in panels]
    places, width, height = _flow(shapes)
    figure = pyplot.figure(figsize=(width, height), dpi=_DPI)
    for (name, verb, kinds), shape, (left, top) in zip(panels, shapes, places, strict=True):
        rows, columns = shape[0] * _CELL, shape[1] * _CELL
        axes = figure.add_axes((left / width, 1 - (top + _TITLE + rows) / height, columns / width,
                                rows / height))
        _draw_cells(axes, recording, name, kinds, shape)
        size = " x ".join(map(str, recording.memory(name).shape))
        axes.set_title(f"{name} [{size}], {verb}", loc="left", fontsize=9)
    one_block = np.prod(recording.grid) == 1
    figure.text(0.1 / width, 0.1 / height, f"In a cell: {'thread' if one_block else 'block:thread'}"
                " (3 x: three threads); empty: nobody.", fontsize=8, color="#444444")
    return figure


def _flow(shapes: list[tuple[int, int]]) -> tuple[list[tuple[float, float]], float, float]:
    """(left and top of each panel, width, height) in inches, from left to right as in a text."""
    places: list[tuple[float, float]] = []
    left, top, tallest, widest = 0.1, 0.1, 0.0, 4.0
    for rows, columns in shapes:
        across = max(columns * _CELL, _NARROWEST) + 0.3
        if left > 0.1 and left + across > _WIDEST:
            left, top, tallest = 0.1, top + tallest, 0.0
        places.append((left, top))
        left += across
        widest, tallest = max(widest, left), max(tallest, rows * _CELL + _TITLE + 0.15)
    return places, widest, top + tallest + 0.3


def requests(recording: Recording, most: int = 8) -> Any:
    """A matplotlib figure: the sectors that the first requests to each array touch.

    A row is a request, a column a sector of 32 bytes; in a cell how many bytes of the sector the
    request asks for. All sectors that are not empty move.

    Args:
        recording: of a launch.
        most: how many requests to show of each array and direction.
    """
    pyplot = _pyplot()
    panels = [(name, verb, table) for name in recording.names
              for verb, kind in (("read", READ), ("written", WRITE))
              if len(table := _sectors(recording, name, kind, most))]
    heights = [len(table) * 0.24 + 0.62 for _, _, table in panels]
    width = max(table.shape[1] for _, _, table in panels) * 0.24 + 1.0
    figure, all_axes = pyplot.subplots(
        len(panels), 1, figsize=(min(max(width, 4.5), 9.0), sum(heights)), dpi=_DPI,
        squeeze=False, gridspec_kw={"height_ratios": heights})
    for axes, (name, verb, table) in zip(all_axes[:, 0], panels, strict=True):
        _draw_table(axes, table, SECTOR_BYTES, "Blues")
        axes.set_title(f"{name}, {verb}", loc="left", fontsize=9)
        axes.set_ylabel("request", fontsize=8)
    all_axes[-1, 0].set_xlabel(f"sector of {SECTOR_BYTES} bytes; in a cell how many of them are "
                               "asked for", fontsize=8)
    figure.tight_layout()
    return figure


def bank_passes(recording: Recording, most: int = 4) -> Any:
    """A matplotlib figure: the banks of shared memory that the first requests want.

    A row is a request, a column a bank; in a cell how many different words of the bank the request
    wants, each of which takes a pass of its own.

    Args:
        recording: of a launch that uses shared memory.
        most: how many requests to show of each direction.
    """
    pyplot = _pyplot()
    panels = [(verb, _banks(recording, kind, most)) for verb, kind in (("written", WRITE),
                                                                      ("read", READ))]
    height = 2 * (most * 0.24 + 0.62)
    figure, all_axes = pyplot.subplots(2, 1, figsize=(8.0, height), dpi=_DPI, squeeze=False)
    for axes, (verb, table) in zip(all_axes[:, 0], panels, strict=True):
        _draw_table(axes, table, WARP, "Blues")
        axes.set_title(f"shared memory, {verb}", loc="left", fontsize=9)
        axes.set_ylabel("request", fontsize=8)
    all_axes[-1, 0].set_xlabel("bank; in a cell how many different words of it are wanted",
                               fontsize=8)
    figure.tight_layout()
    return figure


def _draw_cells(axes: Any, recording: Recording, name: str, kinds: tuple[int, ...],
                shape: tuple[int, int]) -> None:
    from matplotlib import colormaps
    from matplotlib.patches import Rectangle

    last = int(recording.elements().threads.max())
    one_block = np.prod(recording.grid) == 1
    rows = recording.of(name).of_kinds(*kinds).elements()
    threads, places = rows.threads, rows.column("first")
    for element in range(shape[0] * shape[1]):
        own = np.unique(threads[places == element])
        text, colour, ink = "", _EMPTY, "black"
        if own.size == 1:
            block, thread = divmod(int(own[0]), recording.threads_of_block)
            text = str(thread) if one_block else f"{block}:{thread}"
            colour = colormaps[_COLOURS](0.08 + 0.9 * own[0] / max(last, 1))
            ink = "white" if own[0] < 0.6 * last else "black"
        elif own.size:
            text, colour = f"{own.size} x", _MANY
        y, x = divmod(element, shape[1])
        axes.add_patch(Rectangle((x, y), 1, 1, facecolor=colour, edgecolor="white", linewidth=1.5))
        axes.text(x + 0.5, y + 0.5, text, ha="center", va="center", fontsize=7, color=ink)
    sizes = recording.memory(name).shape
    if len(sizes) == 3:  # pixels stand apart
        for x in range(0, shape[1] + 1, sizes[2]):
            axes.plot([x, x], [0, shape[0]], color="white", linewidth=5, solid_capstyle="butt")
    axes.set_xlim(0, shape[1])
    axes.set_ylim(shape[0], 0)
    axes.axis("off")


def _draw_table(axes: Any, table: npt.NDArray[np.int64], most: int, colours: str) -> None:
    """Numbers in cells, the darker the larger; nothing where they are 0."""
    shown = np.where(table > 0, 0.25 + 0.65 * table / most, 0.0)
    axes.pcolormesh(shown, cmap=colours, vmin=0, vmax=1, edgecolors="#e5e5e5", linewidth=0.5)
    axes.invert_yaxis()
    if table.shape[1] <= BANKS + 8:
        for (y, x), value in np.ndenumerate(table):
            if value:
                axes.text(x + 0.5, y + 0.5, str(value), ha="center", va="center", fontsize=6,
                          color="white" if value > most / 2 else "black")
    axes.tick_params(labelsize=7, length=2)
    axes.set_yticks(np.arange(len(table)) + 0.5, [str(k) for k in range(len(table))])


def _sectors(recording: Recording, name: str, kind: int, most: int) -> npt.NDArray[np.int64]:
    """[requests, sectors of the array] bytes that a request asks of a sector, each byte once."""
    memory = recording.memory(name)
    rows = recording.of(name).of_kinds(kind)
    found = np.zeros((0, -(-memory.size * memory.itemsize // SECTOR_BYTES)), np.int64)
    for elements in _first_requests(rows, most):
        row = np.zeros(found.shape[1], np.int64)
        np.add.at(row, np.unique(elements) * memory.itemsize // SECTOR_BYTES, memory.itemsize)
        found = np.vstack([found, row])
    return found


def _banks(recording: Recording, kind: int, most: int) -> npt.NDArray[np.int64]:
    """[requests, banks] different words that a request wants of a bank."""
    rows = recording.of_shared_memory().of_kinds(kind)
    return np.array([np.bincount(np.unique(elements) % BANKS, minlength=BANKS)
                     for elements in _first_requests(rows, most)])


def _first_requests(rows: Recording, most: int) -> list[npt.NDArray[np.int64]]:
    """The elements of each of the first requests, in the order of the warps and their turns."""
    rows = rows.elements()
    request = request_of(rows)
    return [rows.column("first")[request == k]
            for k in range(min(most, int(request.max(initial=-1)) + 1))]


def _as_rows(shape: tuple[int, ...]) -> tuple[int, int]:
    """(rows, columns) of cells: the last dimensions of an image stay next to each other."""
    if len(shape) < 2:
        size = int(np.prod(shape))
        return (1, size) if size <= 24 else (-(-size // 24), 24)
    return shape[0], int(np.prod(shape[1:]))


def _pyplot() -> Any:
    with from_extra("train", "Pictures of puzzles"):
        from matplotlib import pyplot
    return pyplot
