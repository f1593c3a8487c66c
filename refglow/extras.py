"""The packages that only training needs: `pip install "refglow[train]"` brings them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def train_extra(what: str) -> Iterator[None]:
    """Inside it, a package that cannot be imported is reported with how to install it.

    Args:
      what: who needs the package; begins the message.

    Raises:
      ImportError: names the package and the extra.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(f"{what} cannot be had without {error.name or error}: "
                          'pip install "refglow[train]".', name=error.name) from error
