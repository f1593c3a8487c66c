"""Event shapes: tuples of sizes, some of which may be unknown (None)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from refglow.dtypes import Array


class EventShape(tuple[int | None, ...]):
    """The shape of one event: a tuple of sizes; None stands for a size that is not known.

    It is a tuple in every respect and also answers the questions that frameworks ask their shape
    objects (`as_list`, `rank`, `is_fully_defined`, `num_elements`).
    """

    __slots__ = ()

    def __new__(cls, sizes: Iterable[Any] = ()) -> EventShape:
        """Build from any iterable of sizes, an int (one dimension), or a framework's shape."""
        if hasattr(sizes, "as_list"):
            sizes = sizes.as_list()
        if isinstance(sizes, (int, np.integer)):
            sizes = (int(sizes),)
        return super().__new__(cls, (None if s is None else _size(s) for s in sizes))

    def as_list(self) -> list[int | None]:
        """The sizes as a list."""
        return list(self)

    @property
    def rank(self) -> int:
        """The number of dimensions."""
        return len(self)

    def is_fully_defined(self) -> bool:
        """Whether every size is known."""
        return None not in self

    def num_elements(self) -> int | None:
        """The product of the sizes, or None if one is unknown."""
        sizes = [s for s in self if s is not None]
        return int(np.prod(sizes, dtype=np.int64)) if len(sizes) == len(self) else None

    def as_tensor(self) -> Array:
        """The sizes as an int32 vector.

        Raises:
          ValueError: if a size is unknown.
        """
        if not self.is_fully_defined():
            raise ValueError(f"The shape {tuple(self)} is only partly known.")
        return np.asarray(self.as_list(), dtype=np.int32)


def _size(size: Any) -> int:
    try:
        value = int(size)
    except (TypeError, ValueError, OverflowError):
        value = -1
    if value != size or value < 0:
        raise ValueError(f"Sizes must be non-negative integers or None; got {size!r}.")
    return value
