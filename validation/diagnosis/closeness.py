"""Whether two results agree to rounding, given how much roundings are known to grow in them."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from refglow.dtypes import Array
from refglow.validation.compare import difference
from refglow.validation.conditioning import DRAWS, largest_moves, moved_number
from refglow.validation.dialects.dialect_glow import DialectGlow, WithOperands
from refglow.validation.dialects.networks import Layers, NetworkConventions, Operands
from refglow.validation.tolerances import LOOKED_INTO, added_up, agreement

Evaluate = Callable[[Array, DialectGlow], list[Array]]
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


def conditions(evaluate: Evaluate, inputs: Array, reference: DialectGlow,
               draws: int = DRAWS) -> list[float]:
    """kappa of each result of `evaluate(inputs, reference)` (see `conditioning.py`).

    What networks give is moved as well. Moves of a sum's terms partly cancel, but the sum itself is
    rounded too, and exp(r + 2) at r = 20 makes twenty of that rounding.

    Args:
      evaluate: of data in float64.
      inputs: [...], float64.
      reference: with the parameters, in float64; integers are left as they are.
      draws: of moves.
    """
    rng = np.random.default_rng(0)

    def moved() -> list[Array]:
        arrays = {name: moved_number(name, value, rng) if value.dtype.kind == "f" else value
                  for name, value in reference.arrays.items()}
        there = replace(reference, arrays=arrays, network=_MovedOutputs(reference.network, rng))
        return evaluate(moved_number("", inputs, rng), there)
    return largest_moves(evaluate(inputs, reference), moved, draws)


@dataclass(frozen=True)
class _MovedOutputs:
    """Networks whose outputs are moved."""

    network: WithOperands
    rng: np.random.Generator

    def __call__(self, x: Array, layers: Layers, conventions: NetworkConventions,
                 operands: Operands) -> Array:
        output: Array = moved_number("", self.network(x, layers, conventions, operands), self.rng)
        return output


def tolerance(dtype: np.dtype[np.generic], layers: int, condition: float) -> float:
    """The largest relative error that is taken for rounding."""
    return LOOKED_INTO * agreement(dtype, layers, condition).relative
