"""Whether two results agree to rounding, given how much roundings are known to grow in them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from refglow.dtypes import Array
from refglow.validation.compare import difference
from refglow.validation.conditioning import largest_moves, moved_number
from refglow.validation.tolerances import LOOKED_INTO, added_up, agreement

Evaluate = Callable[[Array, Mapping[str, Array]], list[Array]]
LAYERS_OF_A_COUPLING = 4  # that round: its network's convolutions and the affine map


def relative_error(actual: Array, expected: Array) -> float:
    """The largest error over the largest size; infinite where shapes differ, absolute where 0."""
    if np.shape(actual) != np.shape(expected):
        return float("inf")
    found = difference(actual, expected, np.float64).relative
    if np.isinf(found) and not np.abs(expected).max(initial=0.0):
        return float(np.abs(np.asarray(actual, np.float64)).max(initial=0.0))
    return found


def log_det_error(actual: Array, expected: Array, elements: int) -> float:
    """As `relative_error`, for a sum over elements whose terms may cancel.

    Each term log s of a scale near 1 is known to an ulp of 1 only, and the roundings of n terms add
    up to sqrt(n) at random: the error is relative to the sum or to that, whichever is larger. What
    a sum in float64 may be off by, one number after the other, is no error.
    """
    if np.shape(actual) != np.shape(expected):
        return float("inf")
    a, b = np.asarray(actual, np.float64), np.asarray(expected, np.float64)
    finite = np.isfinite(b)
    same_elsewhere = np.array_equal(a[~finite], b[~finite], equal_nan=True)
    if not same_elsewhere or not np.isfinite(a[finite]).all():
        return float("inf")
    size = max(float(np.abs(b[finite]).max(initial=0.0)), math.sqrt(elements))
    errors = np.abs(a[finite] - b[finite]) - added_up(elements) * np.abs(b[finite])
    return max(0.0, float(errors.max(initial=0.0))) / size


def conditions(evaluate: Evaluate, inputs: Array, arrays: Mapping[str, Array]) -> list[float]:
    """kappa of each result of `evaluate(inputs, arrays)` (see `conditioning.py`).

    Args:
      evaluate: of data in float64.
      inputs: [...], float64.
      arrays: parameters by name; integers are left as they are.
    """
    rng = np.random.default_rng(0)

    def moved() -> list[Array]:
        there = {name: moved_number(name, value, rng) if value.dtype.kind == "f" else value
                 for name, value in arrays.items()}
        return evaluate(moved_number("", inputs, rng), there)
    return largest_moves(evaluate(inputs, arrays), moved)


def tolerance(dtype: np.dtype[np.generic], layers: int, condition: float) -> float:
    """The largest relative error that is taken for rounding."""
    return LOOKED_INTO * agreement(dtype, layers, condition).relative
