"""Options that can be one of a few words."""

from __future__ import annotations

from collections.abc import Sequence

import typer


def require_choice(option: str, choice: str, possible: Sequence[str]) -> None:
    """Check what was given for an option.

    Args:
      option: its name, such as "--part".
      choice: what was given.
      possible: what can be.

    Raises:
      BadParameter: if it is none of these.
    """
    if choice not in possible:
        raise typer.BadParameter(f"can be {' or '.join(map(repr, possible))}; got {choice!r}.",
                                 param_hint=option)
