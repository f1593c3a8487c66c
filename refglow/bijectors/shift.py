"""Shift.

    forward   y = x + shift          fldj = 0
    inverse   x = y - shift          ildj = 0

Source: tfp.bijectors.Shift.
"""

from __future__ import annotations

from typing import Any

from refglow.array_library import zeros
from refglow.bijectors.op import Op, OpBijector
from refglow.cotangents import unbroadcast
from refglow.dtypes import Array, rounded, widened
from refglow.parameter import parameter, parameter_dtype, shown


def shift_forward(x: Array, shift: Array) -> tuple[Array, Array]:
    """(x + shift, 0).

    Args:
      x: [...], any number type.
      shift: broadcasts against x.

    Returns:
      y of the broadcast shape; the log-det 0 of every element, a scalar of x's dtype, in nats.

    Source: as the module.
    """
    return x + shift, zeros((), x)


def shift_inverse(y: Array, shift: Array) -> tuple[Array, Array]:
    """(y - shift, 0).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return y - shift, zeros((), y)


# ---- derivatives ------------------------------------------------------------------------------
#
# y_i = x_i + s has dy = dx + ds, and the log-det 0 does not change. Transposed, with the sum over
# all elements that share one s:
#     x_bar = y_bar,    s_bar = sum y_bar
# The inverse x = y - s has dx = dy - ds:
#     y_bar = x_bar,    s_bar = -sum x_bar


def shift_forward_vjp(x: Array, shift: Array, y_bar: Array,
                      fldj_bar: Array) -> tuple[Array, Array]:
    """(x_bar, shift_bar) = (y_bar, sum y_bar).

    Args:
      x, shift: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the broadcast shape; shift_bar of the shape of shift.

    Source: the derivation above.
    """
    return y_bar, rounded(unbroadcast(widened(y_bar), shift.shape), x, shift, y_bar)


def shift_inverse_vjp(x: Array, shift: Array, x_bar: Array,
                      ildj_bar: Array) -> tuple[Array, Array]:
    """(y_bar, shift_bar) = (x_bar, -sum x_bar).

    Args:
      x: the result of the inverse.
      shift: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the broadcast shape; shift_bar of the shape of shift.

    Source: the derivation above.
    """
    return x_bar, rounded(-unbroadcast(widened(x_bar), shift.shape), x, shift, x_bar)


def shift_forward_jvp(x: Array, shift: Array, x_dot: Array,
                      shift_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (x_dot + shift_dot, 0).

    Args:
      x, shift: as for the forward function.
      x_dot, shift_dot: their tangents.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return x_dot + shift_dot, zeros((), x)


def shift_inverse_jvp(x: Array, shift: Array, y_dot: Array,
                      shift_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot - shift_dot, 0).

    Args:
      x: the result of the inverse.
      shift: as for the inverse function.
      y_dot, shift_dot: the tangents of its arguments.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return y_dot - shift_dot, zeros((), x)


SHIFT = Op(shift_forward, shift_inverse, shift_forward_vjp, shift_inverse_vjp,
           shift_forward_jvp, shift_inverse_jvp)


class Shift(OpBijector):
    """Adds `shift`."""

    def __init__(self, shift: Any, validate_args: bool = False, name: str = "shift") -> None:
        """Build it.

        Args:
          shift: number, array or Variable; broadcasts against the input.
          validate_args: whether to check that inputs are finite.
          name: its name.
        """
        self._shift = parameter(shift, name, "shift")
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True,
                         validate_args=validate_args, dtype=parameter_dtype(self._shift),
                         members={"shift": self._shift}, name=name,
                         parameters=dict(shift=shift, validate_args=validate_args, name=name))

    @property
    def shift(self) -> Any:
        """What is added."""
        return shown(self._shift)

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        return {"shift": (self._shift, 0)}

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return SHIFT, (self._shift,), ()
