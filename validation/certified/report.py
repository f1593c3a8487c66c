"""What the certification of the golden cases shows, in rows."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from refglow.validation.against_golden import golden_judge, golden_results
from refglow.validation.cases import Case
from refglow.validation.certified.certified_results import Certified
from refglow.validation.certified.golden_values import CertifiedValues
from refglow.validation.compare import difference
from refglow.validation.golden import Golden


def rows_of(found: Iterable[tuple[Case, str, Certified]],
            files: Mapping[str, Golden]) -> list[dict[str, Any]]:
    """A row for each case, number type of its inputs, and property.

    Args:
      found: cases, number types of their inputs, and their certified values.
      files: the golden files by number type.

    Returns:
      dicts with `case`, `dtype`, `property`, `bits`, `as_kept` (whether the values are those of the
      package's file), the errors `refglow_ulps` and `tfp_ulps` (see compare.py), and refglow's
      `relative` error beside the `bound` that it must keep, the bound's `reason`, and the `share`
      of the bound that the error is.
    """
    kept = CertifiedValues()
    rows = []
    for case, dtype, one in found:
        ours, before = golden_results(case, files[dtype]), kept.of(case.name, dtype)
        judge = golden_judge(case, dtype, files[dtype])
        for prop, by_type in one.values.items():
            truth = by_type["float64"]
            kept_by_type = before.values.get(prop, {}) if before else {}
            as_kept = kept_by_type.keys() == by_type.keys() and all(
                np.array_equal(array, kept_by_type[name]) for name, array in by_type.items())
            row = judge(prop, ours[prop], truth)
            rows.append({
                "case": case.name, "dtype": dtype, "property": prop, "bits": one.bits,
                "as_kept": as_kept, "refglow_ulps": row.ulps,
                "tfp_ulps": difference(files[dtype].result(case.name, prop), truth, dtype).ulps,
                **row.beside_its_bound()})
    return rows
