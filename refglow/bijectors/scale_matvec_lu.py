"""ScaleMatvecLU: multiplication of channel vectors by a matrix kept as its LU factors.

`lower_upper` packs a unit lower triangular L (below the diagonal; its ones are not stored) and an
upper triangular U (diagonal and above) into one C x C array; `permutation` is p with W[p[i]] =
(L U)[i], that is

    W = P L U,      (P v)[p[i]] = v[i]

    forward   y = W x                              fldj = log|det W| = sum_i log|U_ii|
    inverse   x = U^-1 L^-1 P^T y                  ildj = -fldj

The determinant: det P = +-1 and det L = 1, so only the product of U's diagonal remains: O(C) work
in place of O(C^3). The diagonal is signed and free; where it is zero the map is not invertible.

x and y are [..., C], channels last. The inverse is two triangular substitutions, never a product
with an inverted matrix, whose error would grow with the square of the condition number.

Source: Kingma & Dhariwal 2018, section 3.2; tfp.bijectors.ScaleMatvecLU.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.permute import checked_permutation
from refglow.dtypes import Array, rounded, widened
from refglow.elementary import is_negative, is_positive, log_absolute
from refglow.event_shape import EventShape
from refglow.parameter import at, parameter, parameter_dtype, shown
from refglow.variable import value_of


def scale_matvec_lu_forward(x: Array, lower_upper: Array,
                            permutation: Array) -> tuple[Array, Array]:
    """(W x, log|det W|).

    Args:
      x: [..., C], any number type.
      lower_upper: [C, C], or with batch dimensions in front that broadcast against those of x.
      permutation: ints, [C] (or batched alike).

    Returns:
      y of the shape of x (or the broadcast one); the log-det of one vector, a scalar (or batched),
      in nats, in the accumulator type (float64 for float32).

    Source: as the module.
    """
    y = _matvec(lu_reconstruct(widened(lower_upper), permutation), widened(x))
    return rounded(y, x, lower_upper), lu_log_det(lower_upper)


def scale_matvec_lu_inverse(y: Array, lower_upper: Array,
                            permutation: Array) -> tuple[Array, Array]:
    """(W^-1 y, -log|det W|).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    shape = np.broadcast_shapes(lower_upper.shape[:-1], permutation.shape, y.shape)
    rhs = np.take_along_axis(np.broadcast_to(widened(y), shape),
                             np.broadcast_to(permutation, shape), axis=-1)
    factors = widened(lower_upper)
    x = _solve_upper(factors, _solve_unit_lower(factors, rhs))
    return rounded(x, y, lower_upper), -lu_log_det(lower_upper)


def lu_reconstruct(lower_upper: Array, permutation: Array) -> Array:
    """W = P L U.

    Args:
      lower_upper: [..., C, C], any number type.
      permutation: ints, [..., C].

    Returns:
      W: [..., C, C].

    Source: as the module.
    """
    lower = np.tril(lower_upper, -1) + np.eye(lower_upper.shape[-1], dtype=lower_upper.dtype)
    product = lower @ np.triu(lower_upper)
    inverse = np.argsort(permutation, axis=-1)[..., None]
    shape = np.broadcast_shapes(product.shape, inverse.shape)
    return np.take_along_axis(np.broadcast_to(product, shape), np.broadcast_to(inverse, shape), -2)


def lu_log_det(lower_upper: Array) -> Array:
    """log|det W| = sum_i log|U_ii|; for float32 factors in float64, because the terms cancel.

    Args:
      lower_upper: [..., C, C], any number type.

    Returns:
      [...], in nats.

    Source: as the module.
    """
    diagonal = widened(np.diagonal(lower_upper, axis1=-2, axis2=-1))
    return np.asarray(log_absolute(diagonal).sum(axis=-1), dtype=diagonal.dtype)


def _matvec(matrix: Array, x: Array) -> Array:
    """matrix @ x over the last dimension of x; one matrix product if there is one matrix."""
    if matrix.ndim == 2:
        return (x.reshape(-1, x.shape[-1]) @ matrix.T).reshape(x.shape)
    return np.asarray(np.matmul(matrix, x[..., None])[..., 0])


def _solve_unit_lower(lower_upper: Array, rhs: Array) -> Array:
    """v with L v = rhs: v_k = rhs_k - sum_{j<k} L_kj v_j, one channel after the other."""
    v = rhs.copy()
    for k in range(1, rhs.shape[-1]):
        v[..., k] -= _row_times(lower_upper[..., k, :k], v[..., :k])
    return v


def _solve_upper(lower_upper: Array, rhs: Array) -> Array:
    """x with U x = rhs: x_k = (rhs_k - sum_{j>k} U_kj x_j) / U_kk, from the last channel back."""
    x = rhs.copy()
    for k in reversed(range(rhs.shape[-1])):
        x[..., k] -= _row_times(lower_upper[..., k, k + 1:], x[..., k + 1:])
        x[..., k] /= lower_upper[..., k, k]
    return x


def _row_times(row: Array, v: Array) -> Array:
    """sum_j row_j v_j over the last dimension."""
    return v @ row if row.ndim == 1 else (row * v).sum(axis=-1)


class ScaleMatvecLU(Bijector):
    """Multiplies vectors by W = P L U."""

    def __init__(self, lower_upper: Any, permutation: Any, validate_args: bool = False,
                 name: str = "ScaleMatvecLU") -> None:
        """Build it.

        Args:
          lower_upper: the packed factors, [..., C, C]: array or Variable.
          permutation: ints 0..C-1, [..., C]: array or Variable.
          validate_args: whether to check that inputs are finite.
          name: its name.

        Raises:
          TypeError, ValueError: if the shapes do not fit or `permutation` is not one.
        """
        self._lower_upper = parameter(lower_upper, name, "lower_upper")
        self._permutation = checked_permutation(permutation, name)
        shape = np.shape(value_of(self._lower_upper))
        channels = np.shape(value_of(self._permutation))[-1]
        if len(shape) < 2 or shape[-2:] != (channels, channels):
            raise ValueError(f"{name}: a permutation of {channels} channels needs lower_upper of "
                             f"shape [..., {channels}, {channels}]; got {list(shape)}.")
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=True,
                         validate_args=validate_args, dtype=parameter_dtype(self._lower_upper),
                         members={"lower_upper": self._lower_upper,
                                  "permutation": self._permutation}, name=name,
                         parameters=dict(lower_upper=lower_upper, permutation=permutation,
                                         validate_args=validate_args, name=name))

    @property
    def lower_upper(self) -> Any:
        """The packed factors."""
        return shown(self._lower_upper)

    @property
    def permutation(self) -> Any:
        """The permutation of the rows."""
        return self._permutation

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        return {"lower_upper": (self._lower_upper, 2), "permutation": (self._permutation, 1)}

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return scale_matvec_lu_forward(x, *self._checked(x))

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return scale_matvec_lu_inverse(y, *self._checked(y))

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        self._check_channels(shape[-1])
        return shape

    _inverse_event_shape = _forward_event_shape

    def _checked(self, array: Array) -> tuple[Array, Array]:
        """The factors in the number type of `array`, checked to be invertible and to fit."""
        lower_upper, permutation = at(self._lower_upper, array), value_of(self._permutation)
        self._check_channels(array.shape[-1])
        diagonal = np.diagonal(lower_upper, axis1=-2, axis2=-1)
        zero = ~(is_positive(diagonal) | is_negative(diagonal))
        if lower_upper.dtype != object and zero.any():
            where = ", ".join(str(int(i)) for i in np.unique(np.nonzero(zero)[-1]))
            raise ValueError(f"{self.name}: the matrix is singular: lower_upper has a zero (or "
                             f"NaN) on its diagonal at channel {where}. It has no inverse and its "
                             "log-determinant is -infinity.")
        return lower_upper, permutation

    def _check_channels(self, channels: int | None) -> None:
        expected = np.shape(value_of(self._lower_upper))[-1]
        if channels is not None and channels != expected:
            raise ValueError(f"{self.name}: inputs have {channels} channels; the matrix is "
                             f"{expected} x {expected}.")
