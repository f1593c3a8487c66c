"""What the commands of `refglow bench` share: the table, the files, the progress bar."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refglow.atomic_file import can_write_in, write_atomically
from refglow.cli.json_report import require_writable, write_json
from refglow.cli.messages import say
from refglow.validation.table import stderr_console

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from refglow.kernels.bench.machine import Ceilings
    from refglow.kernels.bench.records import Case, Measurement
    from refglow.kernels.bench.report import Row
    from refglow.kernels.bench.roofline_points import Ceiling, Point
    from refglow.kernels.bench.timing import Clock, Settings
    from refglow.validation.bench.targets import Verdict


_WIDTH_OF_ALL = 144  # characters, with which every table fits
_NEEDED = (0, 1, 2, 7, 9, 10)  # function, variant, median, shares, error


class BenchFiles:
    """The files of a run: NAME.json, NAME.png and NAME.svg in a folder; looked at before the work.

    A picture needs matplotlib, which is asked for before the work as well.
    """

    def __init__(self, name: str, json: Path | None, folder: Path | None,
                 pictures: bool = True) -> None:
        """Say where to.

        Args:
          name: of the files, without what comes after the dot.
          json: the file that `--json` names.
          folder: what `--out` names; made when there is something to write, if it is missing.
          pictures: whether there will be pictures.

        Raises:
          ImportError: if there is a folder for pictures, but no matplotlib.
          OSError: if a file cannot be written there.
        """
        require_writable(json)
        self._name, self._folder = name, folder
        if folder is None:
            return
        if pictures:
            from refglow.kernels.bench.roofline import require_matplotlib
            require_matplotlib()
        place = folder if folder.exists() else folder.absolute().parent
        if not can_write_in(place):
            raise OSError(f"Cannot write to {folder}: it must be a writable folder, or a new one "
                          "in such a folder.")

    def write(self, report: dict[str, Any], found: Sequence[Measurement], ceilings: Ceilings,
              title: str) -> None:
        """Write the three files, each as a whole or not at all; nothing without a folder.

        Args:
          report: for JSON.
          found: what was measured, of one number type.
          ceilings: of the same run.
          title: of the picture; says what ran.
        """
        if self._folder is None:
            return
        from refglow.kernels.bench.roofline_points import ceiling_of, points_of
        self.write_pictures(points_of(found), ceiling_of(ceilings, found[0].case.dtype), title)
        self.write_json(report)

    def write_pictures(self, points: Sequence[Point], limits: Ceiling, title: str) -> None:
        """Write the roofline plot; nothing without a folder or points.

        Args:
          points, limits, title: as for `roofline_figure`.
        """
        if self._folder is None or not points:
            return
        from refglow.kernels.bench.roofline import encoded, roofline_figure
        figure = roofline_figure(points, limits, title)
        self._folder.mkdir(exist_ok=True)
        for kind in ("png", "svg"):
            write_atomically(self._folder / f"{self._name}.{kind}", encoded(figure, kind))

    def write_json(self, report: dict[str, Any]) -> None:
        """Write a report without pictures; nothing without a folder."""
        if self._folder is not None:
            self._folder.mkdir(exist_ok=True)
            write_json(self._folder / f"{self._name}.json", report)


def results(found: Sequence[Measurement], ceilings: Ceilings) -> list[dict[str, Any]]:
    """A run of the harness for JSON, variants ranked within each case.

    Args:
      found: what was measured.
      ceilings: of the same run.
    """
    from refglow.kernels.bench.report import as_dict, ranked
    return [as_dict(one, ceilings) for one in ranked(found)]


def measured_cases(cases: Sequence[Case], settings: Settings, clock: Clock) -> list[Measurement]:
    """All cases, one after the other, with a progress bar in a terminal.

    Args:
      cases: what to measure.
      settings, clock: as for the harness.
    """
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    from refglow.kernels.bench.run import measured

    out = stderr_console()
    found: list[Measurement] = []
    with Progress(TextColumn("{task.description}"), BarColumn(),
                  TextColumn("{task.completed}/{task.total}"), TimeRemainingColumn(compact=True),
                  console=out, transient=True, disable=not out.is_terminal) as bar:
        task = bar.add_task("", total=len(cases) * settings.repeats)
        for index, case in enumerate(cases, 1):
            bar.update(task, description=f"{case.function}, {case.size}")
            found += measured(case, settings, clock, lambda: bar.advance(task))
            bar.update(task, completed=index * settings.repeats)
    return found


def print_report(found: Sequence[Measurement], ceilings: Ceilings, what_ran: str,
                 to_stderr: bool) -> None:
    """Print what ran, the ceilings and the table, variants ranked within each case.

    Args:
      found: what was measured.
      ceilings: of the same run.
      what_ran: the environment in a line.
      to_stderr: whether standard output is taken by JSON.
    """
    from refglow.kernels.bench.machine import best
    from refglow.kernels.bench.report import rows

    say(what_ran, to_stderr=to_stderr)
    copy = best(ceilings.copy)
    say(f"Copy bandwidth {copy.per_second / 1e9:.1f} GB/s, read plus written ({copy.name}).",
        to_stderr=to_stderr)
    for dtype, products in ceilings.gemm.items():
        product = best(products)
        say(f"Matrix products {product.per_second / 1e9:.1f} GFLOP/s in {dtype} ({product.name}).",
            to_stderr=to_stderr)
    say("Medians; spread: between the quartiles, of the median. GB/s: of the bytes that must be "
        "moved.", to_stderr=to_stderr)
    out = printer(to_stderr)
    for heading, lines in groupby(rows(found, ceilings), lambda row: row.heading):
        out.print(_table(heading, lines, out.width))


def printer(to_stderr: bool) -> Console:
    """Where tables go; wide enough for them where there is no terminal to measure."""
    from rich.console import Console
    terminal = Console(stderr=to_stderr, highlight=False)
    return terminal if terminal.is_terminal else Console(stderr=to_stderr, highlight=False,
                                                         width=_WIDTH_OF_ALL)


def _table(heading: str, rows: Iterable[Row], width: int) -> Table:
    """The lines of one heading; in a narrow terminal without the columns that can be spared."""
    from rich.table import Table

    from refglow.kernels.bench.report import COLUMNS
    shown = range(len(COLUMNS)) if width >= _WIDTH_OF_ALL else _NEEDED
    table = Table(title=heading, header_style="bold", title_justify="left")
    for index in shown:
        table.add_column(COLUMNS[index], justify="left" if index < 2 else "right",
                         no_wrap=index > 0, overflow="fold")
    for row in rows:
        table.add_row(*(row.cells[index] for index in shown), style="red" if row.refused else None)
    return table


def all_are_right(found: Sequence[Measurement], to_stderr: bool) -> bool:
    """Whether no variant was refused; says which were, and why."""
    refused = [one for one in found if one.refused]
    for one in refused:
        say(f"Refused, not timed: {one.case.function}, {one.variant} ({one.case.size}, "
            f"{one.case.dtype}): {one.refused}.", to_stderr=to_stderr)
    return not refused


def print_verdicts(verdicts: Sequence[Verdict], to_stderr: bool) -> bool:
    """Print a line for each target; whether all are met."""
    for verdict in verdicts:
        say(str(verdict), to_stderr=to_stderr)
    return all(verdict.met for verdict in verdicts)
