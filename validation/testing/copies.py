"""Arrays by name that a test may write into: a copy each time, which no other test sees."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from refglow.dtypes import Array


class Copies(Mapping[str, Array]):
    """Arrays by name, of which only copies are given away.

    Read-only ones would not do: PyTorch warns of them, and code that works in place fails.
    """

    def __init__(self, arrays: Mapping[str, Array]) -> None:
        """Hold them.

        Args:
          arrays: by name.
        """
        self._arrays = arrays

    def __getitem__(self, name: str) -> Array:
        """A copy of the array of a name."""
        return self._arrays[name].copy()

    def __contains__(self, name: object) -> bool:
        """Whether there is one, without a copy."""
        return name in self._arrays

    def __iter__(self) -> Iterator[str]:
        """The names."""
        return iter(self._arrays)

    def __len__(self) -> int:
        """How many there are."""
        return len(self._arrays)
