"""`--json FILE`: where commands write what they found, for programs."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from refglow.atomic_file import can_write_in, write_atomically
from refglow.json_text import json_text


def is_standard_output(path: Path | None) -> bool:
    """Whether the user asked for JSON on standard output ("-")."""
    return path is not None and str(path) == "-"


def require_writable(path: Path | None) -> None:
    """Fail before the work rather than after it.

    Raises:
      OSError: if the file cannot be written where the user wants it.
    """
    if path is None or is_standard_output(path):
        return
    folder = path.absolute().parent
    taken = path.exists() and not path.is_file()
    if taken or not can_write_in(folder):
        raise OSError(f"Cannot write {path}: it must be a file in an existing, writable folder.")


def write_json(path: Path | None, report: dict[str, Any]) -> None:
    """Write the report to the file (atomically) or to standard output; nothing if path is None."""
    if path is None:
        return
    text = json_text(report)
    if is_standard_output(path):
        sys.stdout.write(text)
    else:
        write_atomically(path, text.encode())
