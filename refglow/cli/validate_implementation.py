"""`refglow validate --implementation FILE.py:NAME`: any Python Glow against the specification."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from refglow.cli.conformance_report import reported
from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from refglow.bijectors.glow import Glow
    from refglow.dtypes import Array
    from refglow.validation.implementations import Conformance
    from refglow.validation.report import Report

DTYPES = {"float64": ("float64",), "float32": ("float32",), "both": ("float64", "float32")}
IMAGES, TIME_LIMIT, DTYPE = 4, 60.0, "both"


def require_dtype(choice: str) -> None:
    """Raise BadParameter if --dtype is none of DTYPES."""
    if choice not in DTYPES:
        raise typer.BadParameter(f"can be {', '.join(DTYPES)}; got {choice!r}.",
                                 param_hint="--dtype")


@dataclass(frozen=True)
class Choices:
    """What the user chose.

    Attributes:
      implementation: FILE.py:NAME or module:NAME.
      model: a safetensors file; None for random weights.
      images: how many random images.
      time_limit: seconds, for each call.
      dtype: of DTYPES.
      seed: of the random weights and images.
    """

    implementation: str
    model: Path | None = None
    images: int = IMAGES
    time_limit: float = TIME_LIMIT
    dtype: str = DTYPE
    seed: int = 0


def validate_implementation(choices: Choices, to_stderr: bool) -> Report:
    """Compare, print what was found, and return the report.

    Args:
      choices: what to compare, and how.
      to_stderr: whether standard output is taken by JSON.

    Raises:
      ValueError: if there is no such implementation or model, or the model cannot be compared.
      OSError: if the model's file cannot be read.
    """
    started = time.perf_counter()
    found = _compared(choices)
    settings = {"implementation": choices.implementation,
                "model": None if choices.model is None else str(choices.model),
                "images": choices.images, "seed": choices.seed}
    return reported(found, time.perf_counter() - started, settings, to_stderr)


def _compared(choices: Choices) -> list[Conformance]:
    from refglow.validation.implementations.apart import conformance_apart
    from refglow.validation.implementations.references import references
    from refglow.validation.implementations.source import source_of

    source = source_of(choices.implementation)
    model, images = model_and_images(choices.model, choices.images, choices.seed)
    dtypes = DTYPES[choices.dtype]
    return [conformance_apart(reference, model, source, choices.time_limit)
            for reference in tracked(references(model, images, dtypes), len(dtypes), "comparing")]


def model_and_images(file: Path | None, count: int, seed: int) -> tuple[Glow, Array]:
    """(the model, random images for it).

    Args:
      file: the model's; None for random weights.
      count: of images.
      seed: of the weights and images.
    """
    from refglow.model_file import load
    from refglow.validation.implementations.model import default_glow, images_for

    model = default_glow(seed) if file is None else load(file)
    return model, images_for(model, count, seed)
