"""Errors, and the digits they leave, as a report shows them."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from refglow.validation.implementations.digits import allowed_digits, digits
from refglow.validation.row import Row


@dataclass(frozen=True)
class Figures:
    """One comparison in numbers.

    Attributes:
      error: the largest, relative to the largest number of the array.
      tolerance: the largest error that passes.
      ulps: the same error in ulps of the largest number.
      passed: whether it is within the tolerance.
    """

    error: float
    tolerance: float
    ulps: float
    passed: bool

    @classmethod
    def of(cls, row: Row) -> Figures:
        """Those of a row."""
        return cls(row.relative, row.tolerance, row.ulps, row.passed)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


@dataclass(frozen=True)
class Digits:
    """Decimal digits.

    Attributes:
      agree: to which a result agrees with the truth.
      required: from which on it passes.
      allowed: to which the weights let anyone compute it: as many as are left of the type's where
        roundings of inputs and parameters grow by the condition.
    """

    agree: float
    required: float
    allowed: float

    @classmethod
    def of(cls, row: Row) -> Digits:
        """Those of a row."""
        return cls(digits(row.relative, row.dtype), digits(row.tolerance, row.dtype),
                   allowed_digits(row.condition, row.dtype))

    def as_dict(self) -> dict[str, float]:
        """For JSON."""
        return asdict(self)


def of_tolerance(share: float) -> str:
    """error / tolerance in words: "0.21 of its tolerance", "3.2e+13 times its tolerance"."""
    if not math.isfinite(share):
        return "not finite"
    return f"{share:.2g} {'of' if share <= 1 else 'times'} its tolerance"
