"""`refglow vectors errors`: float32 against the truth, refglow, TFP and PyTorch side by side."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from rich.table import Table


def errors(
    only: Annotated[str | None, typer.Option(
        help="Only vectors whose name begins so, e.g. --only tanh or --only glow-.")] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output), with each vector's."
    )] = None,
) -> None:
    """Print the float32 errors of refglow, TFP and PyTorch against the vectors' true values.

    For each operation the median and the worst error, in units in the last place of a result's
    largest number: of values, log-dets, and the gradients of inputs and of parameters. Columns are
    refglow's specification and its CPU kernels, TFP, and PyTorch (torch.distributions, its layers,
    and a Glow in PyTorch that shares no arithmetic with refglow). All columns of a row are of the
    same results; one that is empty says why.

    Nothing is judged: the exit code is 0, or 2 if it could not run.
    """
    require_writable(json)
    from refglow.validation.table import console, stderr_console
    from refglow.validation.vectors.catalogue import beginning_with
    from refglow.validation.vectors.float32_errors import errors_of, libraries, rows_of
    from refglow.validation.vectors.kept import kept_vectors

    chosen = beginning_with(only)
    with kept_vectors() as kept:
        found = list(tracked(errors_of(chosen, kept, libraries()), len(chosen), "evaluating"))
    rows = rows_of(found)
    out = stderr_console() if is_standard_output(json) else console()
    out.print(_table(rows))
    for line in _reasons(rows):
        out.print(line, style="dim", highlight=False)
    write_json(json, {"command": "vectors errors", "dtype": "float32", "rows": rows, "vectors": {
        vector.name: {name: {"ulps": one.ulps, "lacking": one.lacking}
                      for name, one in by_library.items()} for vector, by_library in found}})


def _table(rows: Sequence[dict[str, Any]]) -> Table:
    from rich.table import Table

    table = Table(title="Errors in float32, ulps: median / worst", title_justify="left",
                  header_style="bold")
    table.add_column("operation", overflow="fold")
    table.add_column("of")
    table.add_column("results", justify="right")
    columns = list(rows[0]["worst"]) if rows else []
    for name in columns:
        table.add_column(name, justify="right")
    previous = None
    for row in rows:
        if previous not in (None, row["operation"]):
            table.add_section()
        table.add_row("" if row["operation"] == previous else row["operation"], row["kind"],
                      str(row["results"]), *(_cell(row, name) for name in columns))
        previous = row["operation"]
    return table


def _cell(row: dict[str, Any], name: str) -> str:
    worst = row["worst"][name]
    return "-" if worst is None else f"{_short(row['median'][name])} / {_short(worst)}"


def _short(ulps: float) -> str:
    return f"{ulps:.2g}" if ulps < 1e3 else f"{ulps:.0e}"


def _reasons(rows: Sequence[dict[str, Any]]) -> list[str]:
    """Why columns are empty: each reason with the operations that it holds for."""
    where: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        for name, reason in row["lacking"].items():
            where.setdefault((name, reason), []).append(row["operation"])
    return [f"{name} -: {reason} ({', '.join(dict.fromkeys(operations))})."
            for (name, reason), operations in where.items()]
