"""The validation report in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median

from rich.console import Console
from rich.table import Table

from refglow.validation.golden import DTYPES
from refglow.validation.row import Row

PROPERTY_NAMES = {"forward": "forward", "inverse": "inverse",
                  "forward_log_det_jacobian": "forward log-det",
                  "inverse_log_det_jacobian": "inverse log-det"}


_FULL_WIDTH = 120


def comparison_table(title: str, rows: Iterable[Row], width: int) -> Table:
    """One line for each bijector and property, float64 and float32 side by side.

    In a terminal of fewer than 120 columns only the relative errors and the verdicts fit.
    """
    lines: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row.bijector, row.prop), {})[row.dtype] = row
    full = width >= _FULL_WIDTH
    table = Table(title=title, title_justify="left", header_style="bold")
    for header in ("bijector", "property"):
        table.add_column(header, no_wrap=True)
    for dtype in DTYPES:
        headers = (f"{dtype}\nulps", "relative\nerror", "toler-\nance") if full else (
            f"{dtype}\nrel. error",)
        for header in headers:
            table.add_column(header, justify="right", no_wrap=True)
    if full:
        table.add_column("tolerance is 8 eps x\nlayers^.5 x kappa", style="dim", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    previous = None
    for (bijector, prop), by_dtype in lines.items():
        if previous not in (None, bijector):
            table.add_section()
        shown = slice(None) if full else slice(1, 2)
        figures = [text for dtype in DTYPES for text in _figures(by_dtype.get(dtype))[shown]]
        reason = max(by_dtype.values(), key=lambda row: row.condition).reason
        table.add_row(bijector if bijector != previous else "", PROPERTY_NAMES[prop], *figures,
                      *([reason] if full else []),
                      _verdict(all(row.passed for row in by_dtype.values())))
        previous = bijector
    return table


def _figures(row: Row | None) -> tuple[str, str, str]:
    if row is None:
        return "", "", ""
    style = "" if row.passed else "[bold red]"
    return f"{style}{_number(row.ulps)}", f"{style}{_number(row.relative)}", f"{row.tolerance:.0e}"


def _verdict(passed: bool) -> str:
    return "[green]ok[/]" if passed else "[bold red]FAIL[/]"


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
                      f"{max(values):.3f}", _verdict(ratios_pass(values)))
    return table


def ratios_pass(values: list[float]) -> bool:
    """Whether refglow is as accurate as TFP: median at most 1, never more than 2."""
    return median(values) <= 1 and max(values) <= 2


def console() -> Console:
    """The terminal; wide enough for the tables where there is none to measure."""
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=144)


def stderr_console() -> Console:
    """Where progress bars go, so that results can be piped."""
    return Console(stderr=True, highlight=False)


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.1f}" if 0.05 <= value < 1e4 else f"{value:.0e}"
