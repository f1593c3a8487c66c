"""The algebra of one small matrix W = P L U on the device: what kernels need of it.

`lower_upper` packs L (its unit diagonal is not stored) and U; `permutation` is p with W[p[i]] =
(L U)[i]. All of it costs O(C^3), nothing beside the pixels, and is done in float64 so that a
float32 kernel is handed a matrix that is rounded once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.kernels.cuda.device import Device
from refglow.kernels.cuda.layout import flat

WIDE = np.float64


def matrix_of(device: Device, lower_upper: Any, permutation: Any) -> Any:
    """W.

    Args:
      device: where the arrays are.
      lower_upper: [C, C], float64.
      permutation: [C], ints.

    Returns:
      [C, C], float64.
    """
    lower, upper = _parts(device, lower_upper)
    return (lower @ upper)[device.xp.argsort(permutation)]


def with_scaled_columns(device: Device, lower_upper: Any, log_scale: Any) -> Any:
    """The packed factors of W diag(exp(log_scale)): its L is the same, its U has scaled columns.

    Args:
      device: where the arrays are.
      lower_upper, log_scale: [C, C] and [C], float64.

    Returns:
      [C, C], float64.
    """
    xp = device.xp
    return xp.tril(lower_upper, -1) + xp.triu(lower_upper) * xp.exp(log_scale)


def log_abs_det(device: Device, lower_upper: Any) -> Any:
    """log|det W| = sum_i log|U_ii|, in nats, [] float64, from [C, C] float64."""
    xp = device.xp
    return xp.log(xp.abs(xp.diagonal(lower_upper))).sum()


# W_bar = sum y_bar x^T, the cotangent of W, becomes that of its packed factors: with M[i] =
# W_bar[p[i]], from <W_bar, dW> = <M, dL U + L dU>, where dL is strictly lower and dU upper,
#
#     lower_upper_bar = strict_lower(M U^T) + upper(L^T M) + diag(log_det_bar / U_ii)


def factors_bar(device: Device, matrix_bar: Any, log_det_bar: Any, lower_upper: Any,
                permutation: Any) -> Any:
    """The cotangent of the packed factors.

    Args:
      device: where the arrays are.
      matrix_bar: that of W, [C, C], float64.
      log_det_bar: that of log|det W|, a number or [].
      lower_upper, permutation: [C, C] float64 and [C] ints.

    Returns:
      [C, C], float64.
    """
    lower, upper = _parts(device, lower_upper)
    m = matrix_bar[permutation]
    return packed_bar(device, m @ upper.T, lower.T @ m, log_det_bar, lower_upper)


def packed_bar(device: Device, below: Any, above: Any, log_det_bar: Any,
               lower_upper: Any) -> Any:
    """strict_lower(below) + upper(above) + diag(log_det_bar / U_ii), all [C, C] float64."""
    xp = device.xp
    return (xp.tril(below, -1) + xp.triu(above)
            + xp.diag(log_det_bar / xp.diagonal(lower_upper)))


@dataclass(frozen=True)
class TriangularFactors:
    """Two triangular systems, one after the other, as triangular_solve's kernels take them.

    Attributes:
      arrays: the factors, transposed and negated, [C * C]; one over the diagonal of the lower and
        of the upper one, [C] each; all in the number type of the pixels.
      source, target: unknown i is read from channel source[i] and written to channel target[i].
      arrival, departure: their inverses: channel c is unknown arrival[c] when it is read, and
        departure[c] when it is written. All four are [C], int64.
    """

    arrays: tuple[Any, Any, Any]
    source: Any
    target: Any
    arrival: Any
    departure: Any


def factors_of_inverse(device: Device, lower_upper: Any, permutation: Any,
                       dtype: np.dtype[Any]) -> TriangularFactors:
    """The systems of W x = y: L v = P^T y, then U x = v; (P^T y)[i] = y[p[i]].

    Args:
      device: where the arrays are.
      lower_upper, permutation: [C, C] float64 and [C] ints.
      dtype: of the pixels.
    """
    ones, reciprocals = _reciprocals(device, lower_upper)
    arrays = _rounded(device, dtype, -lower_upper.T, ones, reciprocals)
    return TriangularFactors(arrays, *_orders(device, permutation, at_source=True))


def factors_of_lower_inverse(device: Device, lower_upper: Any, permutation: Any,
                             dtype: np.dtype[Any]) -> TriangularFactors:
    """The system L u = P^T y; the other one is that of the identity.

    Args: as for `factors_of_inverse`.
    """
    ones, _ = _reciprocals(device, lower_upper)
    arrays = _rounded(device, dtype, -device.xp.tril(lower_upper, -1).T, ones, ones)
    return TriangularFactors(arrays, *_orders(device, permutation, at_source=True))


def factors_of_upper_inverse(device: Device, lower_upper: Any,
                             dtype: np.dtype[Any]) -> TriangularFactors:
    """The system U x = u; the other one is that of the identity.

    Args:
      device: where the arrays are.
      lower_upper: [C, C], float64.
      dtype: of the pixels.
    """
    ones, reciprocals = _reciprocals(device, lower_upper)
    arrays = _rounded(device, dtype, -device.xp.triu(lower_upper, 1).T, ones, reciprocals)
    return TriangularFactors(arrays, *_nowhere_else(device, lower_upper))


def factors_of_transposed_upper_inverse(device: Device, lower_upper: Any,
                                        dtype: np.dtype[Any]) -> TriangularFactors:
    """The system U^T v = x; the other one is that of the identity.

    Args: as for `factors_of_upper_inverse`.
    """
    ones, reciprocals = _reciprocals(device, lower_upper)
    arrays = _rounded(device, dtype, -device.xp.triu(lower_upper, 1), reciprocals, ones)
    return TriangularFactors(arrays, *_nowhere_else(device, lower_upper))


def factors_of_transposed_lower_inverse(device: Device, lower_upper: Any, permutation: Any,
                                        dtype: np.dtype[Any]) -> TriangularFactors:
    """The system L^T w = v, whose solution goes to y[p[i]] = w[i]; the other is the identity's.

    Args: as for `factors_of_inverse`.
    """
    ones, _ = _reciprocals(device, lower_upper)
    arrays = _rounded(device, dtype, -device.xp.tril(lower_upper, -1), ones, ones)
    return TriangularFactors(arrays, *_orders(device, permutation, at_source=False))


def _parts(device: Device, lower_upper: Any) -> tuple[Any, Any]:
    """(L, U)."""
    xp = device.xp
    return xp.tril(lower_upper, -1) + xp.eye(len(lower_upper)), xp.triu(lower_upper)


def _reciprocals(device: Device, lower_upper: Any) -> tuple[Any, Any]:
    diagonal = device.xp.diagonal(lower_upper)
    return device.xp.ones_like(diagonal), 1 / diagonal


def _orders(device: Device, permutation: Any, *, at_source: bool) -> tuple[Any, Any, Any, Any]:
    """(source, target, arrival, departure), with the permutation at the source or at the target."""
    xp = device.xp
    order = permutation.astype(np.int64)
    inverse, same = xp.argsort(order), xp.arange(len(order), dtype=np.int64)
    return (order, same, inverse, same) if at_source else (same, order, same, inverse)


def _nowhere_else(device: Device, lower_upper: Any) -> tuple[Any, Any, Any, Any]:
    """(source, target, arrival, departure) where each channel stays what it is."""
    same = device.xp.arange(len(lower_upper), dtype=np.int64)
    return same, same, same, same


def _rounded(device: Device, dtype: np.dtype[Any], *arrays: Any) -> tuple[Any, Any, Any]:
    first, second, third = (flat(device, array.astype(dtype)) for array in arrays)
    return first, second, third
