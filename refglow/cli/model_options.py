"""Arguments and options of the commands that take a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[Path, typer.Argument(help="The folder of a training run, or a model file.")]
Data = Annotated[str | None, typer.Option(
    help="The images, as for refglow train.", show_default="the run's")]
NBits = Annotated[int | None, typer.Option(
    min=1, max=16, help="For a model file: the bits it was trained on.", show_default="8")]
