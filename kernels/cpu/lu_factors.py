"""The C x C arithmetic of P L U, done once for a call, in float64.

Source: the specification in refglow/bijectors/scale_matvec_lu.py, its equation (2) for the
cotangents of the product, and what (3) for those of its inverse has of the same form.
"""

from __future__ import annotations

import numpy as np

from refglow.kernels.cpu.compiled import compiled
from refglow.kernels.cpu.fused import fma
from refglow.kernels.cpu.layout import Array


@compiled
def is_permutation(order: Array) -> bool:
    """Whether the integers are 0 to C - 1, each of them once."""
    seen = np.zeros(order.size, np.bool_)
    for place in order:
        if place < 0 or place >= order.size or seen[place]:
            return False
        seen[place] = True
    return True


@compiled
def scaled_product(factors: Array, order: Array, scale: Array) -> Array:
    """P L U diag(scale): row i of L U is row order[i] of P L U.

    Args:
      factors: L and U packed, float64 [C, C].
      order: p, a permutation, ints [C].
      scale: float64 [C].
    """
    channels = len(factors)
    matrix = np.zeros((channels, channels))
    for i in range(channels):
        row = matrix[order[i]]
        for k in range(i + 1):
            left = 1.0 if k == i else factors[i, k]
            right = factors[k]
            for j in range(k, channels):
                row[j] = fma(left, right[j], row[j])
        for j in range(channels):
            row[j] *= scale[j]
    return matrix


def log_absolute_determinant(factors: Array) -> np.float64:
    """log|det W| = sum_i log|U_ii|, in nats.

    Args:
      factors: packed, float64 [C, C].
    """
    return np.float64(np.log(np.abs(factors.diagonal())).sum())


def factors_cotangent(matrix_bar: Array, factors: Array, order: Array,
                      log_det_bar: Array) -> Array:
    """strict_lower(M U^T) + upper(L^T M) + diag(log_det_bar / U_ii), with M = P^T W_bar.

    Args:
      matrix_bar: W_bar, float64 [C, C].
      factors: packed, float64 [C, C].
      order: p, a permutation, ints [C].
      log_det_bar: the cotangent of log|det W|, a scalar.
    """
    lower, upper = _unpacked(factors)
    m = matrix_bar[order]
    return packed_cotangent(m @ upper.T, lower.T @ m, factors, float(log_det_bar))


@compiled
def _unpacked(factors: Array) -> tuple[Array, Array]:
    """(L, U), each with its zeros, and L with its ones."""
    lower, upper = np.eye(len(factors)), np.zeros(factors.shape)
    for i in range(len(factors)):
        lower[i, :i] = factors[i, :i]
        upper[i, i:] = factors[i, i:]
    return lower, upper


@compiled
def packed_cotangent(below: Array, above: Array, factors: Array, log_det_bar: float) -> Array:
    """strict_lower(below) + upper(above) + diag(log_det_bar / U_ii).

    Args:
      below, above: float64 [C, C].
      factors: packed, float64 [C, C].
      log_det_bar: the cotangent of log|det W|.
    """
    packed = np.empty(factors.shape)
    for i in range(len(factors)):
        for j in range(len(factors)):
            packed[i, j] = (below if j < i else above)[i, j] + 0.0  # a zero without a sign
        packed[i, i] += log_det_bar / factors[i, i]
    return packed
