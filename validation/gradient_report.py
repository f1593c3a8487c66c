"""What `check_gradients` finds: a row for each array, judged by the tolerance that it states."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refglow.dtypes import Array, DType
from refglow.validation.tolerances import (
    LARGEST_USEFUL,
    Tolerance,
    gradient,
    gradient_by_differences,
)

NUDGE = 1e-8  # relative, to measure how much the gradient itself moves
# A gradient that changes by a tenth of itself when x moves by that is the rounding of a zero.
_STABLE = 0.1
# By differences a gradient is told from zero if it is so many times their error; it is taken for
# zero only if they would have seen anything larger than this part of y / x. (A log-likelihood of
# 1e6 in float32 has gradients that drown in its rounding; they are not zero.)
_ABOVE_ERROR = 10.0
_RESOLVED = 1e-8


@dataclass(frozen=True)
class GradientRow:
    """One comparison.

    Attributes:
      array: the array of x that it is about (of y, for values).
      of: what was differentiated, or checked.
      error: relative to the largest number expected; inf where it cannot be told.
      tolerance: the largest error that passes, and why it is that.
      message: what is wrong, for people; empty if nothing is.
    """

    array: str
    of: str
    error: float
    tolerance: Tolerance
    message: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing is wrong."""
        return not self.message


@dataclass(frozen=True)
class GradientReport:
    """All comparisons of one `check_gradients`.

    Attributes:
      method: how J v was computed.
      rows: the comparisons.
    """

    method: str
    rows: tuple[GradientRow, ...]

    @property
    def passed(self) -> bool:
        """Whether all rows passed; never, if there are none."""
        return bool(self.rows) and all(row.passed for row in self.rows)

    def require(self) -> None:
        """Do nothing if all rows passed.

        Raises:
          AssertionError: saying which array is wrong, where, and what was expected.
        """
        if not self.passed:
            raise AssertionError("The gradient is wrong.\n" + "\n".join(
                f"  {row.message}" for row in self.rows if not row.passed)
                + f"\n(derivative of f by {self.method})")

    def __str__(self) -> str:
        width = max(len(row.array) for row in self.rows)
        what = max(len(row.of) for row in self.rows)
        lines = [f"{row.array:{width}}  {row.of:{what}}  error {row.error:7.1e}  tolerance "
                 f"{row.tolerance.relative:7.1e}  {'ok' if row.passed else 'WRONG'}"
                 for row in self.rows]
        wrong = [f"  {row.message}" for row in self.rows if not row.passed]
        verdict = "All agree" if self.passed else "Wrong:"
        return "\n".join([*lines, f"{verdict} (derivative of f by {self.method}).", *wrong])


@dataclass(frozen=True)
class Expectation:
    """What a gradient should be, and how well that is known.

    Attributes:
      values: the expected numbers.
      errors: their estimated errors; 0 if they are exact to rounding.
      terms: the largest sum of the sizes of the terms that a number is the sum of.
      natural: the size of a gradient that would change y by y for a change of x by x.
      nearby: the values if x moves by `NUDGE` of itself; those themselves if not exact.
      count: how many terms are summed.
      dtype: the least precise number type involved.
      exact: whether the values are exact to rounding (else they come from differences).
    """

    values: Array
    errors: Array
    terms: float
    natural: float
    nearby: Array
    count: int
    dtype: DType
    exact: bool

    @property
    def is_zero(self) -> bool:
        """Whether nothing but rounding (or the differences' error) is left of it."""
        scale = _largest(self.values)
        if self.exact:
            return scale == 0 or self._moved > _STABLE
        error = _largest(self.errors)
        return scale <= _ABOVE_ERROR * error and error <= _RESOLVED * self.natural

    @property
    def _moved(self) -> float:
        """By what fraction of itself the gradient moves if x moves by `NUDGE`."""
        return _largest(self.nearby - self.values) / (_largest(self.values) or 1.0)

    @property
    def scale(self) -> float:
        """What errors are relative to: the largest number; `natural` where all are zero."""
        if self.is_zero:
            return self.natural or 1.0
        return _largest(self.values) or float(np.finfo(np.float64).tiny)  # then nothing passes

    @property
    def tolerance(self) -> Tolerance:
        """The largest relative error that passes."""
        condition = 1.0
        if not self.is_zero:
            condition = max(1.0, self.terms / self.scale, self._moved / NUDGE)
        if self.exact:
            return gradient(self.dtype, self.count, condition)
        return gradient_by_differences(self.dtype, self.count, condition,
                                       _largest(self.errors) / self.scale)


def worst_of(actual: Array, expected: Array) -> int:
    """The flat index at which two arrays differ most; the first NaN, if there is one."""
    return int(np.argmax(_errors(actual, expected)))


def judged(array: str, of: str, actual: Array, expectation: Expectation,
           place: str = "", at: tuple[Array, Array] | None = None) -> GradientRow:
    """The row for an array.

    Args:
      array, of: see `GradientRow`.
      actual: the numbers to judge, of the shape of those expected.
      expectation: what they should be.
      place: what to call the worst number; by default its index.
      at: (what is there, what was expected there), for the message; by default of the worst.
    """
    expected, tolerance = expectation.values, expectation.tolerance
    errors = _errors(actual, expected)
    if not errors.size:
        return GradientRow(array, of, 0.0, tolerance)
    worst = np.unravel_index(int(np.argmax(errors)), errors.shape)
    with np.errstate(over="ignore"):
        error = float(errors[worst] / expectation.scale)
    useful = tolerance.relative <= LARGEST_USEFUL
    if error <= tolerance.relative and useful:
        return GradientRow(array, of, error, tolerance)
    there, should = at or (actual[worst], expected[worst])
    place = place or f"index {tuple(map(int, worst))}"
    message = f"{array}, {of}: at {place} it is {there:.9g}, expected {should:.9g}; "
    if error <= tolerance.relative:
        message = (f"{array}, {of}: f in {expectation.dtype} is too inexact to tell its derivative "
                   "(float64 may do); ")
    elif not expectation.is_zero and not np.any(actual):
        message += "it is zero everywhere; "
    relative_to = "y / x, as it should be zero" if expectation.is_zero else "the largest number"
    return GradientRow(array, of, error, tolerance, (
        f"{message}error {error:.2g} of {relative_to}, tolerance {tolerance.relative:.2g} "
        f"({tolerance.reason})."))


def _errors(actual: Array, expected: Array) -> Array:
    """|actual - expected|, infinite for NaN."""
    with np.errstate(invalid="ignore"):
        errors = np.abs(np.asarray(actual, dtype=expected.dtype) - expected)
    return np.asarray(np.where(np.isnan(errors), np.inf, errors))


def _largest(array: Array) -> float:
    return float(np.abs(array).max(initial=0.0))
