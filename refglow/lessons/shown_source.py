"""The package's own source as a lesson shows it, so that no lesson holds a copy that grows old."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ShownSource:
    """The code of a function or class, and its place; a notebook shows it as Python code."""

    code: str
    place: str

    def __str__(self) -> str:
        return f"# {self.place}\n{self.code}"

    def _repr_markdown_(self) -> str:
        return f"```python\n{self}\n```"


def show(*objects: Callable[..., Any]) -> ShownSource:
    """The source of functions or classes of one module, one after the other.

    Args:
        objects: Functions or classes, all of one module.

    Returns:
        Their text as it is installed, headed by the module's name.

    Raises:
        ValueError: Nothing was given, or things of several modules.
    """
    modules = {shown.__module__ for shown in objects}
    if len(modules) != 1:
        raise ValueError("Give one or more functions or classes of one module; got "
                         f"{len(objects)} of {', '.join(sorted(modules)) or 'none'}.")
    return ShownSource("\n\n".join(textwrap.dedent(inspect.getsource(shown)).rstrip()
                                   for shown in objects),
                       modules.pop())
