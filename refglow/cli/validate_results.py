"""`refglow validate --results DIR`: what a program in any language computed, against the truth."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refglow.cli.messages import say
from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from rich.table import Table

    from refglow.validation.report import Report
    from refglow.validation.vectors.judging import Judged

_MOST_LISTED = 20  # failures in the table
_MOST_SUSPECTS = 5


def judge_results(folder: Path, only: str | None, to_stderr: bool) -> Report:
    """Judge a folder's results, print what was found, and return the report.

    Args:
      folder: as `refglow vectors export` or `refglow validate --export` writes it, with the
        program's results.
      only: how the names of the vectors begin that are judged; None for all.
      to_stderr: whether standard output is taken by JSON.

    Raises:
      ValueError: if there are no results, or none of that name.
    """
    from refglow.validation.model_folder.reading import is_model_folder
    from refglow.validation.report.making import report_of_vectors
    from refglow.validation.vectors.judging import judged, result_files
    from refglow.validation.vectors.kept import kept_vectors

    if is_model_folder(folder):
        from refglow.cli.validate_folder import judge_model
        return judge_model(folder, only, to_stderr)
    started = time.perf_counter()
    files = [path for path in result_files(folder)
             if only is None or path.stem.startswith(only.lower())]
    if not files:
        raise ValueError(f"No vector with results in {folder} has a name that begins with "
                         f"{only!r}.")
    with kept_vectors() as kept:
        found = list(tracked(judged(files, kept), len(files), "judging"))
    report = report_of_vectors(found, time.perf_counter() - started)
    _print(found, dict(report.suspects), to_stderr)
    return report


def _print(found: list[Judged], suspects: dict[str, int], to_stderr: bool) -> None:
    from refglow.validation.table import console, stderr_console

    out = stderr_console() if to_stderr else console()
    out.print(_table(found))
    for one in found:
        for problem in one.problems:
            say(f"{one.name}: {problem}", to_stderr=to_stderr)
    failed = [row for one in found for row in one.rows if not row.passed]
    if failed:
        out.print(_failures(failed))
        out.print(_suspicion(suspects, sum(not one.passed for one in found)))
    results, wrong = sum(len(one.rows) for one in found), sum(not one.passed for one in found)
    absent = sum(len(one.absent) for one in found)
    undecidable = sum(len(one.undecidable) for one in found)
    out.print("error = max|yours - true| / max|true|; tolerance = 4 eps x sqrt(layers) x kappa, "
              "kappa the measured condition, 16 times that for derivatives.", style="dim")
    out.print((f"[bold red]{wrong} of {len(found)} vectors are not right[/]" if wrong else
               f"[bold green]All right[/]: {len(found)} vectors")
              + f"; {results} results compared, {undecidable} too ill-conditioned to judge in "
              f"their number type, {absent} not given.")


def _table(found: list[Judged]) -> Table:
    """A line for each operation."""
    from rich.table import Table

    from refglow.validation.row import worst_first
    from refglow.validation.vectors.catalogue import BY_NAME

    table = Table(title="Your results against the truth", title_justify="left",
                  header_style="bold")
    table.add_column("operation")
    for header in ("vectors", "right", "results", "not given", "largest error,\nof its tolerance"):
        table.add_column(header, justify="right")
    by_operation: dict[str, list[Judged]] = {}
    for one in found:
        operation = BY_NAME[one.name].operation if one.name in BY_NAME else "unknown"
        by_operation.setdefault(operation, []).append(one)
    for operation, some in sorted(by_operation.items()):
        rows = [row for one in some for row in one.rows]
        right = sum(one.passed for one in some)
        worst = max(map(worst_first, rows), default=None)
        table.add_row(operation, str(len(some)),
                      f"{'' if right == len(some) else '[bold red]'}{right}", str(len(rows)),
                      str(sum(len(one.absent) for one in some)),
                      "" if worst is None else f"{worst:.2g}")
    return table


def _suspicion(suspects: dict[str, int], failed: int) -> str:
    """What to look for first, in words; nothing is claimed but what was counted."""
    from rich.markup import escape

    from refglow.validation.vectors.flags import FLAGS

    if not suspects:
        return "Each mistake that failed vectors catch is caught by others that are right."
    lines = [f"  [bold]{flag}[/] ({count} of {failed} failed vectors): {escape(FLAGS[flag].bug)}"
             for flag, count in list(suspects.items())[:_MOST_SUSPECTS]]
    return "\n".join(["Mistakes that only failed vectors catch; look for these first:", *lines])


def _failures(failed: list[Any]) -> Table:
    from rich.table import Table

    rest = len(failed) - _MOST_LISTED
    table = Table(title="Not right" + (f" (and {rest} more)" if rest > 0 else ""),
                  title_justify="left", header_style="bold")
    for header in ("vector", "result", "type"):
        table.add_column(header, overflow="fold")
    for header in ("error", "tolerance"):
        table.add_column(header, justify="right")
    for row in failed[:_MOST_LISTED]:
        table.add_row(row.bijector, row.prop, row.dtype, f"{row.relative:.1e}",
                      f"{row.tolerance:.0e}")
    return table
