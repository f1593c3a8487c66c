"""A progress bar for work that takes more than two seconds, where somebody sees it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeVar

T = TypeVar("T")


def tracked(work: Iterable[T], total: int, what: str) -> Iterable[T]:
    """The work, with a progress bar on standard error; without one where that is no terminal.

    Args:
      work: what is gone through.
      total: how many there are.
      what: is being done.
    """
    from rich.progress import track

    from refglow.validation.table import stderr_console

    out = stderr_console()
    return track(work, what, total, console=out, transient=True, disable=not out.is_terminal)
