"""A model's layers in order towards the latent, gathered into levels."""

from __future__ import annotations

from refglow.validation.adapters.levels import Level, Part
from refglow.validation.dialects.conversion import NotRepresentableError


class Sequence:
    """Takes squeezes, parts and exits one after the other."""

    def __init__(self) -> None:
        """Nothing yet."""
        self._levels: list[tuple[list[Part], int]] = []

    def squeeze(self, where: str) -> None:
        """Begin a level."""
        self._levels.append(([], 0))

    def add(self, part: Part, where: str) -> None:
        """Put a layer into the level.

        Raises:
          NotRepresentableError: if no squeeze came before, or channels have left since.
        """
        self._open(where)[0].append(part)

    def leave(self, channels: int, where: str) -> None:
        """Let channels exit; a squeeze has to follow.

        Raises:
          NotRepresentableError: as for `add`.
        """
        parts, _ = self._open(where)
        self._levels[-1] = (parts, channels)

    def levels(self) -> list[Level]:
        """The levels, the one next to the image first.

        Raises:
          NotRepresentableError: if channels left and nothing followed.
        """
        if not self._levels or self._levels[-1][1]:
            raise NotRepresentableError.at(
                "The end of the model", "no level comes last: each begins "
                "with a squeeze.")
        return [Level(tuple(parts), leaving) for parts, leaving in self._levels]

    def _open(self, where: str) -> tuple[list[Part], int]:
        if not self._levels or self._levels[-1][1]:
            raise NotRepresentableError.at(
                where, "no squeeze comes before it; each of Glow's levels, also after an exit, "
                "begins with one.")
        return self._levels[-1]
