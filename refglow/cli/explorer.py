"""`refglow explorer`: the page in which a trained Glow runs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from refglow.cli.json_report import is_standard_output, require_writable, write_json
from refglow.cli.messages import say
from refglow.cli.model_options import NBits

if TYPE_CHECKING:
    from refglow.explorer import Content


def explorer(
    out: Annotated[Path, typer.Option(help="The HTML file to write.")] = Path("explorer.html"),
    model: Annotated[Path | None, typer.Option(
        help="The folder of a training run, or a model file.",
        show_default="the small Glow of digits that comes with refglow")] = None,
    data: Annotated[str | None, typer.Option(
        help="Where the images to encode come from, as for refglow train.",
        show_default="the run's")] = None,
    count: Annotated[int | None, typer.Option(
        min=1, max=48, help="How many test images to put into the page.",
        show_default="12")] = None,
    n_bits: NBits = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
) -> None:
    """Write a page in which to play with a Glow, watch its layers at work, and design one.

    The page is one HTML file that loads nothing: it works without a network, and can be sent to
    anybody. Its arithmetic is float64, whatever the model's number type.
    """
    from refglow.explorer import explorer_page, shipped_content

    require_writable(json)
    if is_standard_output(out):
        raise typer.BadParameter("must be a file; only --json can be '-'.", param_hint="--out")
    require_writable(out)
    for option, value in (("--data", data), ("--count", count), ("--n-bits", n_bits)):
        if model is None and value is not None:
            raise typer.BadParameter("is for a model of yours: give --model too.",
                                     param_hint=option)
    content = shipped_content() if model is None else _content(model, data, count, n_bits)
    page = explorer_page(content).encode()
    from refglow.atomic_file import write_atomically
    write_atomically(out, page)
    say(f"{out} ({len(page) / 1e6:.2f} MB) opens in any browser.",
        to_stderr=is_standard_output(json))
    write_json(json, {"file": str(out), "bytes": len(page),
                      "model": None if model is None else str(model),
                      "images": len(content.levels)})


def _content(model: Path, data: str | None, count: int | None,
             n_bits: int | None) -> Content:
    from refglow.explorer import content_of
    from refglow.explorer.content import NUM_IMAGES
    from refglow.training.data import open_data
    from refglow.training.trained import load_trained

    trained = load_trained(model, n_bits)
    source, size = trained.source(data)
    return content_of(trained, open_data(source, image_size=size)[1], count or NUM_IMAGES)
