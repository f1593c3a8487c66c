"""A report as JSON, and its schema."""

from __future__ import annotations

import os
from typing import Any

from refglow.atomic_file import write_atomically
from refglow.json_text import json_text
from refglow.validation.report.record import Report
from refglow.validation.schemas import schema_in


def write_json(path: str | os.PathLike[str], report: Report) -> None:
    """Write a report as JSON, atomically; numbers that are not finite become strings.

    Args:
      path: of the file.
      report: what was found.

    Raises:
      OSError: if the file cannot be written.
    """
    write_atomically(path, json_text(report.as_dict()).encode())


def report_schema() -> dict[str, Any]:
    """The schema of the JSON, draft 2020-12."""
    return schema_in("refglow.validation.report", "report.schema.json")
