"""`--json`, `--html`, `--junit`: the files into which a command writes its report."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say

if TYPE_CHECKING:
    from refglow.validation.report import Report


@dataclass(frozen=True)
class ReportFiles:
    """Where a report goes.

    Attributes:
      json: a file, or "-" for standard output.
      html, junit: files.
    """

    json: Path | None = None
    html: Path | None = None
    junit: Path | None = None

    @property
    def to_stderr(self) -> bool:
        """Whether standard output is taken by JSON, so that people read standard error."""
        return is_standard_output(self.json)

    def require_writable(self) -> None:
        """Fail before the work rather than after it.

        Raises:
          BadParameter: if two are one file, or a page would go to standard output.
          OSError: if a file cannot be written.
        """
        given = {"--json": self.json, "--html": self.html, "--junit": self.junit}
        taken: dict[Path, str] = {}
        for option, path in given.items():
            if path is None:
                continue
            if is_standard_output(path) and option != "--json":
                raise typer.BadParameter("must be a file; only --json can be '-'.",
                                         param_hint=option)
            other = taken.setdefault(path.resolve(), option)
            if other != option:
                raise typer.BadParameter(f"is the same file as {other}: {path}.",
                                         param_hint=option)
            require_writable(path)

    def write(self, report: Report) -> None:
        """Write the report to all of them, and say where they are, or how to get it.

        Raises:
          OSError: if a file cannot be written.
        """
        if self.html is not None:
            from refglow.validation.report import write_html
            write_html(self.html, report)
            say(f"The full report is {self.html}.", to_stderr=self.to_stderr)
        if self.junit is not None:
            from refglow.validation.report import write_junit
            write_junit(self.junit, report)
            say(f"The JUnit file is {self.junit}.", to_stderr=self.to_stderr)
        if not report.passed and self == ReportFiles():
            say("--html FILE writes the full report.")
        write_json(self.json, report.as_dict())
