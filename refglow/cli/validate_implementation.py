"""`refglow validate --implementation FILE.py:NAME`: any Python Glow against the specification."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from refglow.cli.progress import tracked

if TYPE_CHECKING:
    from refglow.validation.implementations import Conformance

DTYPES = {"float64": ("float64",), "float32": ("float32",), "both": ("float64", "float32")}
IMAGES, TIME_LIMIT, DTYPE = 4, 60.0, "both"


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


def validate_implementation(choices: Choices, to_stderr: bool) -> dict[str, Any]:
    """Compare, print what was found, and return the report for JSON.

    Args:
      choices: what to compare, and how.
      to_stderr: whether standard output is taken by JSON.

    Raises:
      ValueError: if there is no such implementation or model, or the model cannot be compared.
      OSError: if the model's file cannot be read.
    """
    started = time.perf_counter()
    found = _compared(choices)
    passed = all(one.passed for one in found)
    seconds = time.perf_counter() - started
    _print(found, passed, seconds, to_stderr)
    diagnosis = None if passed else _diagnosed(found, to_stderr)
    return {"against": "refglow (specification)", "implementation": choices.implementation,
            "model": None if choices.model is None else str(choices.model),
            "images": choices.images, "seed": choices.seed, "seconds": seconds, "passed": passed,
            "conformance": {one.dtype: one.as_dict() for one in found},
            "diagnosis": diagnosis}


def _diagnosed(found: list[Conformance], to_stderr: bool) -> dict[str, object] | None:
    """What explains the differences, printed and for JSON; in the first type that differs."""
    from rich.markup import escape

    from refglow.validation.diagnosis.of_conformance import diagnosis_of
    from refglow.validation.diagnosis.words import as_dict, in_words
    from refglow.validation.table import console, stderr_console

    usable = [one for one in found if one.raw and not one.passed]
    if not usable:
        return None
    out = stderr_console() if to_stderr else console()
    with stderr_console().status("looking for what explains it"):
        diagnosis = diagnosis_of(usable[0])
    out.print(f"[bold]What explains it[/] ({usable[0].dtype}):")
    for paragraph in in_words(diagnosis):
        out.print(f"  - {escape(paragraph)}")
    return as_dict(diagnosis)


def _compared(choices: Choices) -> list[Conformance]:
    import numpy as np

    from refglow.model_file import load
    from refglow.validation.implementations.conformance import conformance_of
    from refglow.validation.implementations.model import (
        architecture_of,
        default_glow,
        parameters_of,
    )
    from refglow.validation.implementations.process import ProcessCalls
    from refglow.validation.implementations.reference import reference_of
    from refglow.validation.implementations.source import source_of
    from refglow.validation.random_models import random_images

    source = source_of(choices.implementation)
    model = default_glow(choices.seed) if choices.model is None else load(choices.model)
    images = random_images(np.random.default_rng([choices.seed, 1]), choices.images,
                           tuple(model.parameters["output_shape"]))
    found = []
    dtypes = DTYPES[choices.dtype]
    for dtype in tracked(dtypes, len(dtypes), "comparing"):
        glow = model.astype(dtype)
        reference = reference_of(glow, images)
        with ProcessCalls(source, architecture_of(glow), parameters_of(glow),
                          choices.time_limit) as calls:
            found.append(conformance_of(reference, calls))
    return found


def _print(found: list[Conformance], passed: bool, seconds: float, to_stderr: bool) -> None:
    from refglow.validation.implementations.report import conformance_table, details
    from refglow.validation.table import console, stderr_console

    out = stderr_console() if to_stderr else console()
    out.print(conformance_table(found))
    for line in details(found):
        out.print(line)
    out.print("error = max|yours - true| / max|true|; tolerance = 4 eps x sqrt(layers) x kappa, "
              "kappa the measured condition, 16 times that for gradients.", style="dim")
    rows = sum(len(one.rows) for one in found)
    wrong = sum(not row.passed for one in found for row in one.rows)
    failed = sum(len(one.failed) for one in found)
    verdict = ("[bold green]All agree[/]" if passed else
               f"[bold red]{wrong} arrays differ, {failed} could not be compared[/]")
    out.print(f"{verdict}: {rows} arrays compared in {seconds:.1f} s.")
