"""How far refglow's own results for a vector are from the truth; whether that is as kept."""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.certified.certified_results import Certified
from refglow.validation.compare import difference
from refglow.validation.golden import DTYPES
from refglow.validation.vectors.kept import KeptVectors
from refglow.validation.vectors.results import Arrays, evaluated_in
from refglow.validation.vectors.vector import Vector

BACKENDS = ("spec", "cpu")


def row_of(vector: Vector, kept: KeptVectors, found: Certified) -> dict[str, Any]:
    """What the certification of one vector shows.

    Returns:
      a dict with the `vector`, its `operation`, `numbers` (how many results), `bits`, `as_kept`
      (whether all are those of the package's file), and the largest error of refglow's results in
      ulps (see compare.py) by "BACKEND/TYPE".
    """
    before = kept.results(vector).values
    inputs = kept.inputs(vector)
    return {"vector": vector.name, "operation": vector.operation,
            "numbers": sum(by_type["float64"].size for by_type in found.values.values()),
            "bits": found.bits, "as_kept": _same(found.values, before),
            "ulps": {f"{backend}/{dtype}": max(ulps_of(vector, inputs, before, dtype,
                                                       backend).values(), default=0.0)
                     for backend in BACKENDS for dtype in DTYPES}}


def ulps_of(vector: Vector, inputs: Arrays, truth: dict[str, dict[str, Array]], dtype: str,
            backend: str) -> dict[str, float]:
    """The error of each of refglow's results, in units in the last place of its largest number.

    Args:
      vector, inputs: what to evaluate.
      truth: its results, as `Certified.values`.
      dtype, backend: how.
    """
    results = evaluated_in(vector, inputs, dtype, backend).results
    return {name: difference(array, truth[name]["float64"], dtype).ulps
            for name, array in results.items()}


def _same(found: dict[str, dict[str, Array]], before: dict[str, dict[str, Array]]) -> bool:
    return found.keys() == before.keys() and all(
        np.array_equal(array, before[name][dtype])
        for name, by_type in found.items() for dtype, array in by_type.items())
