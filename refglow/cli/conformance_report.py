"""What was found of an implementation: printed, diagnosed, and made a report.

For all commands that compare an implementation, wherever its results came from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from refglow.validation.diagnosis.finding import Diagnosis
    from refglow.validation.implementations import Conformance
    from refglow.validation.report import Report
    from refglow.validation.report.record import Setting

_COLUMNS = 80  # of the tables; of the lines too, where there is no terminal to measure


def reported(found: Sequence[Conformance], seconds: float, settings: Mapping[str, Setting],
             to_stderr: bool) -> Report:
    """Print what was found and what explains it, and return the report.

    Args:
      found: in each number type.
      seconds: that the comparison took.
      settings: what was compared, by the names of the options: "implementation", "model", "seed".
      to_stderr: whether standard output is taken by JSON.
    """
    from refglow.validation.report import report_of

    _print(found, seconds, to_stderr)
    return report_of(found, _diagnosed(found, to_stderr), seconds, settings)


def _diagnosed(found: Sequence[Conformance], to_stderr: bool) -> Diagnosis | None:
    """What explains the differences, printed; in the first type that differs."""
    from rich.markup import escape

    from refglow.validation.diagnosis.of_conformance import (
        diagnosis_of,
        explanation_of,
        to_diagnose,
    )
    from refglow.validation.table import console, stderr_console

    one = to_diagnose(found)
    if one is None:
        return None
    out = stderr_console() if to_stderr else console(_COLUMNS)
    with stderr_console().status("looking for what explains it"):
        diagnosis = diagnosis_of(one)
    out.print(f"[bold]What explains it[/] ({one.dtype}):")
    for paragraph in explanation_of(one, diagnosis):
        out.print(f"  - {escape(paragraph)}")
    return diagnosis


def _print(found: Sequence[Conformance], seconds: float, to_stderr: bool) -> None:
    from refglow.validation.implementations.digits import digits_in_words
    from refglow.validation.implementations.report import conformance_table, details
    from refglow.validation.table import console, stderr_console

    out = stderr_console() if to_stderr else console(_COLUMNS)
    out.print(conformance_table(found))
    for line in details(found):
        out.print(line)
    out.print("error = max|yours - true| / max|true|; tolerance = 4 eps x sqrt(layers) x kappa, "
              "kappa the measured condition; 16 times that for gradients, and for log-dets and "
              "densities what a plain sum rounds by.", style="dim")
    rows = sum(len(one.rows) for one in found)
    wrong = sum(not row.passed for one in found for row in one.rows)
    failed = sum(len(one.failed) for one in found)
    verdict = ("[bold green]All agree[/]" if all(one.passed for one in found) else
               f"[bold red]{wrong} arrays differ, {failed} could not be compared[/]")
    out.print(f"{verdict}: {rows} arrays compared in {seconds:.1f} s.")
    for one in found:
        if one.digits:
            out.print(digits_in_words(one.dtype, one.digits))
