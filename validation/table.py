"""The validation report in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from rich.console import Console
from rich.table import Table

from refglow.validation.row import Row

PROPERTY_NAMES = {"forward": "forward", "inverse": "inverse",
                  "forward_log_det_jacobian": "forward log-det",
                  "inverse_log_det_jacobian": "inverse log-det"}


def comparison_table(title: str, rows: Iterable[Row]) -> Table:
    """One line for each bijector, property and number type."""
    table = Table(title=title, title_justify="left", header_style="bold")
    for column in ("bijector", "property", "dtype"):
        table.add_column(column, no_wrap=True)
    for column in ("ulps", "rel. error", "tolerance"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("because", style="dim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    previous = None
    for row in rows:
        name = row.bijector if row.bijector != previous else ""
        if previous is not None and name:
            table.add_section()
        previous = row.bijector
        table.add_row(name, PROPERTY_NAMES[row.prop], row.dtype, _number(row.ulps),
                      _number(row.relative), f"{row.tolerance:.1e}", row.reason,
                      "[green]ok[/]" if row.passed else "[bold red]FAIL[/]")
    return table


def ratio_table(ratios: dict[str, list[float]]) -> Table:
    """refglow's float32 error over TFP's: median and largest, for each property."""
    table = Table(title="float32 error against the float64 truth: refglow's over TFP's",
                  title_justify="left", header_style="bold")
    table.add_column("property")
    for column in ("configurations", "median (at most 1)", "largest (at most 2)"):
        table.add_column(column, justify="right")
    table.add_column("verdict")
    for prop, values in ratios.items():
        table.add_row(PROPERTY_NAMES[prop], str(len(values)), f"{median(values):.3f}",
                      f"{max(values):.3f}",
                      "[green]ok[/]" if ratios_pass(values) else "[bold red]FAIL[/]")
    return table


def ratios_pass(values: list[float]) -> bool:
    """Whether refglow is as accurate as TFP: median at most 1, never more than 2."""
    return median(values) <= 1 and max(values) <= 2


def console() -> Console:
    """The terminal; wide enough for the tables where there is none to measure."""
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=132)


def stderr_console() -> Console:
    """Where progress bars go, so that results can be piped."""
    return Console(stderr=True, highlight=False)


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.2f}" if 0.01 <= value < 1e4 else f"{value:.1e}"
