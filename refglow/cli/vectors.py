"""`refglow vectors`: reference values for everyone, and how far they can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.atomic_file import write_atomically
from refglow.cli.json_report import is_standard_output, require_writable, write_json

if TYPE_CHECKING:
    from rich.table import Table

    from refglow.validation.cases import Case
    from refglow.validation.certified.certify import Certified
    from refglow.validation.golden import Golden

vectors = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@vectors.callback()  # with one command only, Typer would leave out its name
def _vectors() -> None:
    """Reference values, certified to the last bit."""


@vectors.command()
def certify(
    only: Annotated[str | None, typer.Option(
        help="Only the cases whose name begins so, e.g. --only RealNVP.")] = None,
    write: Annotated[Path | None, typer.Option(
        help="Write the values of all cases, as the package keeps them, to this file.")] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Derive the golden cases' true values again, and compare with those that are kept.

    The specification runs on balls that enclose the true results, with more and more bits until
    every number is known to the last bit of float64 and float32. Beside it stand the errors of
    refglow's own results and of TFP's, in units in the last place of the largest number.

    The exit code is 0 if all values are those that are kept, 1 if not, 2 if it could not run.
    """
    if write is not None and only is not None:
        raise typer.BadParameter("writes all cases; leave out --only.", param_hint="--write")
    require_writable(json)
    require_writable(write)
    from refglow.validation.certified.report import rows_of
    from refglow.validation.golden import DTYPES, Golden

    files = {dtype: Golden(dtype) for dtype in DTYPES}
    found = _certified(only, files)
    rows = rows_of(found, files)
    if write is not None:
        from refglow.validation.certified.golden_values import file_content
        write_atomically(write, file_content({(case.name, dtype): one
                                              for case, dtype, one in found}))
    to_stderr = is_standard_output(json)
    _print(rows, sum(array.size for *_, one in found for by_type in one.values.values()
                     for array in by_type.values()), to_stderr)
    passed = all(row["as_kept"] for row in rows)
    write_json(json, {"command": "vectors certify", "rows": rows, "passed": passed})
    raise typer.Exit(0 if passed else 1)


def _certified(only: str | None,
               files: dict[str, Golden]) -> list[tuple[Case, str, Certified]]:
    """Each case and number type of its inputs, with its certified values."""
    from rich.progress import track

    from refglow.validation.against_golden import golden_cases
    from refglow.validation.certified.golden_values import certified_case
    from refglow.validation.table import stderr_console

    work = [(case, dtype) for case in golden_cases(only) for dtype in files]
    return [(case, dtype, certified_case(case, files[dtype]))
            for case, dtype in track(work, description="certifying", console=stderr_console(),
                                     transient=True)]


def _print(rows: list[dict[str, Any]], numbers: int, to_stderr: bool) -> None:
    from refglow.validation.table import console, stderr_console

    out = stderr_console() if to_stderr else console()
    out.print(_table(rows))
    differing = sum(not row["as_kept"] for row in rows)
    out.print("Errors in units in the last place of the largest number. Where a map is "
              "ill-conditioned, they are large for any algorithm.", style="dim")
    out.print(f"[bold red]{differing} of {len(rows)} are not as kept[/]" if differing else
              f"[bold green]All as kept[/]: {numbers} numbers, each correctly rounded.")


def _table(rows: list[dict[str, Any]]) -> Table:
    from rich.table import Table

    from refglow.validation.table import PROPERTY_NAMES

    table = Table(title="Certified values", title_justify="left", header_style="bold")
    for header in ("case", "type", "property"):
        table.add_column(header, overflow="fold")
    for header in ("bits", "refglow\nulps", "TFP\nulps"):
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
                      f"{row['tfp_ulps']:.3g}",
                      "as kept" if row["as_kept"] else "[bold red]NOT as kept[/]")
        previous = here
    return table
