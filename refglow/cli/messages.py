"""Lines of plain text for people: results, and warnings.

They are not laid out by rich: a path may hold what rich takes for markup, and must not be broken
over two lines.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TextIO

import typer


def say(text: str, *, to_stderr: bool = False) -> None:
    """Print a line; in a terminal it is broken between words, and stays as far in as it begins.

    Bytes of a file's name that are no text appear as question marks.
    """
    line = text.encode("utf-8", "replace").decode("utf-8")
    if (sys.stderr if to_stderr else sys.stdout).isatty():
        margin = " " * (len(line) - len(line.lstrip(" ")))
        line = textwrap.fill(line, shutil.get_terminal_size().columns, replace_whitespace=False,
                             break_long_words=False, break_on_hyphens=False,
                             subsequent_indent=2 * margin)
    typer.echo(line, err=to_stderr)


@contextmanager
def warnings_as_lines() -> Iterator[None]:
    """Inside it, a warning is one line on stderr, without the place in the code."""
    def show(message: Warning | str, category: type[Warning], filename: str, lineno: int,
             file: TextIO | None = None, line: str | None = None) -> Any:
        say(f"Warning: {message}", to_stderr=True)
    with warnings.catch_warnings():
        warnings.showwarning = show
        yield
