"""The shape of a Glow: the image, what exits where, how many steps each block has."""

from __future__ import annotations

from dataclasses import dataclass

from refglow.bijectors import Glow
from refglow.bijectors.glow_shapes import Splits, scale_shapes


@dataclass(frozen=True)
class Structure:
    """What a Glow is apart from its numbers and conventions.

    Attributes:
      image_shape: (H, W, C).
      splits: (leave, grab, pass) of each block, the coarsest first, as `Glow.blockwise_splits`.
      steps: how many steps each block has, the coarsest first.
    """

    image_shape: tuple[int, int, int]
    splits: Splits
    steps: tuple[int, ...]

    @classmethod
    def of(cls, glow: Glow) -> Structure:
        """That of one of refglow's."""
        h, w, c = (int(size) for size in glow.parameters["output_shape"])
        splits = tuple((leave, grab, passed) for leave, grab, passed in glow.blockwise_splits)
        return cls((h, w, c), splits, (glow.parameters["num_steps_per_block"],) * len(splits))

    @property
    def sizes(self) -> list[tuple[int, int, int]]:
        """(h, w, channels) of each block, with what passes by, the coarsest first."""
        return scale_shapes(self.image_shape, len(self.splits))

    @property
    def dimensions(self) -> int:
        """H W C."""
        h, w, c = self.image_shape
        return h * w * c

    def has_exit(self, block: int) -> bool:
        """Whether something leaves after this block and something goes on."""
        leave, grab, _ = self.splits[block]
        return bool(leave and grab)
