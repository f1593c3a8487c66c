"""A folder's results against the specification."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from refglow.validation.golden import DTYPES
from refglow.validation.implementations.conformance import Conformance, conformance_of
from refglow.validation.implementations.judging import FailedCall
from refglow.validation.implementations.references import references
from refglow.validation.model_folder.folder_calls import FolderCalls
from refglow.validation.model_folder.reading import ModelFolder
from refglow.validation.model_folder.results import Results
from refglow.validation.strangers.text import one_line


def dtypes_of(results: Results) -> list[str]:
    """The number types that results are in; the first of all if there are no results."""
    return [dtype for dtype in DTYPES if dtype in results.arrays] or [DTYPES[0]]


def conformances(model: ModelFolder, results: Results) -> Iterator[Conformance]:
    """What was found, for each number type that results are in.

    What could not be taken as a result counts as wrong in the first.

    Args:
      model: the model.
      results: of a program.
    """
    dtypes = dtypes_of(results)
    for k, reference in enumerate(references(model.glow, model.x, dtypes, model.z)):
        calls = FolderCalls(results.arrays.get(dtypes[k], {}), reference)
        found = conformance_of(reference, calls)
        yield found if k else _with_problems(found, results)


def _with_problems(found: Conformance, results: Results) -> Conformance:
    failed = tuple(FailedCall("results", found.dtype, one_line(problem))
                   for problem in results.problems)
    skipped = tuple(f"{name}: not a safetensors file, not read" for name in results.others)
    others = () if failed and not results.arrays else found.failed  # that there is nothing at all
    return replace(found, failed=failed + others, skipped=skipped + found.skipped)
