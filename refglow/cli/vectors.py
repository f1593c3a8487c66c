"""`refglow vectors`: reference values for everyone, and how far they can be trusted."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.atomic_file import write_atomically
from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say
from refglow.cli.progress import tracked
from refglow.cli.vector_errors import errors

if TYPE_CHECKING:
    from rich.table import Table

    from refglow.validation.cases import Case
    from refglow.validation.certified.certified_results import Certified
    from refglow.validation.golden import Golden
    from refglow.validation.vectors.vector import Vector

vectors = typer.Typer(no_args_is_help=True, rich_markup_mode="markdown")


@vectors.callback()
def _vectors() -> None:
    """True values for implementations in any language, certified to the last bit."""


@vectors.command()
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
    largest number. Golden vectors are those for other languages (`refglow vectors export`), golden
    cases those with TFP's recorded results.

    The exit code is 0 if all values are those that are kept, 1 if not, 2 if it could not run.
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
    passed = all(row["as_kept"] for row in rows + vector_rows)
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
        out.print(_table(rows))
    if vector_rows:
        out.print(_vector_table(vector_rows))
    out.print("Errors in units in the last place of the largest number. Where a map is "
              "ill-conditioned, they are large for any algorithm.", style="dim")
    differing = [str(row.get("vector", row.get("case"))) for row in rows + vector_rows
                 if not row["as_kept"]]
    if differing:
        out.print(f"[bold red]{len(differing)} of {len(rows) + len(vector_rows)} are not as "
                  f"kept:[/] {', '.join(dict.fromkeys(differing))}")
    else:
        out.print(f"[bold green]All as kept[/]: {numbers} numbers, each correctly rounded.")


def _vector_table(rows: list[dict[str, Any]]) -> Table:
    """A line for each operation: refglow's largest errors over its vectors."""
    from itertools import groupby

    from rich.table import Table

    table = Table(title="Golden vectors", title_justify="left", header_style="bold")
    table.add_column("operation", overflow="fold")
    kinds = list(rows[0]["ulps"])
    for header in ("vectors", "numbers", "bits, up to",
                   *(f"{kind.replace('/', chr(10))}\nulps" for kind in kinds)):
        table.add_column(header, justify="right")
    table.add_column("verdict")
    by_operation = sorted(rows, key=lambda row: row["operation"])
    for operation, group in groupby(by_operation, key=lambda row: row["operation"]):
        some = list(group)
        table.add_row(operation, str(len(some)), str(sum(row["numbers"] for row in some)),
                      str(max(row["bits"] for row in some)),
                      *(f"{max(row['ulps'][kind] for row in some):.3g}" for kind in kinds),
                      "as kept" if all(row["as_kept"] for row in some)
                      else "[bold red]NOT as kept[/]")
    return table


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


vectors.command()(errors)


@vectors.command()
def export(
    folder: Annotated[Path, typer.Argument(help="The folder; made if it is missing.")],
    only: Annotated[str | None, typer.Option(
        help="Only vectors whose name begins so, e.g. --only glow-.")] = None,
) -> None:
    """Write the golden vectors for any language: a JSON manifest and a safetensors file each.

    Beside them stand an index, the manifest's schema, an explanation, and the generator of the few
    arrays that are made instead of kept, in Python, C and Julia.
    """
    from refglow.validation.vectors.catalogue import beginning_with
    from refglow.validation.vectors.folder import write_rest, write_vector
    from refglow.validation.vectors.kept import kept_vectors

    chosen = beginning_with(only)
    with kept_vectors() as kept:
        for vector in tracked(chosen, len(chosen), "writing vectors"):
            write_vector(folder, vector, kept)
    write_rest(folder)
    say(f"{len(chosen)} vectors in {folder}; README.md there explains them.")


@vectors.command()
def check(
    folder: Annotated[Path, typer.Argument(help="As `refglow vectors export` writes it.")],
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Check that a folder's vectors are refglow's: every manifest, every number.

    The exit code is 0 if they are, 1 if one is not, 2 if it could not run.
    """
    require_writable(json)
    from refglow.validation.vectors.folder import checked_folder
    from refglow.validation.vectors.kept import kept_vectors

    total = len(list((folder / "vectors").glob("*.json")))
    with kept_vectors() as kept:
        found = list(tracked(checked_folder(folder, kept), total, "checking vectors"))
    wrong = [one for one in found if one.problems]
    vectors_found = len(found) - 1  # and what stands beside them
    to_stderr = is_standard_output(json)
    for one in wrong:
        for problem in one.problems:
            say(f"{one.name}: {problem}", to_stderr=to_stderr)
    say(f"Not all is as refglow has it: {len(wrong)} of {len(found)} places." if wrong else
        f"All {vectors_found} vectors are refglow's.", to_stderr=to_stderr)
    write_json(json, {"command": "vectors check", "passed": not wrong,
                      "vectors": {one.name: list(one.problems) for one in found}})
    raise typer.Exit(1 if wrong else 0)
