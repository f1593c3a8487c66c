"""`refglow sample`: images drawn from a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say
from refglow.cli.model_options import Model, NBits


def sample(
    model: Model,
    out: Annotated[Path, typer.Option(help="The PNG file to write.")],
    count: Annotated[int, typer.Option(min=1, help="How many images.")] = 16,
    temperature: Annotated[float, typer.Option(
        min=0.0, help="Standard deviation of the latents; below 1 gives likelier images.")] = 1.0,
    seed: Annotated[int, typer.Option(min=0, help="Of the latents.")] = 0,
    columns: Annotated[int | None, typer.Option(min=1, help="Images in a row.",
                                                show_default="a square")] = None,
    n_bits: NBits = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Draw images from a trained model and write them as one PNG.

    The exit code is 0, also if some samples are not finite (they are counted), 2 if it could not
    run.
    """
    from refglow.training.sampling import draw_images, save_images
    from refglow.training.trained import load_trained

    require_writable(json)
    require_writable(out)
    trained = load_trained(model, n_bits)
    images, lost = draw_images(trained.glow, count, temperature, seed)
    save_images(out, images, trained.n_bits, trained.max_level, columns)
    say(f"{count} sample{'s' if count > 1 else ''} at temperature {temperature:g} in {out}"
        + (f"; {lost} are not finite and black" if lost else "") + ".",
        to_stderr=is_standard_output(json))
    write_json(json, {"model": str(model), "file": str(out), "count": count, "not_finite": lost,
                      "temperature": temperature, "seed": seed})
