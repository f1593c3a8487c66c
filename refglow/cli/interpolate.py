"""`refglow interpolate`: from one image to another through the latent space."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say

if TYPE_CHECKING:
    from refglow.dtypes import Array
    from refglow.training.trained import Trained


def interpolate(
    model: Annotated[Path, typer.Argument(
        help="The folder of a training run, or a model file.")],
    first: Annotated[str, typer.Argument(
        help="An image file, or the number of a test image of the data.")],
    second: Annotated[str, typer.Argument(help="The same.")],
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    frames: Annotated[int, typer.Option(min=2, help="Images in all, both ends included.")] = 9,
    data: Annotated[str | None, typer.Option(
        help="Where the numbered images come from, as for refglow train.",
        show_default="the run's")] = None,
    n_bits: Annotated[int | None, typer.Option(
        min=1, max=16, help="For a model file: the bits it was trained on.",
        show_default="8")] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Write the images on the straight line between two images' latents as one row of a PNG."""
    import numpy as np

    from refglow.training.sampling import interpolate, save_images
    from refglow.training.trained import load_trained

    require_writable(json)
    require_writable(out)
    trained = load_trained(model, n_bits)
    ends = _image(first, trained, data), _image(second, trained, data)
    images, lost = interpolate(trained.glow, *ends, frames)
    save_images(out, images, trained.n_bits, trained.max_level, columns=frames)
    ends_error = float(np.abs(images[[0, -1]] - np.stack(ends)).max())
    say(f"{frames} images from {first} to {second} in {out}"
        + (f"; {lost} are not finite and black" if lost else "")
        + f". Through the latent space and back the ends change by at most {ends_error:.1e} (a "
          f"level is {2.0**-trained.n_bits:.1e}).", to_stderr=is_standard_output(json))
    write_json(json, {"model": str(model), "file": str(out), "first": first, "second": second,
                      "frames": frames, "not_finite": lost,
                      "largest_error_at_the_ends": ends_error})


def _image(place: str, trained: Trained, data: str | None) -> Array:
    """The image that the user means, [H, W, C], at the middle of its levels' cells."""
    import numpy as np

    if place.isascii() and place.isdigit():
        levels = _numbered(int(place), trained, data)
    else:
        levels = _from_file(Path(place), trained)
    cells = (levels.astype(np.float64) + 0.5) / 2**trained.n_bits - 0.5
    return np.asarray(cells.astype(trained.glow.dtype))


def _numbered(number: int, trained: Trained, data: str | None) -> Array:
    """A test image's levels, reduced to the model's bits."""
    import numpy as np

    from refglow.training.data import open_data

    settings = trained.settings
    source = data or (settings.data if settings else None)
    if source is None:
        raise ValueError(f"{number} is the number of an image, but of which data? Give --data, or "
                         "an image file.")
    _, test = open_data(source, image_size=settings.image_size
                        if settings and source == settings.data else None)
    trained.require_fit(test)
    if number >= len(test):
        raise ValueError(f"{source} has {len(test)} test images, 0 to {len(test) - 1}; got "
                         f"{number}.")
    return np.asarray(test.batch([number])[0] >> (test.n_bits - trained.n_bits))


def _from_file(path: Path, trained: Trained) -> Array:
    """A picture's levels: the inverse of how levels are shown."""
    import numpy as np

    from refglow.training.decode import broken_because, decoded
    from refglow.training.extra import train_extra

    with train_extra("Image files"):
        import PIL  # noqa: F401
    try:
        pixels = decoded(path)
    except Exception as error:  # Pillow raises many kinds on a damaged file
        raise ValueError(f"{path}: {broken_because(error)}.") from error
    shape = tuple(trained.glow.parameters["output_shape"])
    if pixels.shape == (*shape[:2], 1):  # grey, for a model of colours
        pixels = np.broadcast_to(pixels, shape)
    if pixels.shape != shape:
        raise ValueError(f"{path} is an image of shape {list(pixels.shape)}; the model takes "
                         f"{list(shape)}.")
    if trained.max_level == 2**trained.n_bits - 1 and trained.n_bits <= 8:
        return np.asarray(pixels >> (8 - trained.n_bits))
    # Levels that do not fill their bits, such as the digits' 0..16.
    return np.rint(pixels.astype(np.float64) * trained.max_level / 255).astype(np.uint16)
