"""Permute: the elements along one dimension in another order.

    forward   y[..., i] = x[..., permutation[i]]          fldj = 0
    inverse   x[..., permutation[i]] = y[..., i]          ildj = 0

Source: tfp.bijectors.Permute.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.array_library import asarray, zeros
from refglow.bijectors.op import Op, OpBijector
from refglow.dtypes import Array
from refglow.event_shape import EventShape
from refglow.parameter import at
from refglow.variable import Variable, value_of


def permute_forward(x: Array, permutation: Array, axis: int) -> tuple[Array, Array]:
    """(x gathered by `permutation` along `axis`, 0).

    Args:
      x: [...], any dtype, with n elements along `axis`.
      permutation: ints 0..n-1, each once, [n].
      axis: a dimension of x.

    Returns:
      y of the shape of x; the log-det 0 of one event, a scalar, in nats.

    Source: as the module.
    """
    return np.take(x, permutation, axis=axis), zeros((), x)


def permute_inverse(y: Array, permutation: Array, axis: int) -> tuple[Array, Array]:
    """(y with that undone, 0).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return np.take(y, np.argsort(permutation), axis=axis), zeros((), y)


# ---- derivatives ------------------------------------------------------------------------------
#
# y holds the elements of x in other places, y = P x with a permutation matrix P, and the log-det 0
# does not change. P is orthogonal, so the transposed map, which takes cotangents back, is the
# inverse; and a linear map takes tangents as it takes values:
#     x_bar = P^T y_bar = P^-1 y_bar,    y_bar = P x_bar,    dy = P dx,    dx = P^-1 dy


def permute_forward_vjp(x: Array, permutation: Array, axis: int, y_bar: Array,
                        fldj_bar: Array) -> Array:
    """x_bar = y_bar, put back where it came from.

    Args:
      x, permutation, axis: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return permute_inverse(y_bar, permutation, axis)[0]


def permute_inverse_vjp(x: Array, permutation: Array, axis: int, x_bar: Array,
                        ildj_bar: Array) -> Array:
    """y_bar = x_bar, put back where it came from.

    Args:
      x: the result of the inverse.
      permutation, axis: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of y.

    Source: the derivation above.
    """
    return permute_forward(x_bar, permutation, axis)[0]


def permute_forward_jvp(x: Array, permutation: Array, axis: int,
                        x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (x_dot rearranged as x is, 0).

    Args:
      x, permutation, axis: as for the forward function.
      x_dot: the tangent of x.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return permute_forward(x_dot, permutation, axis)


def permute_inverse_jvp(x: Array, permutation: Array, axis: int,
                        y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot rearranged as y is, 0).

    Args:
      x: the result of the inverse.
      permutation, axis: as for the inverse function.
      y_dot: the tangent of y.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return permute_inverse(y_dot, permutation, axis)


PERMUTE = Op(permute_forward, permute_inverse, permute_forward_vjp, permute_inverse_vjp,
             permute_forward_jvp, permute_inverse_jvp)


def check_permutation(array: Array) -> None:
    """Raise unless `array` holds each of 0..n-1 once (in its last dimension).

    Args:
      array: ints, [..., n].

    Raises:
      TypeError: if it does not hold integers.
      ValueError: if a number is missing or occurs twice.

    Source: as the module.
    """
    if array.dtype.kind not in "iu":
        raise TypeError(f"permutation must hold integers; got {array.dtype}.")
    if array.ndim < 1 or not np.array_equal(np.sort(array, axis=-1),
                                            np.broadcast_to(np.arange(array.shape[-1], like=array),
                                                            array.shape)):
        raise ValueError(f"permutation must hold each of 0..n-1 once; got {array}.")


def checked_permutation(value: Any, name: str) -> Any:
    """`value` (kept if a Variable, to which only permutations can then be assigned), checked.

    Args:
      value: array-like or Variable of ints, [..., n].
      name: the bijector's, for messages.

    Returns:
      the Variable, or an array of the same shape.

    Raises:
      TypeError, ValueError: as for `check_permutation`.

    Source: as the module.
    """
    array = asarray(value_of(value))
    try:
        check_permutation(array)
    except (TypeError, ValueError) as error:
        raise type(error)(f"{name}: {error}") from None
    if not isinstance(value, Variable):
        return array
    value.require(check_permutation)
    return value


class Permute(OpBijector):
    """Permutes the elements along a dimension."""

    def __init__(self, permutation: Any, axis: int = -1, validate_args: bool = False,
                 name: str = "permute") -> None:
        """Build it.

        Args:
          permutation: ints 0..n-1, each once: array or Variable, shape [n].
          axis: the dimension, counted from the end (negative).
          validate_args: whether to check that inputs are finite.
          name: its name.

        Raises:
          TypeError, ValueError: if `permutation` is not one.
          NotImplementedError: if axis is not negative.
        """
        if axis >= 0:
            raise NotImplementedError(f"{name}: axis must be negative; got {axis}.")
        self._permutation, self._axis = checked_permutation(permutation, name), axis
        super().__init__(forward_min_event_ndims=-axis, is_constant_jacobian=True,
                         validate_args=validate_args, name=name,
                         members={"permutation": self._permutation},
                         parameters=dict(permutation=permutation, axis=axis,
                                         validate_args=validate_args, name=name))

    @property
    def permutation(self) -> Any:
        """The permutation."""
        return self._permutation

    @property
    def axis(self) -> int:
        """The dimension, counted from the end."""
        return self._axis

    @property
    def is_permutation(self) -> bool:
        """True."""
        return True

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        self._check_length(array.shape)
        return PERMUTE, (), (at(self._permutation, array), self._axis)

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        self._check_length(shape)
        return shape

    _inverse_event_shape = _forward_event_shape

    def _check_length(self, shape: tuple[int | None, ...]) -> None:
        if shape[self._axis] not in (None, len(self._permutation)):
            raise ValueError(f"{self.name}: dimension {self._axis} has {shape[self._axis]} "
                             f"elements; the permutation has {len(self._permutation)}.")
