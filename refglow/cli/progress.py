"""A progress bar for work that takes more than two seconds, where somebody sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

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


@contextmanager
def progress_of_parts(what: str) -> Iterator[Callable[[str, int, int], Any]]:
    """A bar that says what is done now; none where standard error is no terminal.

    Args:
      what: is being done, until the first part begins.

    Yields:
      what is called before each part, with what it is, how many are done and of how many.
    """
    from rich.progress import Progress

    from refglow.validation.table import stderr_console

    console = stderr_console()
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task(what, total=None)
        yield lambda part, done, total: progress.update(task, description=part, completed=done,
                                                        total=total)
