"""Transpose: the dimensions of an event in another order.

    forward   y[i_perm(0), i_perm(1), ...] = x[i_0, i_1, ...]          fldj = 0
    inverse   the same with the inverse permutation                    ildj = 0

Source: tfp.bijectors.Transpose.
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from refglow.array_library import zeros
from refglow.bijectors.op import Op, OpBijector
from refglow.dtypes import Array
from refglow.event_shape import EventShape


def transpose_forward(x: Array, perm: Sequence[int]) -> tuple[Array, Array]:
    """(x with its last len(perm) dimensions permuted as np.transpose does, 0).

    Args:
      x: [batch..., s_0, ..., s_{n-1}], any dtype.
      perm: a permutation of 0..n-1.

    Returns:
      y: [batch..., s_perm[0], ...]; the log-det 0 of one event, a scalar, in nats.

    Raises:
      ValueError: if `perm` is no permutation, or longer than x has dimensions.

    Source: as the module.
    """
    batch = x.ndim - len(perm)
    return np.transpose(x, [*range(batch), *(batch + p for p in perm)]), zeros((), x)


def transpose_inverse(y: Array, perm: Sequence[int]) -> tuple[Array, Array]:
    """(y with that undone, 0).

    Args, Returns, Raises: as for the forward function, with y for x.

    Source: as the module.
    """
    return transpose_forward(y, [int(p) for p in np.argsort(perm)])


# ---- derivatives ------------------------------------------------------------------------------
#
# y holds the elements of x in other places, y = P x with a permutation matrix P, and the log-det 0
# does not change. P is orthogonal, so the transposed map, which takes cotangents back, is the
# inverse; and a linear map takes tangents as it takes values:
#     x_bar = P^T y_bar = P^-1 y_bar,    y_bar = P x_bar,    dy = P dx,    dx = P^-1 dy


def transpose_forward_vjp(x: Array, perm: Sequence[int], y_bar: Array, fldj_bar: Array) -> Array:
    """x_bar = y_bar, put back where it came from.

    Args:
      x, perm: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return transpose_inverse(y_bar, perm)[0]


def transpose_inverse_vjp(x: Array, perm: Sequence[int], x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = x_bar, put back where it came from.

    Args:
      x: the result of the inverse.
      perm: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of y.

    Source: the derivation above.
    """
    return transpose_forward(x_bar, perm)[0]


def transpose_forward_jvp(x: Array, perm: Sequence[int], x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (x_dot rearranged as x is, 0).

    Args:
      x, perm: as for the forward function.
      x_dot: the tangent of x.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return transpose_forward(x_dot, perm)


def transpose_inverse_jvp(x: Array, perm: Sequence[int], y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot rearranged as y is, 0).

    Args:
      x: the result of the inverse.
      perm: as for the inverse function.
      y_dot: the tangent of y.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return transpose_inverse(y_dot, perm)


TRANSPOSE = Op(transpose_forward, transpose_inverse, transpose_forward_vjp, transpose_inverse_vjp,
               transpose_forward_jvp, transpose_inverse_jvp)


class Transpose(OpBijector):
    """Permutes the trailing dimensions."""

    def __init__(self, perm: Any = None, rightmost_transposed_ndims: int | None = None,
                 validate_args: bool = False, name: str = "transpose") -> None:
        """Build it from exactly one of the first two arguments.

        Args:
          perm: a permutation of 0..n-1, meaning the last n dimensions.
          rightmost_transposed_ndims: n, to reverse the last n dimensions.
          validate_args: whether to check that inputs are finite.
          name: its name.

        Raises:
          TypeError: if perm does not hold integers.
          ValueError: if neither or both are given, or perm is no permutation.
        """
        if (perm is None) == (rightmost_transposed_ndims is None):
            raise ValueError(f"{name}: give exactly one of perm and rightmost_transposed_ndims.")
        if rightmost_transposed_ndims is not None:
            if rightmost_transposed_ndims < 0:
                raise ValueError(f"{name}: rightmost_transposed_ndims must not be negative; "
                                 f"got {rightmost_transposed_ndims}.")
            self._perm = list(range(rightmost_transposed_ndims))[::-1]
        else:
            self._perm = [operator.index(p) for p in np.asarray(perm).reshape(-1)]
        if sorted(self._perm) != list(range(len(self._perm))):
            raise ValueError(f"{name}: perm must be a permutation of 0..n-1; got {perm}.")
        super().__init__(forward_min_event_ndims=len(self._perm), is_constant_jacobian=True,
                         validate_args=validate_args, name=name,
                         parameters=dict(perm=perm, validate_args=validate_args, name=name,
                                         rightmost_transposed_ndims=rightmost_transposed_ndims))

    @property
    def perm(self) -> list[int]:
        """The permutation of the last dimensions."""
        return list(self._perm)

    @property
    def rightmost_transposed_ndims(self) -> int:
        """How many dimensions are permuted."""
        return len(self._perm)

    @property
    def is_permutation(self) -> bool:
        """True."""
        return True

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return TRANSPOSE, (), (self._perm,)

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        return self._permuted(shape, self._perm)

    def _inverse_event_shape(self, shape: EventShape) -> EventShape:
        return self._permuted(shape, [int(p) for p in np.argsort(self._perm)])

    def _permuted(self, shape: EventShape, perm: list[int]) -> EventShape:
        outer = shape.rank - len(perm)
        return EventShape([*shape[:outer], *(shape[outer + p] for p in perm)])
