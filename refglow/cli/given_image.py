"""The image that a user means: a file, or the number of a test image, as a model takes it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from refglow.dtypes import Array
    from refglow.training.trained import Trained

FITS = ("crop", "resize")


def given_image(place: str, trained: Trained, data: str | None, fit: str | None = None, *,
                offer: bool = False) -> Array:
    """An image [H, W, C] at the middle of its levels' cells, in the model's number type.

    Args:
      place: a PNG or JPEG file, or the number of a test image.
      trained: the model.
      data: where numbered images come from; None: what the model was trained on.
      fit: how a file of another size, turned upright as its EXIF data say, is made to fit, one of
        FITS; None: it is refused.
      offer: whether to say in the refusal what `--fit` would do.

    Raises:
      ValueError: if there is no such image, or it cannot be used; says why.
      OSError: if data cannot be read.
      ImportError: if Pillow is missing.
    """
    if place.isascii() and place.isdigit():
        return centred(_numbered(int(place), trained, data), trained)
    return centred(_from_file(Path(place), trained, fit, offer), trained)


def centred(levels: Array, trained: Trained) -> Array:
    """Levels of the model's bits as it takes them: (level + 1/2) / 2^n - 1/2."""
    import numpy as np

    cells = (levels.astype(np.float64) + 0.5) / 2**trained.n_bits - 0.5
    return np.asarray(cells.astype(trained.glow.dtype))


def levels_of(pixels: Array, trained: Trained) -> Array:
    """The levels of a picture's brightness, uint8: the inverse of how levels are shown."""
    import numpy as np

    if trained.max_level == 2**trained.n_bits - 1 and trained.n_bits <= 8:
        return np.asarray(pixels >> (8 - trained.n_bits))
    # Levels that do not fill their bits, such as the digits' 0..16.
    return np.rint(pixels.astype(np.float64) * trained.max_level / 255).astype(np.uint16)


def _numbered(number: int, trained: Trained, data: str | None) -> Array:
    """A test image's levels, reduced to the model's bits."""
    import numpy as np

    from refglow.training.data import open_data

    if trained.settings is None and data is None:
        raise ValueError(f"{number} is the number of an image, but of which data? Give --data, or "
                         "an image file.")
    source, size = trained.source(data)
    _, test = open_data(source, image_size=size)
    trained.require_fit(test)
    if number >= len(test):
        raise ValueError(f"{source} has {len(test)} test images, 0 to {len(test) - 1}; got "
                         f"{number}.")
    return np.asarray(test.batch([number])[0] >> (test.n_bits - trained.n_bits))


def _from_file(path: Path, trained: Trained, fit: str | None, offer: bool) -> Array:
    """A picture's levels."""
    import numpy as np

    from refglow.extras import from_extra
    from refglow.training.decode import broken_because, decoded, decoded_upright

    with from_extra("train", "Image files"):
        import PIL  # noqa: F401
    shape: Any = tuple(trained.glow.parameters["output_shape"])
    try:
        pixels = decoded(path)
        if pixels.shape[:2] != shape[:2]:  # not the model's data, but a photograph as it is seen
            pixels = decoded_upright(path)
    except Exception as error:  # Pillow raises many kinds on a damaged file
        raise ValueError(f"{path}: {broken_because(error)}.") from error
    found = pixels.shape
    if fit and found != shape and found != (*shape[:2], 1) and shape[2] in (1, 3):
        pixels = _fitted(pixels, shape, fit)
    if pixels.shape == (*shape[:2], 1):  # grey, for a model of colours
        pixels = np.broadcast_to(pixels, shape)
    if pixels.shape != shape:
        raise ValueError(f"{path} is an image of shape {list(found)}; the model takes "
                         f"{list(shape)}." + (_offer(found, shape) if offer else ""))
    return levels_of(pixels, trained)


def _fitted(pixels: Array, shape: tuple[int, int, int], fit: str) -> Array:
    """The picture in another size, and grey if the model's images are."""
    import numpy as np
    from PIL import Image

    picture = Image.fromarray(pixels[..., 0] if pixels.shape[2] == 1 else pixels)
    if shape[2] == 1:
        picture = picture.convert("L")
    height, width = pixels.shape[:2]
    high, wide = _middle(pixels.shape, shape) if fit == "crop" else (height, width)
    top, left = (height - high) // 2, (width - wide) // 2
    scaled = np.asarray(picture.resize((shape[1], shape[0]), Image.Resampling.LANCZOS,
                                       (left, top, left + wide, top + high)))
    return scaled if scaled.ndim == 3 else scaled[..., np.newaxis]


def _middle(found: tuple[int, ...], shape: tuple[int, int, int]) -> tuple[int, int]:
    """(rows, columns) of the largest middle part with the proportions of the model's images."""
    height, width = found[:2]
    return (max(1, min(height, width * shape[0] // shape[1])),
            max(1, min(width, height * shape[1] // shape[0])))


def _offer(found: tuple[int, ...], shape: tuple[int, int, int]) -> str:
    """What each --fit would do with a picture that does not fit."""
    if shape[2] not in (1, 3):
        return f" A picture has 1 channel or 3, so none fits into {shape[2]}."
    grey = ", made grey" if found[2] > shape[2] else ""
    (height, width), (high, wide) = found[:2], _middle(found, shape)
    model = f"{shape[0]} x {shape[1]}"
    if (height, width) == shape[:2]:
        return f" --fit {FITS[0]} (or {FITS[1]}) would make it grey."
    crop = (f"take all its {height} x {width} pixels (rows x columns)"
            if (high, wide) == (height, width) else
            f"take the middle {high} x {wide} of its {height} x {width} pixels (rows x columns)")
    return (f" --fit crop would {crop} and scale them to {model}{grey}; --fit resize would scale "
            f"the whole picture to {model}{grey}"
            + ("." if (high, wide) == (height, width) else ", which changes its proportions."))
