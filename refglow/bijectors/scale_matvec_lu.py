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

from refglow.array_library import asarray, to_host
from refglow.bijectors.op import Op, OpBijector
from refglow.bijectors.permute import checked_permutation
from refglow.cotangents import unbroadcast
from refglow.dtypes import Array, rounded, widened
from refglow.elementary import is_negative, is_positive, log_absolute
from refglow.event_shape import EventShape
from refglow.parameter import at, parameter, parameter_dtype, shown
from refglow.variable import Variable, value_of


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
    _, x = _solutions(widened(lower_upper), permutation, widened(y))
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
    lower = np.tril(lower_upper, -1) + _identity(lower_upper)
    return _permuted_rows(lower @ np.triu(lower_upper), permutation)


def _identity(like: Array) -> Array:
    """The identity matrix of the size and number type of a square matrix, where that is."""
    return np.diag(np.ones_like(like, shape=like.shape[-1:]))


def _permuted_rows(product: Array, permutation: Array) -> Array:
    """P times the matrix: row i becomes row p[i]."""
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
    return asarray(log_absolute(diagonal).sum(axis=-1), diagonal.dtype)


def _matvec(matrix: Array, x: Array) -> Array:
    """matrix @ x over the last dimension of x; a product for each row of pixels, if one matrix.

    Of each row by itself, so that an image's numbers are the same bits in whatever batch it comes:
    BLAS may sum in another order for another number of vectors.
    """
    if matrix.ndim == 2:
        return asarray(x @ matrix.T)
    return asarray(np.matmul(matrix, x[..., None])[..., 0])


def _solutions(lower_upper: Array, permutation: Array, y: Array) -> tuple[Array, Array]:
    """u with P L u = y, and x with U x = u."""
    u = _solve_unit_lower(lower_upper, _unpermuted(permutation, lower_upper, y))
    return u, _solve_upper(lower_upper, u)


def _unpermuted(permutation: Array, lower_upper: Array, y: Array) -> Array:
    """P^T y, of the broadcast shape: (P^T y)[i] = y[p[i]]."""
    shape = np.broadcast_shapes(lower_upper.shape[:-1], permutation.shape, y.shape)
    return np.take_along_axis(np.broadcast_to(y, shape), np.broadcast_to(permutation, shape),
                              axis=-1)


def _solve_unit_lower(lower_upper: Array, rhs: Array) -> Array:
    """v with L v = rhs: v_k = rhs_k - sum_{j<k} L_kj v_j, one channel after the other."""
    v = _unknowns(lower_upper, rhs)
    for k in range(1, rhs.shape[-1]):
        v[..., k] -= _row_times(lower_upper[..., k, :k], v[..., :k])
    return v


def _solve_upper(lower_upper: Array, rhs: Array) -> Array:
    """x with U x = rhs: x_k = (rhs_k - sum_{j>k} U_kj x_j) / U_kk, from the last channel back."""
    x = _unknowns(lower_upper, rhs)
    for k in reversed(range(rhs.shape[-1])):
        x[..., k] -= _row_times(lower_upper[..., k, k + 1:], x[..., k + 1:])
        x[..., k] /= lower_upper[..., k, k]
    return x


def _unknowns(lower_upper: Array, rhs: Array) -> Array:
    """A copy of rhs, in a number type that can hold the solution: complex where a factor is."""
    return rhs.astype(np.result_type(lower_upper, rhs), order="C")


def _row_times(row: Array, v: Array) -> Array:
    """sum_j row_j v_j over the last dimension."""
    return v @ row if row.ndim == 1 else (row * v).sum(axis=-1)


# ---- derivatives ------------------------------------------------------------------------------
#
# y = W x.  dy = W dx + dW x, so with the sum over all vectors x that one matrix multiplies
#     x_bar = W^T y_bar,    W_bar = sum y_bar x^T                                             (1)
#
# From W to its packed factors.  W = P L U gives P^T dW = dL U + L dU. With M = P^T W_bar, that is
# M[i] = W_bar[p[i]], the inner product <W_bar, dW> is
#     <M, dL U + L dU> = <M U^T, dL> + <L^T M, dU>
# dL lives strictly below the diagonal (L's ones are constants), dU on and above it:
#     lower_upper_bar = strict_lower(M U^T) + upper(L^T M) + diag(fldj_bar / U_ii)            (2)
# the last term because fldj = sum_i log|U_ii|.
#
# x = W^-1 y by two substitutions, u = L^-1 P^T y and x = U^-1 u.  P^T y = L u and u = U x give
# du = L^-1 (P^T dy - dL u) and dx = U^-1 (du - dU x). With
#     v = U^-T x_bar,    w = L^-T v,                  two more substitutions, transposed
# the inner product <x_bar, dx> is <w, P^T dy> - <w, dL u> - <v, dU x>, so
#     y_bar = P w,   lower_upper_bar = -strict_lower(sum w u^T) - upper(sum v x^T)
#                                      - diag(ildj_bar / U_ii)                                (3)
# (2) with W_bar = -sum y_bar x^T is the same in exact arithmetic, but L^T M multiplies w = L^-T v
# by L^T again, and M U^T sums the terms of U x after w has multiplied them: where W^-1 is much
# larger than 1 / W, these products cancel, and digits go that the gradient's condition leaves.
#
# Forward mode, from the same equations:
#     x_dot = U^-1 (L^-1 (P^T y_dot - L_dot u) - U_dot x)                                     (4)
#
# Why from y. u = U x could be had from the x that was returned. But that is rounded: it is off by
# eps |x|, and U times that is off by up to
#     eps |U| |x| = eps |U| |U^-1 u|,      which is cond(U) eps of u.
# Such digits the gradient need not lose. With respect to L, it depends on u, not on x; and
# substitution solves exactly some P (L + dL) u = y with |dL| <= C eps |L|, so that u from y is off
# by what roundings of L themselves do to it, C eps |L^-1| |L| |u|, which does not depend on U. (In
# float32 it is not even that: substitutions are in float64, and u is not rounded at all.) Where U
# is the matrix of `scalematveclu-growing-24`, whose inverse has numbers up to 2^22, six digits are
# in question. The other sum, of v x^T, takes x as it is, where eps |x| is one rounding.


def scale_matvec_lu_forward_vjp(x: Array, lower_upper: Array, permutation: Array, y_bar: Array,
                                fldj_bar: Array) -> tuple[Array, Array]:
    """(x_bar, lower_upper_bar) by equations (1) and (2).

    Args:
      x, lower_upper, permutation: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the broadcast shape; lower_upper_bar of the shape of lower_upper.

    Source: the derivation above.
    """
    factors, wide_bar = widened(lower_upper), widened(y_bar)
    x_bar = _matvec(np.swapaxes(lu_reconstruct(factors, permutation), -1, -2), wide_bar)
    matrix_bar = _sum_of_outer_products(wide_bar, widened(x), factors, permutation)
    factors_bar = _factors_bar(matrix_bar, fldj_bar, factors, permutation)
    return rounded(x_bar, x, lower_upper, y_bar), rounded(factors_bar, x, lower_upper, y_bar)


def scale_matvec_lu_inverse_vjp(y: Array, lower_upper: Array, permutation: Array, x_bar: Array,
                                ildj_bar: Array) -> tuple[Array, Array]:
    """(y_bar, lower_upper_bar) by equation (3).

    Args:
      y, lower_upper, permutation: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the broadcast shape; lower_upper_bar of the shape of lower_upper.

    Source: the derivation above.
    """
    factors = widened(lower_upper)
    u, x = _solutions(factors, permutation, widened(y))
    shape = np.broadcast_shapes(factors.shape[:-1], permutation.shape, x_bar.shape)
    v = _solve_transposed_upper(factors, np.broadcast_to(widened(x_bar), shape))
    w = _solve_transposed_unit_lower(factors, v)
    inverse = np.broadcast_to(np.argsort(permutation, axis=-1), shape)
    y_bar = np.take_along_axis(w, inverse, axis=-1)  # y_bar[p[i]] = w[i]
    below = _sum_of_outer_products(w, u, factors, permutation)
    above = _sum_of_outer_products(v, x, factors, permutation)
    factors_bar = _packed_bar(-below, -above, -ildj_bar, factors)
    return rounded(y_bar, y, lower_upper, x_bar), rounded(factors_bar, y, lower_upper, x_bar)


def scale_matvec_lu_forward_jvp(x: Array, lower_upper: Array, permutation: Array, x_dot: Array,
                                lower_upper_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (W x_dot + W_dot x, sum_i U_dot_ii / U_ii).

    Args:
      x, lower_upper, permutation: as for the forward function.
      x_dot, lower_upper_dot: their tangents.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    factors, factors_dot = widened(lower_upper), widened(lower_upper_dot)
    y_dot = (_matvec(lu_reconstruct(factors, permutation), widened(x_dot))
             + _matvec(_reconstruct_dot(factors, factors_dot, permutation), widened(x)))
    return rounded(y_dot, x, lower_upper, x_dot, lower_upper_dot), _log_det_dot(
        factors, factors_dot)


def scale_matvec_lu_inverse_jvp(y: Array, lower_upper: Array, permutation: Array, y_dot: Array,
                                lower_upper_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot), by equation (4) and as -sum_i U_dot_ii / U_ii.

    Args:
      y, lower_upper, permutation: as for the inverse function.
      y_dot, lower_upper_dot: the tangents of its arguments.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    factors, factors_dot = widened(lower_upper), widened(lower_upper_dot)
    u, x = _solutions(factors, permutation, widened(y))
    u_dot = _solve_unit_lower(factors, _unpermuted(permutation, factors, widened(y_dot))
                              - _matvec(_lower_dot(factors_dot), u))
    x_dot = _solve_upper(factors, u_dot - _matvec(np.triu(factors_dot), x))
    return rounded(x_dot, y, lower_upper, y_dot, lower_upper_dot), -_log_det_dot(
        factors, factors_dot)


def _sum_of_outer_products(y_bar: Array, x: Array, lower_upper: Array,
                           permutation: Array) -> Array:
    """sum y_bar x^T over all vectors that share a matrix: [C, C], or batched like the matrices."""
    c = x.shape[-1]
    batch = np.broadcast_shapes(lower_upper.shape[:-2], permutation.shape[:-1])
    if not batch:
        return asarray(y_bar.reshape(-1, c).T @ x.reshape(-1, c))
    return unbroadcast(y_bar[..., :, None] * x[..., None, :], (*batch, c, c))


def _factors_bar(matrix_bar: Array, log_det_bar: Array, lower_upper: Array,
                 permutation: Array) -> Array:
    """Equation (2)."""
    rows = np.broadcast_to(permutation[..., None], (*matrix_bar.shape[:-1], 1))
    m = np.take_along_axis(matrix_bar, rows, axis=-2)
    eye = _identity(lower_upper)
    lower, upper = np.tril(lower_upper, -1) + eye, np.triu(lower_upper)
    return _packed_bar(m @ np.swapaxes(upper, -1, -2), np.swapaxes(lower, -1, -2) @ m,
                       log_det_bar, lower_upper)


def _packed_bar(below: Array, above: Array, log_det_bar: Array, lower_upper: Array) -> Array:
    """strict_lower(below) + upper(above) + diag(log_det_bar / U_ii)."""
    packed = np.tril(below, -1) + np.triu(above)
    diagonal = np.diagonal(lower_upper, axis1=-2, axis2=-1)
    log_det_part = _identity(lower_upper) * (
        asarray(log_det_bar)[..., None] / diagonal)[..., None, :]
    return asarray(unbroadcast(packed, lower_upper.shape) + log_det_part)


def _reconstruct_dot(lower_upper: Array, lower_upper_dot: Array, permutation: Array) -> Array:
    """W_dot = P (L_dot U + L U_dot)."""
    eye = _identity(lower_upper)
    product = (_lower_dot(lower_upper_dot) @ np.triu(lower_upper)
               + (np.tril(lower_upper, -1) + eye) @ np.triu(lower_upper_dot))
    return _permuted_rows(product, permutation)


def _lower_dot(lower_upper_dot: Array) -> Array:
    """The tangent of L, whose ones do not move."""
    return np.tril(lower_upper_dot, -1)


def _log_det_dot(lower_upper: Array, lower_upper_dot: Array) -> Array:
    """sum_i U_dot_ii / U_ii."""
    diagonal, diagonal_dot = (np.diagonal(a, axis1=-2, axis2=-1)
                              for a in (lower_upper, lower_upper_dot))
    return asarray((diagonal_dot / diagonal).sum(axis=-1))


def _solve_transposed_upper(lower_upper: Array, rhs: Array) -> Array:
    """v with U^T v = rhs, from the first channel on."""
    v = _unknowns(lower_upper, rhs)
    for k in range(rhs.shape[-1]):
        v[..., k] -= _row_times(lower_upper[..., :k, k], v[..., :k])
        v[..., k] /= lower_upper[..., k, k]
    return v


def _solve_transposed_unit_lower(lower_upper: Array, rhs: Array) -> Array:
    """w with L^T w = rhs, from the last channel back."""
    w = _unknowns(lower_upper, rhs)
    for k in reversed(range(rhs.shape[-1])):
        w[..., k] -= _row_times(lower_upper[..., k + 1:, k], w[..., k + 1:])
    return w


SCALE_MATVEC_LU = Op(scale_matvec_lu_forward, scale_matvec_lu_inverse,
                     scale_matvec_lu_forward_vjp, scale_matvec_lu_inverse_vjp,
                     scale_matvec_lu_forward_jvp, scale_matvec_lu_inverse_jvp, inverse_at="y")


class ScaleMatvecLU(OpBijector):
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

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        self._check_channels(array.shape[-1])
        stored = self._lower_upper
        self._check_invertible(stored.numpy() if isinstance(stored, Variable)
                               else at(stored, array))
        return SCALE_MATVEC_LU, (stored,), (at(self._permutation, array),)

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        self._check_channels(shape[-1])
        return shape

    _inverse_event_shape = _forward_event_shape

    def _check_invertible(self, lower_upper: Array) -> None:
        diagonal = np.diagonal(lower_upper, axis1=-2, axis2=-1)
        zero = ~(is_positive(diagonal) | is_negative(diagonal))
        if lower_upper.dtype != object and zero.any():
            where = ", ".join(str(int(i)) for i in np.unique(np.nonzero(to_host(zero))[-1]))
            raise ValueError(f"{self.name}: the matrix is singular: lower_upper has a zero (or "
                             f"NaN) on its diagonal at channel {where}. It has no inverse and its "
                             "log-determinant is -infinity.")

    def _check_channels(self, channels: int | None) -> None:
        expected = np.shape(value_of(self._lower_upper))[-1]
        if channels is not None and channels != expected:
            raise ValueError(f"{self.name}: inputs have {channels} channels; the matrix is "
                             f"{expected} x {expected}.")
