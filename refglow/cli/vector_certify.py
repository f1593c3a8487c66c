"""`refglow vectors certify`: the true values derived again, and how near refglow's own come."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.atomic_file import write_atomically
from refglow.cli.certificate_tables import beyond_its_bound, case_table, vector_table
from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from refglow.validation.cases import Case
    from refglow.validation.certified.certified_results import Certified
    from refglow.validation.golden import Golden
    from refglow.validation.vectors.vector import Vector


def certify(
    only: Annotated[str | None, typer.Option(
        help="Only what has a name that begins so, e.g. --only RealNVP or --only glow-.")] = None,
    sample: Annotated[int | None, typer.Option(
        min=1, help="Only so many of the golden vectors, chosen at random; no golden cases.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of that choice.")] = 0,
    write: Annotated[Path | None, typer.Option(
        help="Write the values of all golden cases, as the package keeps them, to this file.")
    ] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Derive the true values of golden vectors and cases again; compare with those that are kept.

    The specification runs on balls that enclose the true results, with more and more bits until
    every number is known to the last bit of float64 and float32. Beside it stand the errors of
    refglow's own results, and of TFP's for the golden cases, in units in the last place of the
    largest number; and what share of the error allowed to it refglow's is. Golden vectors are those
    for other languages (`refglow vectors export`), golden cases those with TFP's recorded results.

    The exit code is 0 if all values are those that are kept and refglow is within its bounds, 1 if
    not, 2 if it could not run.
    """
    if write is not None and (only is not None or sample is not None):
        raise typer.BadParameter("writes all golden cases; leave out --only and --sample.",
                                 param_hint="--write")
    require_writable(json)
    require_writable(write)
    from refglow.validation.golden import DTYPES, Golden

    files = {dtype: Golden(dtype) for dtype in DTYPES}
    cases, chosen = _chosen(only, sample, seed)
    if write is not None:
        chosen = []  # the file holds no golden vectors
    found = _certified(cases, files)
    if write is not None:
        from refglow.validation.certified.golden_values import file_content
        write_atomically(write, file_content({(case.name, dtype): one
                                              for case, dtype, one in found}))
    from refglow.validation.certified.report import rows_of
    rows, vector_rows = rows_of(found, files), _vector_rows(chosen)
    to_stderr = is_standard_output(json)
    numbers = sum(array.size for *_, one in found for by_type in one.values.values()
                  for array in by_type.values()) + 2 * sum(row["numbers"] for row in vector_rows)
    _print(rows, vector_rows, numbers, to_stderr)
    passed = all(row["as_kept"] and not beyond_its_bound(row) for row in rows + vector_rows)
    write_json(json, {"command": "vectors certify", "rows": rows, "vectors": vector_rows,
                      "passed": passed})
    raise typer.Exit(0 if passed else 1)


def _chosen(only: str | None, sample: int | None,
            seed: int) -> tuple[list[Case], list[Vector]]:
    """The golden cases and the golden vectors to certify.

    Raises:
      ValueError: if there are none.
    """
    import random

    from refglow.validation.against_golden import golden_cases
    from refglow.validation.vectors.catalogue import beginning_with

    if sample is not None:
        chosen = beginning_with(only)
        return [], random.Random(seed).sample(chosen, min(sample, len(chosen)))
    try:
        chosen = beginning_with(only)
    except ValueError:  # golden cases may be called so
        return golden_cases(only), []
    try:
        return golden_cases(only), chosen
    except ValueError:
        return [], chosen


def _certified(cases: list[Case],
               files: dict[str, Golden]) -> list[tuple[Case, str, Certified]]:
    """Each case and number type of its inputs, with its certified values."""
    from refglow.validation.certified.golden_values import certified_case

    work = [(case, dtype) for case in cases for dtype in files]
    return [(case, dtype, certified_case(case, files[dtype]))
            for case, dtype in tracked(work, len(work), "certifying golden cases")]


def _vector_rows(chosen: list[Vector]) -> list[dict[str, Any]]:
    """What certifying the chosen vectors again shows, in the catalogue's order."""
    from refglow.validation.vectors.certifying import certified_again
    from refglow.validation.vectors.kept import kept_vectors
    from refglow.validation.vectors.report import row_of

    if not chosen:
        return []
    with kept_vectors() as kept:
        rows = {vector.name: row_of(vector, kept, found) for vector, found in tracked(
            certified_again(chosen), len(chosen), "certifying vectors")}
    return [rows[vector.name] for vector in chosen]


def _print(rows: list[dict[str, Any]], vector_rows: list[dict[str, Any]], numbers: int,
           to_stderr: bool) -> None:
    from refglow.validation.table import console, stderr_console

    out = stderr_console() if to_stderr else console()
    if rows:
        out.print(case_table(rows))
    if vector_rows:
        out.print(vector_table(vector_rows))
    out.print("ulps: of the largest number. Where a map is ill-conditioned, errors are large for "
              "any algorithm, and so is the bound: 4 eps sqrt(layers) kappa, for derivatives 16 "
              "times that; of vectors' log-dets and densities, also what adding up may lose. Told "
              "is the result that comes nearest to its own.", style="dim")
    every, wrong = rows + vector_rows, False
    for found, words in (([row for row in every if not row["as_kept"]], "not as kept"),
                         ([row for row in every if beyond_its_bound(row)], "beyond their bound")):
        names = [str(row.get("vector", row.get("case"))) for row in found]
        if names:
            wrong = True
            out.print(f"[bold red]{len(names)} of {len(every)} are {words}:[/] "
                      f"{', '.join(dict.fromkeys(names))}")
    if not wrong:
        out.print(f"[bold green]All as kept[/]: {numbers} numbers, each correctly rounded; and "
                  "refglow's errors are within their bounds.")
