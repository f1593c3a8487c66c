"""The float32 errors of refglow and of other libraries for golden vectors, against the truth.

Each is given the same float32 numbers. Errors are those of `compare.py`, in units in the last place
of a result's largest number; so they are also of what is ill-conditioned, alike for all.
"""

from __future__ import annotations

import re
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.compare import difference
from refglow.validation.vectors.kept import KeptVectors
from refglow.validation.vectors.libraries import LackingError
from refglow.validation.vectors.results import Arrays, evaluated_in
from refglow.validation.vectors.sampling import samples_of
from refglow.validation.vectors.vector import Vector

Library = Callable[[Vector, Mapping[str, Array]], Arrays]
KINDS = {"value": r"\w+/(?!log_det)\w+(/\d+)?", "log-det": r"\w+/log_det(/\d+)?",
         "gradient": r"\w+/vjp/input_bar(/\d+)?", "of parameters": r"\w+/vjp/params/.+"}


@dataclass(frozen=True)
class Errors:
    """What one library computed for one vector.

    Attributes:
      ulps: the error of each result that it has, by name.
      lacking: why it has none; empty if it has some.
    """

    ulps: dict[str, float]
    lacking: str = ""


def libraries() -> dict[str, Library]:
    """The columns: refglow's specification and its kernels, TFP, PyTorch; by their names."""
    return {"spec": lambda vector, inputs: _refglow(vector, inputs, "spec"),
            "cpu": lambda vector, inputs: _refglow(vector, inputs, "cpu"),
            "TFP": _tfp, "PyTorch": _torch}


def _refglow(vector: Vector, inputs: Mapping[str, Array], backend: str) -> Arrays:
    compared = tuple(kind for kind in vector.derivatives if kind == "vjp")
    return evaluated_in(replace(vector, derivatives=compared), inputs, np.float32, backend).results


def _tfp(vector: Vector, inputs: Mapping[str, Array]) -> Arrays:
    from refglow.validation.vectors.libraries.by_tfp import results_of
    return results_of(vector, inputs)


def _torch(vector: Vector, inputs: Mapping[str, Array]) -> Arrays:
    from refglow.validation.vectors.libraries.by_torch import results_of
    return results_of(vector, inputs)


def errors_of(vectors: Sequence[Vector], kept: KeptVectors,
              columns: Mapping[str, Library]) -> Iterator[tuple[Vector, dict[str, Errors]]]:
    """Each vector with every column's errors; a library that is not installed has none.

    Args:
      vectors: which.
      kept: the package's vectors.
      columns: as `libraries` gives them.
    """
    absent: dict[str, str] = {}
    for vector in vectors:
        truth = {name: by_type["float64"]
                 for name, by_type in kept.results(vector).values.items()}
        inputs = kept.all_inputs(vector)
        found: dict[str, Errors] = {}
        for name, library in columns.items():
            if name not in absent:
                try:
                    found[name] = _against(vector, truth, library(vector, inputs))
                    continue
                except LackingError as error:
                    found[name] = Errors({}, str(error))
                    continue
                except ImportError as error:
                    absent[name] = str(error)
            found[name] = Errors({}, absent[name])
        yield vector, found


def _against(vector: Vector, truth: Mapping[str, Array], found: Arrays) -> Errors:
    samples = samples_of(vector, found)
    return Errors({name: difference(samples[name].of(array) if name in samples else array,
                                    truth[name], np.float32).ulps
                   for name, array in found.items() if name in truth})


def rows_of(found: Sequence[tuple[Vector, Mapping[str, Errors]]]) -> list[dict[str, Any]]:
    """A row for each operation and kind of result that a library rounds.

    Counted are the results that all libraries have which have any, so that the columns are of the
    same numbers.

    Returns:
      dicts with the `operation`, the `kind` of result, the number of `results`, and by library
      the `median` and the `worst` error in ulps, None where it has none, and why (`lacking`).
    """
    rows = []
    for operation in dict.fromkeys(vector.operation for vector, _ in found):
        some = [(vector.name, errors) for vector, errors in found
                if vector.operation == operation]
        rows += [row for kind in KINDS if (row := _row(operation, kind, some)) is not None]
    return rows


def _row(operation: str, kind: str,
         some: Sequence[tuple[str, Mapping[str, Errors]]]) -> dict[str, Any] | None:
    names = list(some[0][1])
    by_library = {name: {(vector, result): ulps for vector, errors in some
                         for result, ulps in errors[name].ulps.items()
                         if re.fullmatch(KINDS[kind], result)} for name in names}
    having = [set(results) for results in by_library.values() if results]
    common = set.intersection(*having) if having else set()
    if not common:
        return None
    columns = {name: [results[key] for key in common] if results else []
               for name, results in by_library.items()}
    return {"operation": operation, "kind": kind, "results": len(common),
            "median": {name: statistics.median(ulps) if ulps else None
                       for name, ulps in columns.items()},
            "worst": {name: max(ulps) if ulps else None for name, ulps in columns.items()},
            "lacking": {name: "; ".join(dict.fromkeys(
                errors[name].lacking or f"no {kind}" for _, errors in some))
                for name, ulps in columns.items() if not ulps}}
