"""A report as JSON, and its schema."""

from __future__ import annotations

import json
import os
from importlib import resources
from pathlib import Path
from typing import Any

from refglow.cli import json_report
from refglow.validation.report.record import Report


def write_json(path: str | os.PathLike[str], report: Report) -> None:
    """Write a report as JSON, atomically; numbers that are not finite become strings.

    Args:
      path: of the file.
      report: what was found.

    Raises:
      OSError: if the file cannot be written.
    """
    json_report.write_json(Path(path), report.as_dict())


def report_schema() -> dict[str, Any]:
    """The schema of the JSON, draft 2020-12."""
    text = (resources.files("refglow.validation.report") / "report.schema.json").read_text("utf-8")
    schema: dict[str, Any] = json.loads(text)
    return schema
