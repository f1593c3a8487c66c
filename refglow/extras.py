"""Packages that only some users need, by the extra that brings them.

    with from_extra("train", "Plots"):
        import matplotlib

One that is missing is reported with the command that installs it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


def install_command(extra: str) -> str:
    """The command that installs refglow with an extra."""
    return f'pip install "refglow[{extra}]"'


@contextmanager
def from_extra(extra: str, what: str) -> Iterator[None]:
    """Inside it, a package that cannot be imported is reported with how to install it.

    Args:
      extra: the one that brings the package.
      what: who needs the package; begins the message.

    Raises:
      ImportError: names the package and the extra.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{what} cannot be had without {error.name or error}: "
                          f"{install_command(extra)}.", name=error.name) from error
