"""`refglow validate --export DIR` and `--results DIR`: a whole model, for any language."""

from __future__ import annotations

import shlex
import time
from pathlib import Path
from typing import TYPE_CHECKING

from refglow.cli.conformance_report import reported
from refglow.cli.messages import say
from refglow.cli.progress import tracked
from refglow.cli.validate_implementation import IMAGES, model_and_images

if TYPE_CHECKING:
    from refglow.validation.report import Report


def export_model(folder: Path, file: Path | None, images: int | None, seed: int) -> None:
    """Write a model's folder, and say what to do with it.

    Args:
      folder: where to.
      file: the model's safetensors file; None for random weights.
      images: how many random images; None for the default.
      seed: of the weights and images.

    Raises:
      ValueError, TypeError, OSError: as `write_model_folder`.
    """
    from refglow.validation.model_folder.writing import write_model_folder

    model, x = model_and_images(file, images or IMAGES, seed)
    write_model_folder(folder, model, x, seed)
    say(f"The model is in {folder}; README.md there explains it. When your program has written its "
        f"results: refglow validate --results {shlex.quote(str(folder))}")


def judge_model(folder: Path, only: str | None, to_stderr: bool) -> Report:
    """Compare the results in a model's folder, print what was found, and return the report.

    Args:
      folder: as `export_model` writes it, with a program's results.
      only: cannot be given.
      to_stderr: whether standard output is taken by JSON.

    Raises:
      ValueError, OSError: if the folder is not as it was written, or there are no results.
    """
    from refglow.validation.model_folder.judging import conformances, dtypes_of
    from refglow.validation.model_folder.manifest import MODEL
    from refglow.validation.model_folder.reading import read_model_folder
    from refglow.validation.model_folder.results import read_results

    if only is not None:
        raise ValueError(f"{folder} holds a model, not golden vectors; leave out --only.")
    started = time.perf_counter()
    model = read_model_folder(folder)
    results = read_results(model)
    found = list(tracked(conformances(model, results), len(dtypes_of(results)), "comparing"))
    settings = {"implementation": str(folder), "model": str(folder / MODEL),
                "images": len(model.x), "seed": model.manifest["seed"]}
    return reported(found, time.perf_counter() - started, settings, to_stderr)
