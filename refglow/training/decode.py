"""One PNG or JPEG file as an array, or a reason why not."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from refglow.dtypes import Array

if TYPE_CHECKING:
    from PIL.Image import Image

_FORMATS = ("PNG", "JPEG")  # no other decoder of Pillow's is offered the file
_CONVERSIONS = {"1": "L", "L": "L", "LA": "L", "P": "RGB", "PA": "RGB", "RGB": "RGB", "RGBA": "RGB"}


class UnsupportedImageError(ValueError):
    """A whole image, of a kind that has no faithful form as 8-bit grey or RGB."""


def decoded(path: Path) -> Array:
    """The pixels of a PNG or JPEG file, uint8 [H, W, C] with C = 1 (grey) or 3 (RGB), as stored.

    Palette images become RGB, black-and-white ones grey; an alpha channel is dropped if it is
    opaque everywhere. An orientation in EXIF data is not applied.

    Raises:
      UnsupportedImageError: if a pixel is transparent, a channel has 16 bits, or the colours are
        CMYK or the like.
      Exception: of whatever kind Pillow raises if the file is damaged, cut short, something else
        than its name says, or would fill the memory (a decompression bomb).
    """
    with _opened(path) as (image, wide):
        return _pixels(image, wide)


def decoded_upright(path: Path) -> Array:
    """As `decoded`, turned as the orientation in its EXIF data says: as people see the picture."""
    from PIL import ImageOps

    with _opened(path) as (image, wide):
        return _pixels(ImageOps.exif_transpose(image), wide)


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Image, bool]]:
    """The picture, checked and in memory, and whether it has more than 8 bits per channel."""
    from PIL import Image

    with warnings.catch_warnings():
        # Remarks on metadata do not matter here. A bomb is only warned of up to twice the limit.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        with Image.open(path, formats=_FORMATS) as image:
            image.verify()  # PNG checksums, which decoding alone does not look at
        with Image.open(path, formats=_FORMATS) as image:
            # Pillow halves 16-bit colours without a word; only the decoder's arguments tell.
            wide = image.mode.startswith(("I", "F")) or ";16" in str(image.tile)
            image.load()
            yield image, wide


def broken_because(error: Exception) -> str:
    """What an error of `decoded` says of the file, without repeating its path."""
    from PIL import UnidentifiedImageError

    if isinstance(error, UnidentifiedImageError):
        return "it is not a PNG or JPEG file"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error).rstrip(".") or type(error).__name__


def _pixels(image: Image, wide: bool) -> Array:
    if wide:
        raise UnsupportedImageError("it has more than 8 bits per channel; convert it to 8")
    if image.mode not in _CONVERSIONS:
        raise UnsupportedImageError(f"its colours are {image.mode}; convert it to RGB or grey")
    if image.has_transparency_data:
        alpha = np.asarray(image.convert("RGBA").getchannel("A"))
        if alpha.min() < 255:
            raise UnsupportedImageError(f"{np.count_nonzero(alpha < 255)} of its {alpha.size} "
                                        "pixels are transparent; flatten it")
    pixels = np.asarray(image.convert(_CONVERSIONS[image.mode]))
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
