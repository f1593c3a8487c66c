"""`refglow explain`: every stage of a model's pass over an image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from refglow.cli.choices import require_choice
from refglow.cli.given_image import FITS, centred, given_image, levels_of
from refglow.cli.messages import say
from refglow.cli.model_options import NBits
from refglow.cli.progress import progress_of_parts
from refglow.cli.report_files import ReportFiles

if TYPE_CHECKING:
    from rich.console import Console

    from refglow.dtypes import Array
    from refglow.explain.pixel import Worked
    from refglow.explain.record import Stage, Trace
    from refglow.training.trained import Trained

Tell = Callable[[str], None]


def explain(
    model: Annotated[str, typer.Argument(
        help="The folder of a training run, a model file, or one with random weights: small, or "
        "default (TFP's, of 3 x 32 steps).")] = "small",
    image: Annotated[str | None, typer.Argument(
        help="A PNG or JPEG file, or the number of a test image of the data.",
        show_default="a run's first test image, else a picture that is drawn")] = None,
    direction: Annotated[str, typer.Option(
        help="TFP's: inverse goes from image to latent, forward from latent to image.")
    ] = "inverse",
    at: Annotated[str | None, typer.Option(
        metavar="NAME", help="Zoom in on one stage, such as block1.step0.coupling: its picture, "
        "and the numbers of one pixel worked through by hand.")] = None,
    pixel: Annotated[str | None, typer.Option(
        metavar="ROW,COLUMN", help="Which pixel of the image.", show_default="the middle")] = None,
    pictures: Annotated[bool, typer.Option(
        "--pictures", help="Show the picture of every stage in the terminal.")] = False,
    html: Annotated[Path | None, typer.Option(
        help="Write one HTML page with a slider over the stages; it loads nothing.")] = None,
    json: Annotated[Path | None, typer.Option(
        help="Write the results as JSON to this file ('-': standard output).")] = None,
    fit: Annotated[str | None, typer.Option(
        help="What to do with an image of another size, which is turned upright first: crop or "
        "resize.",
        show_default="refuse it")] = None,
    conditions: Annotated[bool, typer.Option(
        help="Measure condition numbers, which takes minutes for a large model.")] = True,
    data: Annotated[str | None, typer.Option(
        help="Where numbered images come from, as for refglow train.",
        show_default="the run's")] = None,
    seed: Annotated[int, typer.Option(
        min=0, help="Of random weights, and of the latents of forward without an image.")] = 0,
    n_bits: NBits = None,
) -> None:
    """Show every stage of a pass through a model: shapes, formulas, numbers, pictures.

    Without arguments: a small model with random weights in every layer, and a picture that is
    drawn. With `--direction forward` an image is taken to its latents first, and the way back from
    them is shown; without an image a sample of the prior is.
    """
    require_choice("--direction", direction, ("inverse", "forward"))
    require_choice("--fit", fit or FITS[0], FITS)
    place = _pixel_of(pixel)
    if pixel is not None and at is None and html is None:
        raise typer.BadParameter("is the pixel that --at or --html works through; give one of "
                                 "them.", param_hint="--pixel")
    files = ReportFiles(json=json, html=html)
    files.require_writable()
    from refglow.explain import trace
    from refglow.explain.pixel import worked
    from refglow.explain.record import known_name
    from refglow.explain.tracing import stage_names

    trained, what = _model(model, seed, n_bits)
    at = None if at is None else known_name(at, stage_names(trained.glow))
    start, shown = _start(trained, image, direction, data, fit, seed)
    with progress_of_parts("explain") as on_stage:
        found = trace(trained.glow, start, direction, n_bits=trained.n_bits,
                      conditions=conditions, seed=seed, on_stage=on_stage)
    numbers = None if at is None else worked(found, at, *place)
    explained = _Explained(found, what, shown, place)
    explained.write(files, numbers)  # first: a reader such as head may end what is printed
    explained.print(at, numbers, pictures, files)


def _pixel_of(text: str | None) -> tuple[int | None, int | None]:
    """(row, column) of "ROW,COLUMN"."""
    if text is None:
        return None, None
    row, _, column = text.partition(",")
    if not all(part.strip().isascii() and part.strip().isdigit() for part in (row, column)):
        raise typer.BadParameter(f"must be two whole numbers, such as 16,20; got {text!r}.",
                                 param_hint="--pixel")
    return int(row), int(column)


def _model(model: str, seed: int, n_bits: int | None) -> tuple[Trained, str]:
    """(the model, what it is in words)."""
    from refglow.explain.example import MODELS, example_glow
    from refglow.training.trained import Trained, load_trained

    if model in MODELS:
        bits = n_bits or 8
        return (Trained(example_glow(model, seed), bits, 2**bits - 1),
                f"{model} model, random weights in every layer (seed {seed})")
    _require_model(Path(model))
    trained = load_trained(Path(model), n_bits)
    steps = "" if trained.step is None else f", trained for {trained.step} steps"
    return trained, f"{model}{steps}"


def _require_model(place: Path) -> None:
    """Refuse what cannot be a model: nothing, or a picture in its place."""
    from refglow.explain.example import MODELS
    from refglow.training.image_folder import SUFFIXES

    if not place.exists():
        raise ValueError(f"There is no model {place}. Give {' or '.join(MODELS)}, the folder of a "
                         "training run, or a model file.")
    if place.suffix.lower() in SUFFIXES:
        raise ValueError(f"{place} is a picture, and the model comes before it: refglow explain "
                         f"{MODELS[0]} {place}.")


def _start(trained: Trained, image: str | None, direction: str, data: str | None,
           fit: str | None, seed: int) -> tuple[Array, str]:
    """(what goes in, what it is in words)."""
    import numpy as np

    from refglow.backend import use_backend
    from refglow.explain.example import landscape

    glow, shape = trained.glow, tuple(trained.glow.parameters["output_shape"])
    if image is None and direction == "forward":
        z = np.random.default_rng(seed).standard_normal(int(np.prod(shape)))
        return z.astype(glow.dtype), f"a sample of the prior (seed {seed})"
    if image is None and (trained.settings is not None or data is not None):
        image = "0"
    if image is None:
        height, width, channels = shape
        pixels = landscape((height, width, channels))
        x, what = centred(levels_of(pixels, trained), trained), "a picture drawn by refglow"
    else:
        x = given_image(image, trained, data, fit, offer=True)
        what = f"test image {image}" if image.isascii() and image.isdigit() else image
    if direction == "inverse":
        return x, what
    with use_backend("spec"):
        return glow.inverse(x), f"the latents of {what}"


@dataclass(frozen=True)
class _Explained:
    """A trace, and what it is of.

    Attributes:
      trace: it.
      model, shown: what it is of, in words.
      pixel: (row, column) of the image, or None for the middle.
    """

    trace: Trace
    model: str
    shown: str
    pixel: tuple[int | None, int | None]

    def print(self, at: str | None, numbers: Worked | None, pictures: bool,
              files: ReportFiles) -> None:
        """The table, or one stage, for people, and where the page is."""
        from refglow.validation.table import console, stderr_console

        out = stderr_console() if files.to_stderr else console()
        tell = partial(say, to_stderr=files.to_stderr)
        tell(f"Model: {self.model}. Input: {self.shown}.")
        out.print()
        if at is not None and numbers is not None:
            _print_stage(self.trace.at(at), numbers, out, tell)
        else:
            _print_table(self.trace, pictures, out, tell)
        if files.html is not None:
            tell(f"The page is {files.html}.")
        elif at is None and not files.to_stderr:
            tell("--at NAME zooms in on a stage; --html FILE writes a page with a slider.")

    def write(self, files: ReportFiles, numbers: Worked | None) -> None:
        """The page and the JSON."""
        from refglow.cli.json_report import write_json

        if files.html is not None:
            from refglow.explain.page import write_page
            with progress_of_parts("page") as on_stage:
                write_page(files.html, self.trace, self.model, self.shown, pixel=self.pixel,
                           at=None if numbers is None else numbers.stage, on_stage=on_stage)
        report: dict[str, Any] = {"model": self.model, "input": self.shown,
                                  **self.trace.as_dict()}
        write_json(files.json, report | (
            {} if numbers is None else {"worked": numbers.as_dict()}))


def _print_stage(stage: Stage, numbers: Worked, out: Console, tell: Tell) -> None:
    """One stage in full, its picture, and one pixel by hand."""
    from refglow.explain.terminal import stage_lines, stage_picture

    for line in stage_lines(stage):
        tell(line)
    out.print(stage_picture(stage, out), no_wrap=True, overflow="crop")
    out.print()
    for line in str(numbers).splitlines():
        tell(line)


def _print_table(trace: Trace, pictures: bool, out: Console, tell: Tell) -> None:
    """All stages, a line each, and their pictures if wanted."""
    from refglow.explain.terminal import stage_picture, summary_of, table_of

    out.print(table_of(trace, out.width))
    tell(summary_of(trace))
    for stage in trace.stages if pictures else ():
        out.print()
        tell(f"{stage.name}: {stage.title}")
        out.print(stage_picture(stage, out), no_wrap=True, overflow="crop")
