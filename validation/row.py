"""One line of a validation report."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.compare import difference, element_differences
from refglow.validation.tolerances import LARGEST_USEFUL, Tolerance


@dataclass(frozen=True)
class Row:
    """How one property of one bijector compares.

    Attributes:
      bijector, prop, dtype: what was compared.
      ulps, relative: the largest error (see `compare.py`).
      tolerance, reason: the largest relative error that passes, and why.
      condition: kappa, the measured condition of the map.
      count: how many comparisons the row is the worst of.
    """

    bijector: str
    prop: str
    dtype: str
    ulps: float
    relative: float
    tolerance: float
    reason: str
    condition: float
    count: int = 1

    @property
    def passed(self) -> bool:
        """Whether the error is within the tolerance (NaN is not)."""
        return self.relative <= self.tolerance

    @property
    def severity(self) -> float:
        """The error as a share of the tolerance."""
        return self.relative / self.tolerance

    def beside_its_bound(self) -> dict[str, Any]:
        """For JSON: the `relative` error, its `bound`, the `reason` for that, and the `share`."""
        return {"relative": self.relative, "bound": self.tolerance, "reason": self.reason,
                "share": self.severity}

    def as_dict(self) -> dict[str, Any]:
        """For JSON, the verdict included."""
        return asdict(self) | {"passed": self.passed}


def compared(bijector: str, prop: str, dtype: Any, actual: Array, expected: Array,
             tolerance: Tolerance, condition: float) -> Row:
    """The row for one comparison. An expected zero is compared absolutely."""
    found = difference(actual, expected, dtype)
    relative = found.relative
    if not np.abs(expected).max(initial=0.0):
        relative = float(np.abs(np.asarray(actual, dtype=np.float64)).max(initial=0.0))
    return Row(bijector, prop, np.dtype(dtype).name, found.ulps if relative else 0.0, relative,
               tolerance.relative, tolerance.reason, condition)


def compared_by_element(bijector: str, prop: str, actual: Array, expected: Array,
                        rule: Callable[[float], Tolerance], conditions: Array) -> Row | None:
    """The row for the number that is off by the largest share of its tolerance.

    Numbers whose tolerance is above LARGEST_USEFUL only have to be finite.

    Args:
      bijector, prop: for the row.
      actual, expected: of one shape.
      rule: kappa -> the tolerance, which is in proportion to it.
      conditions: kappa of each number.

    Returns:
      None if no number could be judged, and all are finite.
    """
    errors = element_differences(actual, expected, actual.dtype)
    useful = (rule(1.0).relative * conditions < LARGEST_USEFUL) | ~np.isfinite(errors)
    if not useful.any():
        return None
    shares = np.where(useful, errors / conditions, -1.0)
    worst = np.unravel_index(int(np.argmax(shares)), shares.shape)
    kappa, error = float(conditions[worst]), float(errors[worst])
    tolerance = rule(kappa)
    return Row(bijector, prop, actual.dtype.name, error / float(np.finfo(actual.dtype).eps), error,
               tolerance.relative, tolerance.reason, kappa)


def worst_of(rows: list[Row]) -> list[Row]:
    """The worst row for each bijector, property and dtype, in order of first appearance.

    Its `count` says how many rows it stands for; the worst is that with the largest share of its
    tolerance.
    """
    groups: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        groups.setdefault((row.bijector, row.prop, row.dtype), []).append(row)
    return [Row(**(asdict(max(group, key=worst_first)) | {"count": sum(r.count for r in group)}))
            for group in groups.values()]


def worst_first(row: Row) -> float:
    """What the worst row is the largest by: the share of its tolerance; NaN is the worst."""
    return largest_first(row.severity)


def largest_first(share: float) -> float:
    """What the worst share of a tolerance is the largest by: NaN is the worst."""
    return float("inf") if np.isnan(share) else share
