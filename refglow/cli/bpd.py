"""`refglow bpd`: a data set's bits per dimension under a trained model."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.choices import require_choice
from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say, warnings_as_lines
from refglow.cli.model_options import Data, Model, NBits
from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from refglow.training.image_data import ImageData
    from refglow.training.trained import Trained


# Options of `refglow campaign bpd` too, which gives the same number.
Part = Annotated[str, typer.Option(help="test or train.")]
Most = Annotated[int | None, typer.Option(
    min=1, help="At most so many images.", show_default="all")]
Seed = Annotated[int, typer.Option(min=0, help="Of the dequantization noise.")]
PARTS = ("test", "train")


def bpd(
    model: Model,
    data: Data = None, part: Part = "test",
    batch_size: Annotated[int, typer.Option(
        min=1, help="Images at a time; memory grows with it, not with the data.")] = 32,
    most: Most = None, seed: Seed = 0, n_bits: NBits = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Measure the mean bits per dimension of images, read and evaluated a batch at a time."""
    from refglow.training.data import open_data
    from refglow.training.trained import load_trained

    require_choice("--part", part, PARTS)
    require_writable(json)
    trained = load_trained(model, n_bits)
    source, size = trained.source(data)
    with warnings_as_lines():
        images = open_data(source, image_size=size)[0 if part == "train" else 1]
    trained.require_fit(images)
    found = _measured(trained, images, batch_size, most, seed)
    lost = f"; log p is not finite for {found['not_finite']}" if found["not_finite"] else ""
    say(f"{found['bits_per_dim']:.4f} +- {found['standard_error']:.4f} bits/dim over "
        f"{found['images']} {part} images{lost} ({source}, {trained.n_bits} bits; "
        f"{found['seconds']:.1f} s).", to_stderr=is_standard_output(json))
    write_json(json, {"model": str(model), "data": source, "part": part,
                      "n_bits": trained.n_bits, **found})


def _measured(trained: Trained, images: ImageData, batch_size: int, most: int | None,
              seed: int) -> dict[str, Any]:
    """The figures of the report, from one batch at a time."""
    import numpy as np

    from refglow.training.bits_per_dim import measured_bits_per_dim

    chosen = images if most is None else images.subset(np.arange(min(most, len(images))))
    if not len(chosen):
        raise ValueError(f"{images.name} has no images in this part.")
    started = time.perf_counter()
    batches = tracked(chosen.batches(batch_size), -(-len(chosen) // batch_size), "bits/dim")
    found = measured_bits_per_dim(trained.glow, batches, images.n_bits, trained.n_bits, seed)
    return {"bits_per_dim": found.mean, "standard_error": found.standard_error,
            "images": found.count, "not_finite": found.not_finite,
            "seconds": time.perf_counter() - started}
