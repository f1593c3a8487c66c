"""How far apart two results are. One home for the error measures.

    relative    max|a - b| / max|b|                   over the whole array
    ulps        max|a - b| / spacing(max|b|)          spacing: the gap between neighbouring floats

Both are normwise: an element that is small because larger ones cancelled in it is measured against
the larger ones, since no algorithm can know it better. A NaN or infinity in `a` where `b` has
another value counts as an infinite error. Elements by themselves: `element_differences`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array


@dataclass(frozen=True)
class Difference:
    """The difference between a result and what it is held against."""

    relative: float
    ulps: float


def difference(actual: Any, expected: Any, dtype: Any = None) -> Difference:
    """How far `actual` is from `expected`.

    Args:
      actual, expected: arrays of one shape.
      dtype: the number type in whose ulps to count; by default that of `actual`.

    Raises:
      ValueError: if the shapes differ.
    """
    a, b = np.asarray(actual), np.asarray(expected)
    if a.shape != b.shape:
        raise ValueError(f"The result has shape {list(a.shape)}; expected {list(b.shape)}.")
    if a.size == 0:
        return Difference(0.0, 0.0)
    number_type = np.dtype(a.dtype if dtype is None else dtype)
    wide_a, wide_b = _widened(a), _widened(b)
    finite = np.isfinite(wide_b)
    if not np.array_equal(wide_a[~finite], wide_b[~finite], equal_nan=True) or (
            not np.isfinite(wide_a[finite]).all()):
        return Difference(float("inf"), float("inf"))
    if not finite.any():
        return Difference(0.0, 0.0)
    error = float(np.abs(wide_a[finite] - wide_b[finite]).max())
    scale = float(np.abs(wide_b[finite]).max())
    if error == 0:
        return Difference(0.0, 0.0)
    with np.errstate(over="ignore"):  # of a truth that the number type does not reach
        ulp = float(np.spacing(number_type.type(scale)))
    return Difference(error / scale if scale else float("inf"),
                      error / ulp if np.isfinite(ulp) else float("inf"))


def element_differences(actual: Any, expected: Any, dtype: Any) -> Array:
    """|a - b| / max(|b|, tiny) of each element; infinite where one of the two is not finite.

    For maps of one number to one number, where each element is known to as many digits as the
    largest. tiny is the least normal number: below it numbers have an absolute precision.

    Args:
      actual, expected: arrays of one shape.
      dtype: the number type of `actual`.

    Raises:
      ValueError: if the shapes differ.
    """
    a, b = _widened(np.asarray(actual)), _widened(np.asarray(expected))
    if a.shape != b.shape:
        raise ValueError(f"The result has shape {list(a.shape)}; expected {list(b.shape)}.")
    scale = np.maximum(np.abs(b), float(np.finfo(np.dtype(dtype)).tiny))
    with np.errstate(all="ignore"):
        errors = np.abs(a - b) / scale
    return np.where(np.isfinite(a) & np.isfinite(b), errors, np.inf)


def root_mean_square(array: Any) -> float:
    """sqrt(mean |a|^2), in float64 or better."""
    wide = _widened(np.asarray(array))
    return float(np.sqrt((np.abs(wide) ** 2).mean()))


def _widened(array: Array) -> Array:
    wide = np.promote_types(array.dtype, np.float64) if array.dtype.kind in "fc" else np.float64
    return array.astype(wide)
