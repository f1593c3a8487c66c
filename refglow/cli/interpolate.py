"""`refglow interpolate`: from one image to another through the latent space."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refglow.cli.given_image import given_image
from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say
from refglow.cli.model_options import Model, NBits


def interpolate(
    model: Model,
    first: Annotated[str, typer.Argument(
        help="An image file, or the number of a test image of the data.")],
    second: Annotated[str, typer.Argument(help="The same.")],
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    frames: Annotated[int, typer.Option(min=2, help="Images in all, both ends included.")] = 9,
    data: Annotated[str | None, typer.Option(
        help="Where the numbered images come from, as for refglow train.",
        show_default="the run's")] = None,
    n_bits: NBits = None,
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
    ends = given_image(first, trained, data), given_image(second, trained, data)
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
