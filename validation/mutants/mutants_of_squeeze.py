"""Mistakes in how images become tensors: the input's layout and the squeeze.

A tile of 2 x 2 pixels, at row a and column b of the tile, becomes four channels of each channel c.
The right order of the squeezed channels is (c a b), the slowest first.
"""

from __future__ import annotations

import numpy as np

from refglow.validation.mutants.mutant import Change, Mutant, changed
from refglow.validation.mutants.port import PortedGlow
from refglow.validation.mutants.tape import Tensor

_AXES = {"b": 5, "a": 3, "c": 1}


def _ordered(order: str) -> Change:
    axes = (0, *(_AXES[letter] for letter in order.split()), 2, 4)
    return changed(squeeze_axes=lambda self: axes)


class ReshapedNHWC(PortedGlow):
    """The squeeze as a plain reshape of [H, W, C]."""

    def squeeze(self, x: Tensor) -> Tensor:
        """[H, W, C] read as [H/2, W/2, 4C]."""
        batch, c, h, w = x.shape
        flat = x.transpose(0, 2, 3, 1).reshape(batch, h // 2, w // 2, 4 * c)
        return flat.transpose(0, 3, 1, 2)

    def unsqueeze(self, x: Tensor) -> Tensor:
        """[H, W, 4C] read as [2H, 2W, C]."""
        batch, c, h, w = x.shape
        flat = x.transpose(0, 2, 3, 1).reshape(batch, 2 * h, 2 * w, c // 4)
        return flat.transpose(0, 3, 1, 2)


class ReshapedNCHW(PortedGlow):
    """The squeeze as a plain reshape of [C, H, W]."""

    def squeeze(self, x: Tensor) -> Tensor:
        """[C, H, W] read as [4C, H/2, W/2]."""
        batch, c, h, w = x.shape
        return x.reshape(batch, 4 * c, h // 2, w // 2)

    def unsqueeze(self, x: Tensor) -> Tensor:
        """[4C, H, W] read as [C, 2H, 2W]."""
        batch, c, h, w = x.shape
        return x.reshape(batch, c // 4, 2 * h, 2 * w)


class Quadrants(PortedGlow):
    """The squeeze stacks the image's four quadrants."""

    def squeeze(self, x: Tensor) -> Tensor:
        """[C, (a h), (b w)] -> [(C a b), h, w]."""
        batch, c, h, w = x.shape
        parts = x.reshape(batch, c, 2, h // 2, 2, w // 2).transpose(0, 1, 2, 4, 3, 5)
        return parts.reshape(batch, 4 * c, h // 2, w // 2)

    def unsqueeze(self, x: Tensor) -> Tensor:
        """[(C a b), h, w] -> [C, (a h), (b w)]."""
        batch, c, h, w = x.shape
        parts = x.reshape(batch, c // 4, 2, 2, h, w).transpose(0, 1, 2, 4, 3, 5)
        return parts.reshape(batch, c // 4, 2 * h, 2 * w)


class Checkerboard(PortedGlow):
    """The squeeze visits a tile's diagonal first."""

    def squeeze(self, x: Tensor) -> Tensor:
        """(c a b), then of each four channels the first, last, second and third."""
        whole = super().squeeze(x)
        return whole.taken(_diagonal_first(whole.shape[1]), 1)

    def unsqueeze(self, x: Tensor) -> Tensor:
        """The inverse of `squeeze`."""
        return super().unsqueeze(x.taken(np.argsort(_diagonal_first(x.shape[1])), 1))


class InputReshaped(PortedGlow):
    """Images are reshaped to [C, H, W] where their axes should be moved."""

    def images_in(self, x: Tensor) -> Tensor:
        """[H, W, C] read as [C, H, W]."""
        h, w, c = self.image_shape
        return x.reshape(-1, c, h, w)

    def images_out(self, x: Tensor) -> Tensor:
        """[C, H, W] read as [H, W, C]."""
        return x.reshape(-1, *self.image_shape)


class BlueFirst(PortedGlow):
    """Images are read with their channels in the opposite order."""

    def images_in(self, x: Tensor) -> Tensor:
        """The last channel first."""
        return super().images_in(x).flip(1)

    def images_out(self, x: Tensor) -> Tensor:
        """The last channel first."""
        return super().images_out(x.flip(1))


class ShiftedTwice(PortedGlow):
    """The port subtracts 1/2 from images that are centred already."""

    def images_in(self, x: Tensor) -> Tensor:
        """The image less 1/2."""
        return super().images_in(x) - 0.5

    def images_out(self, x: Tensor) -> Tensor:
        """The image plus 1/2."""
        return super().images_out(x) + 0.5


class ScaledInside(PortedGlow):
    """The port divides images by 255/256 once more, and its log-det does not know."""

    def images_in(self, x: Tensor) -> Tensor:
        """The image times 256/255."""
        return super().images_in(x) * (256 / 255)

    def images_out(self, x: Tensor) -> Tensor:
        """The image times 255/256."""
        return super().images_out(x) * (255 / 256)


class Levels(PortedGlow):
    """The port takes levels from 0 to 255, as TFP's documented example does."""

    def images_in(self, x: Tensor) -> Tensor:
        """256 (x + 1/2)."""
        return (super().images_in(x) + 0.5) * 256.0

    def images_out(self, x: Tensor) -> Tensor:
        """The inverse."""
        return super().images_out(x * (1 / 256) - 0.5)


class WrongUnsqueeze(PortedGlow):
    """The way back takes channels for (row, column, channel)."""

    def unsqueeze(self, x: Tensor) -> Tensor:
        """[(a b C), h, w] -> [C, (h a), (w b)]."""
        batch, c, h, w = x.shape
        tiles = x.reshape(batch, 2, 2, c // 4, h, w).transpose(0, 3, 4, 1, 5, 2)
        return tiles.reshape(batch, c // 4, 2 * h, 2 * w)


def _diagonal_first(channels: int) -> list[int]:
    return [4 * (k // 4) + (0, 3, 1, 2)[k % 4] for k in range(channels)]


_FREIA = "FrEIA, legacy_backend=True; TensorFlow's space_to_depth"
_JULIA = "InvertibleNetworks.jl"

MUTANTS = (
    Mutant("squeeze-space-to-depth", "The squeeze orders channels (row, column, channel).",
           _FREIA, ("squeeze=a b c",), "squeeze", _ordered("a b c")),
    Mutant("squeeze-columns-first", "The squeeze orders channels (column, row, channel).",
           _JULIA + ", by which axis is width", ("squeeze=b a c",), "squeeze", _ordered("b a c")),
    Mutant("squeeze-tile-transposed", "The squeeze reads each tile column by column.",
           "classic", ("squeeze=c b a",), "squeeze", _ordered("c b a")),
    Mutant("squeeze-row-channel-column", "The squeeze moves one axis too few: (row, channel, "
           "column).", "classic", ("squeeze=a c b",), "squeeze", _ordered("a c b")),
    Mutant("squeeze-column-channel-row", "The squeeze moves the wrong axis: (column, channel, "
           "row).", "classic", ("squeeze=b c a",), "squeeze", _ordered("b c a")),
    Mutant("squeeze-reshape-nhwc", "The squeeze reshapes [H, W, C] and moves no axes.",
           "classic", ("squeeze=reshape NHWC",), "squeeze", ReshapedNHWC),
    Mutant("squeeze-reshape-nchw", "The squeeze reshapes [C, H, W] and moves no axes.",
           "classic", ("squeeze=reshape NCHW",), "squeeze", ReshapedNCHW),
    Mutant("squeeze-quadrants", "The squeeze takes the image's quadrants, because the reshape has "
           "the tile's axis before the pixel's.", "classic", ("squeeze=quadrants",), "squeeze",
           Quadrants),
    Mutant("squeeze-checkerboard", "The squeeze takes the two pixels of a tile's diagonal first.",
           _JULIA + ", ShuffleLayer", ("squeeze=c diagonal",), "squeeze", Checkerboard),
    Mutant("input-reshaped", "Images are reshaped from [H, W, C] to [C, H, W], not transposed.",
           "classic", ("images=[H, W, C] read as [C, H, W]",), "squeeze", InputReshaped),
    Mutant("input-blue-first", "Images are loaded as BGR.", "classic",
           ("images=last channel first",), "squeeze", BlueFirst),
    Mutant("input-centred-twice", "1/2 is subtracted from images that are centred already.",
           "openai/glow's preprocessing, done twice", ("images=minus 1/2",), "squeeze",
           ShiftedTwice),
    Mutant("input-levels", "Images are turned into levels from 0 to 255 inside, and the log-det "
           "leaves it out.", "TFP's documented example feeds 0 to 255", ("images=256 (x + 1/2)",),
           "squeeze", Levels),
    Mutant("squeeze-not-undone", "The way back undoes another squeeze, (row, column, channel).",
           "classic: depth_to_space for the inverse", ("squeeze=a b c",), "", WrongUnsqueeze),
    Mutant("input-scaled-again", "Images are scaled by 256/255 inside, and the log-det leaves it "
           "out.", "normflows' example: 255/256 scaling (normflows#5)", ("images=times 256/255",),
           "squeeze",
           ScaledInside),
)
