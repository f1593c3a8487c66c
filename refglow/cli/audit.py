"""`refglow audit`: how a trained model amplifies errors, and why sampling gives NaN."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say, warnings_as_lines
from refglow.cli.model_options import Data, Model, NBits
from refglow.cli.progress import progress_of_parts

if TYPE_CHECKING:
    from refglow.dtypes import Array
    from refglow.training.trained import Trained


def audit(
    model: Model,
    data: Data = None,
    images: Annotated[int, typer.Option(
        min=1, max=1024, help="How many test images, and samples, go there and back.")] = 16,
    seed: Annotated[int, typer.Option(
        min=0, help="Of the dequantization noise, the samples and the measuring vectors.")] = 0,
    n_bits: NBits = None,
    ball_seconds: Annotated[float, typer.Option(
        min=0, help="How long ball arithmetic may take for one way, by an estimate; 0 for long "
        "double.")] = 60.0,
    all_layers: Annotated[bool, typer.Option(
        "--all", help="Show every layer of a large model.")] = False,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Measure how a model amplifies errors, layer by layer, and say which layers are at fault.

    Data go to latents and back, samples to images and back, in the model's own number type; its
    results in float32, float16 and bfloat16 are held against ball arithmetic.

    The exit code is 0 if both ways there and back succeed, 1 if one fails, 2 if the audit could not
    run.
    """
    from refglow.cli.audit_tables import print_audit
    from refglow.training.trained import load_trained
    from refglow.validation.audit import audit as audited

    require_writable(json)
    trained = load_trained(model, n_bits)
    source, size = trained.source(data)
    x = _images(trained, source, size, images, seed)
    started = time.perf_counter()
    with progress_of_parts("audit") as on_part:
        found = audited(trained.glow, x, n_bits=trained.n_bits, seed=seed,
                        ball_seconds=ball_seconds, on_part=on_part)
    seconds = time.perf_counter() - started
    print_audit(found, source, seconds, all_layers, to_stderr=is_standard_output(json))
    write_json(json, {"model": str(model), "data": source, "seconds": seconds,
                      **found.as_dict()})
    raise typer.Exit(0 if found.passed else 1)


def _images(trained: Trained, source: str, size: int | None, count: int, seed: int) -> Array:
    """Test images as the model takes them."""
    import numpy as np

    from refglow.dtypes import DEFAULT_FLOAT
    from refglow.training.data import open_data
    from refglow.training.dequantize import dequantize

    with warnings_as_lines():
        part = open_data(source, image_size=size)[1]
    trained.require_fit(part)
    if not len(part):
        raise ValueError(f"{part.name} has no images.")
    if len(part) < count:
        say(f"{part.name} has {len(part)} images; all are used.", to_stderr=True)
    levels = part.batch(np.arange(min(count, len(part))))
    return dequantize(levels, part.n_bits, trained.n_bits, np.random.default_rng(seed),
                      trained.glow.dtype or DEFAULT_FLOAT)
