"""The size of a case: a batch of images at one level of a Glow, and the width of its networks."""

from __future__ import annotations

import re
from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """[B, H, W, C] of the images that a step of the flow takes, and F, the hidden channels."""

    batch: int
    height: int
    width: int
    channels: int
    hidden: int = 400

    def __post_init__(self) -> None:
        """Raises: ValueError if a number is too small or cannot be divided as Glow divides it."""
        if min(self.batch, self.height, self.width, self.hidden) < 1 or (
                self.channels < 4 or self.channels % 4):
            raise ValueError("A size is BxHxWxC with B, H and W at least 1 and C a multiple of 4 "
                             f"(it is cut into halves, and into tiles of 2 x 2); got {self}.")

    def __str__(self) -> str:
        """As it is written on the command line."""
        return f"{self.batch}x{self.height}x{self.width}x{self.channels}"

    @property
    def pixels(self) -> int:
        """H W, of one image."""
        return self.height * self.width

    @property
    def vectors(self) -> int:
        """B H W, how many vectors of channels there are."""
        return self.batch * self.pixels

    @property
    def elements(self) -> int:
        """B H W C."""
        return self.vectors * self.channels


def parsed(text: str, hidden: int = 400) -> Size:
    """The size that is written as BxHxWxC, e.g. 64x64x64x12.

    Args:
      text: four whole numbers.
      hidden: F.

    Raises:
      ValueError: if it is written otherwise, or the numbers are not as Size wants them.
    """
    if not re.fullmatch(r"\d+(x\d+){3}", text):
        raise ValueError(f"A size is written BxHxWxC, e.g. 64x64x64x12; got {text!r}.")
    batch, height, width, channels = map(int, text.split("x"))
    return Size(batch, height, width, channels, hidden)
