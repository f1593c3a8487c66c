"""The tables of `refglow vectors certify`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

_BOUND_HEADERS = ("relative\nerror", "its\nbound", "share\nof it")


def _bounds(row: dict[str, Any]) -> list[dict[str, Any]]:
    """The errors of a row, each beside its bound."""
    if "share" in row:
        return [row]
    return [one for one in row["nearest_its_bound"].values() if one is not None]


def beyond_its_bound(row: dict[str, Any]) -> bool:
    """Whether an error of the row is larger than it may be."""
    return any(not one["share"] <= 1 for one in _bounds(row))  # NaN is beyond


def _bound_cells(rows: list[dict[str, Any]]) -> list[str]:
    """Of the rows' errors the one nearest to its bound: the error, the bound, the share."""
    from refglow.validation.row import largest_first

    bounds = [one for row in rows for one in _bounds(row)]
    if not bounds:
        return ["-", "-", "-"]
    worst = max(bounds, key=lambda one: largest_first(one["share"]))
    share = "< 1%" if 0 < worst["share"] < 0.01 else f"{worst['share']:.0%}"
    return [f"{worst['relative']:.1g}", f"{worst['bound']:.1g}",
            share if worst["share"] <= 1 else f"[bold red]{share}[/]"]


def vector_table(rows: list[dict[str, Any]]) -> Table:
    """A line for each operation: refglow's largest errors over its vectors."""
    from itertools import groupby

    from rich.table import Table

    table = Table(title="Golden vectors", title_justify="left", header_style="bold")
    table.add_column("operation", overflow="fold")
    kinds = list(rows[0]["ulps"])
    for header in ("vectors", "numbers", "bits, up to",
                   *(f"{kind.replace('/', chr(10))}\nulps" for kind in kinds),
                   *_BOUND_HEADERS):
        table.add_column(header, justify="right")
    table.add_column("verdict")
    by_operation = sorted(rows, key=lambda row: row["operation"])
    for operation, group in groupby(by_operation, key=lambda row: row["operation"]):
        some = list(group)
        table.add_row(operation, str(len(some)), str(sum(row["numbers"] for row in some)),
                      str(max(row["bits"] for row in some)),
                      *(f"{max(row['ulps'][kind] for row in some):.3g}" for kind in kinds),
                      *_bound_cells(some),
                      "as kept" if all(row["as_kept"] for row in some)
                      else "[bold red]NOT as kept[/]")
    return table


def case_table(rows: list[dict[str, Any]]) -> Table:
    """A line for each case, number type and property: refglow's and TFP's errors."""
    from rich.table import Table

    from refglow.validation.table import PROPERTY_NAMES

    table = Table(title="Certified values", title_justify="left", header_style="bold")
    for header in ("case", "type", "property"):
        table.add_column(header, overflow="fold")
    for header in ("bits", "refglow\nulps", "TFP\nulps", *_BOUND_HEADERS):
        table.add_column(header, justify="right")
    table.add_column("verdict")
    previous: tuple[str, str] = ("", "")
    for row in rows:
        here = row["case"], row["dtype"]
        first = here != previous
        if first and previous[0] not in ("", row["case"]):
            table.add_section()
        table.add_row(row["case"] if row["case"] != previous[0] else "",
                      row["dtype"] if first else "", PROPERTY_NAMES[row["property"]],
                      str(row["bits"]) if first else "", f"{row['refglow_ulps']:.3g}",
                      f"{row['tfp_ulps']:.3g}", *_bound_cells([row]),
                      "as kept" if row["as_kept"] else "[bold red]NOT as kept[/]")
        previous = here
    return table
