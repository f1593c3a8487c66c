"""What the certification of the golden cases shows, in rows."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.structure import map_structure
from refglow.validation.cases import Case
from refglow.validation.certified.certify import Certified
from refglow.validation.certified.golden_values import CertifiedValues
from refglow.validation.compare import difference
from refglow.validation.evaluate import evaluate, forget_data
from refglow.validation.golden import DTYPES, Golden


def rows_of(found: Iterable[tuple[Case, str, Certified]]) -> list[dict[str, Any]]:
    """A row for each case, number type of its inputs, and property.

    Args:
      found: cases, number types of their inputs, and their certified values.

    Returns:
      dicts with `case`, `dtype`, `property`, `bits`, `as_kept` (whether the values are those of the
      package's file), and the errors `refglow_ulps` and `tfp_ulps` (see compare.py).
    """
    files, kept = {dtype: Golden(dtype) for dtype in DTYPES}, CertifiedValues()
    rows = []
    for case, dtype, one in found:
        ours, before = specification_results(case, files[dtype]), kept.of(case.name, dtype)
        for prop, by_type in one.values.items():
            truth = by_type["float64"]
            kept_by_type = before.values.get(prop, {}) if before else {}
            as_kept = kept_by_type.keys() == by_type.keys() and all(
                np.array_equal(array, kept_by_type[name]) for name, array in by_type.items())
            rows.append({
                "case": case.name, "dtype": dtype, "property": prop, "bits": one.bits,
                "as_kept": as_kept,
                "refglow_ulps": difference(ours[prop], truth, dtype).ulps,
                "tfp_ulps": difference(files[dtype].result(case.name, prop), truth, dtype).ulps})
    return rows


def specification_results(case: Case, golden: Golden) -> dict[str, Array]:
    """refglow's results in the number type of a golden file, at its inputs and parameters."""
    bijector, _, _ = case.make(int(golden.metadata["seed"]), np.dtype(golden.metadata["dtype"]))
    bijector.load_state_dict(golden.state(case.name))
    event_ndims = map_structure(bijector.forward_min_event_ndims, len, case.event_shape)
    with warnings.catch_warnings():
        if case.first_use:  # samples set the parameters on purpose
            warnings.simplefilter("ignore", UserWarning)
        return evaluate(bijector, golden.input(case.name, "x"), golden.input(case.name, "y"),
                        event_ndims, forget_data if case.first_use else None)
