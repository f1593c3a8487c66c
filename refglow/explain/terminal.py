"""A trace in a terminal of 60 columns or more: a table, one stage in full, pictures of tensors."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from refglow.dtypes import Array
from refglow.explain.picture import NOT_FINITE, TOP, ZERO, Picture, grid, picture_of
from refglow.explain.text import carried, condition, figure, shape

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    from refglow.explain.record import Stage, Trace

_WIDE = 110  # columns, from which on mean and deviation are shown
_NARROW = 80  # below which the smallest and largest number are not
_LETTERS = "cba.123"  # of a picture without colours, from -limit to +limit
# Blue, dark grey, red: lighter the larger a number is, as on the page in a dark window.
_ANCHORS = np.array([[120, 190, 255], [40, 90, 170], [40, 44, 48], [170, 70, 40], [255, 170, 110]])
_MOST_PIXELS = 4096  # of a picture in a terminal


def table_of(trace: Trace, width: int) -> Table:
    """All stages, a line each, with means over the examples.

    Args:
      trace: of a pass.
      width: of the terminal, in columns.
    """
    from rich import box
    from rich.table import Table

    wide = width >= _WIDE
    ends = width >= _NARROW
    way = "image to latent" if trace.to_latent else "latent to image"
    table = Table(title=f"Stages of {trace.direction}, from {way}", title_justify="left",
                  header_style="bold", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False,
                  padding=(0, 2 if wide else 1, 0, 0))
    table.add_column("stage", no_wrap=True)
    for header in ("shape", "log-det,\nnats", "bits/dim\nso far", "cond",
                   *(("min", "max") if ends else ()), *(("mean", "sd") if wide else ())):
        table.add_column(header, justify="right", no_wrap=True)
    start = "image" if trace.to_latent else "latents"
    table.add_row(start, shape(tuple(trace.start.shape[1:])), "",
                  f"{np.mean(trace.started.total):.4f}", style="dim")
    previous = ""
    for stage in trace.stages:
        block = stage.name.partition(".")[0]
        if previous not in ("", block):
            table.add_section()
        previous = block
        found = stage.statistics
        cells = [*((found.least, found.largest) if ends else ()),
                 *((found.mean, found.deviation) if wide else ())]
        table.add_row(stage.name, shape(stage.shape_out), figure(float(np.mean(stage.log_det))),
                      f"{np.mean(stage.running.total):.4f}", condition(stage.condition),
                      *map(figure, cells))
    return table


def summary_of(trace: Trace) -> str:
    """What the table's last line comes to, and what its columns mean."""
    end, log_det = float(np.mean(trace.bits_per_dim)), float(np.mean(trace.log_det))
    last = trace.stages[-1].running
    so_far = ("if the flow ended there and a normal density were put on the numbers"
              if trace.to_latent else
              "of what has been made so far, which began as a sample of the normal density")
    return (f"{end:.4f} bits/dim = {trace.n_bits} bits {_signed(float(np.mean(last.prior)))} of "
            f"the prior {_signed(float(np.mean(last.log_dets)))} of the log-dets, which are "
            f"{log_det:.6g} nats in all. bits/dim so far: {so_far}. cond: the condition number of "
            f"the stage's Jacobian at this input.{_first_not_finite(trace)}")


def _first_not_finite(trace: Trace) -> str:
    """Where numbers begin that the columns leave out; "" if all are finite."""
    for stage in trace.stages:
        count = stage.statistics.not_finite
        if count:
            return (f" The first numbers that are not finite come out of {stage.name}: {count} of "
                    f"{stage.active_output.size}.")
    return ""


def _signed(value: float) -> str:
    return f"{'-' if value < 0 else '+'} {abs(value):.4f}"


def stage_lines(stage: Stage) -> list[str]:
    """One stage in full, as lines of text."""
    found, running = stage.statistics, stage.running
    others = f"; {carried(stage)} and are carried along" if carried(stage) else ""
    how = "" if stage.log_det_maths == "0" else f", {stage.log_det_maths}"
    return [f"{stage.name}: {stage.title}", stage.words, f"  {stage.maths}",
            f"  shape      {shape(stage.shape_in)} -> {shape(stage.shape_out)}{others}",
            f"  log-det    {figure(float(np.mean(stage.log_det)))} nats{how}",
            f"  bits/dim   {np.mean(running.total):.4f} so far: prior "
            f"{np.mean(running.prior):.4f}, log-dets {np.mean(running.log_dets):.4f}",
            f"  condition  {condition(stage.condition)} ({stage.condition_how})",
            f"  numbers    min {figure(found.least)}{found.in_channel(found.least_channel)}, max "
            f"{figure(found.largest)}{found.in_channel(found.largest_channel)}, mean "
            f"{figure(found.mean)}, sd {figure(found.deviation)}"
            + (f", {found.not_finite} not finite" if found.not_finite else "")]


def stage_picture(stage: Stage, console: Console, example: int = 0) -> Text:
    """What came out of a stage as a picture, in colour where the terminal has them."""
    drawn = picture_of(stage.active_output[example], _MOST_PIXELS)
    return picture_text(_fitting(drawn, console.width), console.is_terminal
                        and console.color_system is not None)


def _fitting(drawn: Picture, width: int) -> Picture:
    """The same with as many channels in a row as there is room for."""
    room = max(1, (width + 1) // (drawn.levels.shape[2] + 1))
    return Picture(drawn.levels, drawn.limit, drawn.channels, drawn.tile,
                   min(room, len(drawn.levels), max(drawn.columns, room)))


def picture_text(drawn: Picture, colours: bool) -> Text:
    """The picture, two pixels in a character of two colours, or a letter for each pixel."""
    from rich.text import Text

    cells, text = grid(drawn), Text()
    limit = figure(drawn.limit)
    if colours:
        for top in range(0, len(cells), 2):
            below = cells[top + 1] if top + 1 < len(cells) else np.full_like(cells[top], -1)
            for one, other in zip(cells[top].tolist(), below.tolist(), strict=True):
                text.append(*_two_pixels(one, other))
            text.append("\n")
        text.append(f"blue -{limit} to red {limit}, grey is 0")
    else:
        for line in cells.tolist():
            text.append("".join(map(_letter, line)).rstrip() + "\n")
        text.append(f"c b a negative to -{limit}, . about 0, 1 2 3 positive to {limit}")
    text.append(f"; {drawn.left_out}" if drawn.left_out else "")
    return text


def _two_pixels(upper: int, lower: int) -> tuple[str, str]:
    """(character, style) of a pixel above another; -1 is none."""
    if upper < 0 and lower < 0:
        return " ", ""
    if lower < 0:
        return "\u2580", _hex(upper)
    return ("\u2584", _hex(lower)) if upper < 0 else ("\u2580", f"{_hex(upper)} on {_hex(lower)}")


def _hex(level: int) -> str:
    red, green, blue = (255, 255, 0) if level == NOT_FINITE else _colour(level)
    return f"#{red:02x}{green:02x}{blue:02x}"


def _colour(level: int) -> list[int]:
    place = level / TOP * (len(_ANCHORS) - 1)
    left = min(int(place), len(_ANCHORS) - 2)
    mixed: Array = _ANCHORS[left] + (place - left) * (_ANCHORS[left + 1] - _ANCHORS[left])
    return [int(value) for value in np.rint(mixed)]


def _letter(level: int) -> str:
    if level < 0:
        return " "
    if level == NOT_FINITE:
        return "?"
    return _LETTERS[round((level - ZERO) / ZERO * 3) + 3]
