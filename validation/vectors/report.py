"""How far refglow's own results for a vector are from the truth; whether that is as kept."""

from __future__ import annotations

import itertools
from typing import Any, TypeAlias

import numpy as np

from refglow.dtypes import Array
from refglow.validation.certified.certified_results import Certified
from refglow.validation.compare import difference
from refglow.validation.golden import DTYPES
from refglow.validation.row import worst_first
from refglow.validation.vectors.judging import Judge, judge_of
from refglow.validation.vectors.kept import KeptVectors
from refglow.validation.vectors.results import Arrays, evaluated_in
from refglow.validation.vectors.vector import Vector

BACKENDS = ("spec", "cpu")

Truth: TypeAlias = dict[str, dict[str, Array]]


def row_of(vector: Vector, kept: KeptVectors, found: Certified) -> dict[str, Any]:
    """What the certification of one vector shows.

    Returns:
      a dict with the `vector`, its `operation`, `numbers` (how many results), `bits`, `as_kept`
      (whether all are those of the package's file), and by "BACKEND/TYPE" the largest error of
      refglow's results in ulps (see compare.py), and what is `nearest_its_bound`: the result whose
      error is the largest share of what it may be; None where none can be judged.
    """
    before, inputs = kept.results(vector).values, kept.inputs(vector)
    judge = judge_of(vector, kept)
    ulps: dict[str, float] = {}
    nearest: dict[str, dict[str, Any] | None] = {}
    for backend, dtype in itertools.product(BACKENDS, DTYPES):
        results = evaluated_in(vector, inputs, dtype, backend).results
        kind = f"{backend}/{dtype}"
        ulps[kind] = max(ulps_of(results, before, dtype).values(), default=0.0)
        nearest[kind] = _nearest_its_bound(results, before, judge)
    return {"vector": vector.name, "operation": vector.operation,
            "numbers": sum(by_type["float64"].size for by_type in found.values.values()),
            "bits": found.bits, "as_kept": _same(found.values, before), "ulps": ulps,
            "nearest_its_bound": nearest}


def ulps_of(results: Arrays, truth: Truth, dtype: str) -> dict[str, float]:
    """The error of each result, in units in the last place of its largest number.

    Args:
      results: refglow's, by name.
      truth: as `Certified.values`.
      dtype: the number type that they were computed in.
    """
    return {name: difference(array, truth[name]["float64"], dtype).ulps
            for name, array in results.items()}


def _nearest_its_bound(results: Arrays, truth: Truth, judge: Judge) -> dict[str, Any] | None:
    rows = [judge(name, array, truth[name]["float64"]) for name, array in results.items()]
    judged = [row for row in rows if row is not None]
    if not judged:
        return None
    worst = max(judged, key=worst_first)
    return {"result": worst.prop, **worst.beside_its_bound()}


def _same(found: Truth, before: Truth) -> bool:
    return found.keys() == before.keys() and all(
        np.array_equal(array, before[name][dtype])
        for name, by_type in found.items() for dtype, array in by_type.items())
