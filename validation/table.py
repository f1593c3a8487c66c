"""The validation report in a terminal."""

from __future__ import annotations

from collections.abc import Iterable
from statistics import median
from typing import TypeAlias

from rich import box
from rich.console import Console, JustifyMethod
from rich.table import Table

from refglow.validation.golden import DTYPES
from refglow.validation.row import Row

Lines: TypeAlias = dict[tuple[str, str], dict[str, Row]]

PROPERTY_NAMES = {"forward": "forward", "inverse": "inverse",
                  "forward_log_det_jacobian": "forward log-det",
                  "inverse_log_det_jacobian": "inverse log-det"}


SHORT_NAMES = {"forward": "forward", "inverse": "inverse", "forward_log_det_jacobian": "fldj",
               "inverse_log_det_jacobian": "ildj"}
_SIDE_BY_SIDE_WIDTH = 142


def comparison_table(title: str, rows: Iterable[Row], width: int) -> Table:
    """Every bijector and property; float64 and float32 side by side if `width` allows it."""
    lines: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        lines.setdefault((row.bijector, row.prop), {})[row.dtype] = row
    table = Table(title=title, title_justify="left", header_style="bold")
    fill = _side_by_side if width >= _SIDE_BY_SIDE_WIDTH else _one_below_the_other
    fill(table, lines)
    return table


def _side_by_side(table: Table, lines: Lines) -> None:
    """One line for each bijector and property."""
    _add_columns(table, ["bijector", "property"])
    for dtype in DTYPES:
        _add_columns(table, [f"{dtype}\nulps", "relative\nerror", "toler-\nance"], "right")
    _add_columns(table, ["tolerance is 4 eps x\nlayers^.5 x kappa", "verdict"])
    previous = ""
    for (bijector, prop), by_dtype in lines.items():
        if previous not in ("", bijector):
            table.add_section()
        figures = [text for dtype in DTYPES for text in _figures(by_dtype.get(dtype))]
        reason = max(by_dtype.values(), key=lambda row: row.condition).reason
        table.add_row(bijector if bijector != previous else "", PROPERTY_NAMES[prop], *figures,
                      reason, _verdict(all(row.passed for row in by_dtype.values())))
        previous = bijector


def _one_below_the_other(table: Table, lines: Lines) -> None:
    """One line for each bijector, property and number type, in 80 columns."""
    table.box, table.padding = box.SIMPLE_HEAD, (0, 0)
    _add_columns(table, ["bijector", "property", "type"])
    _add_columns(table, ["ulps", "error", "toler."], "right")
    _add_columns(table, ["= 4 eps x", ""])
    previous = ""
    for (bijector, prop), by_dtype in lines.items():
        for dtype, row in by_dtype.items():
            table.add_row(bijector if bijector != previous else "", SHORT_NAMES[prop],
                          dtype.replace("float", "f"), *_figures(row), row.reason,
                          _verdict(row.passed))
            previous = bijector


def _add_columns(table: Table, headers: list[str], justify: JustifyMethod = "left") -> None:
    for header in headers:
        table.add_column(header, no_wrap=True, justify=justify)


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


def console(columns: int = 144) -> Console:
    """The terminal.

    Args:
      columns: where there is none to measure; by default enough for the widest tables.
    """
    terminal = Console(highlight=False)
    return terminal if terminal.is_terminal else Console(highlight=False, width=columns)


def stderr_console() -> Console:
    """Where progress bars go, so that results can be piped."""
    return Console(stderr=True, highlight=False)


def _number(value: float) -> str:
    if value == 0:
        return "0"
    return f"{value:.1f}" if 0.05 <= value < 1e4 else f"{value:.0e}"
