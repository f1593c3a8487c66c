"""Identity.

    forward   y = x          fldj = 0
    inverse   x = y          ildj = 0

Source: tfp.bijectors.Identity.
"""

from __future__ import annotations

from typing import Any

from refglow.array_library import zeros
from refglow.bijectors.op import Op, OpBijector
from refglow.dtypes import Array


def identity_forward(x: Array) -> tuple[Array, Array]:
    """(x, 0).

    Args:
      x: [...], any number type.

    Returns:
      x itself; the log-det 0 of every element, a scalar of x's dtype, in nats.

    Source: as the module.
    """
    return x, zeros((), x)


def identity_inverse(y: Array) -> tuple[Array, Array]:
    """(y, 0).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return y, zeros((), y)


# ---- derivatives: the Jacobian is the identity matrix, and the log-det 0 does not change --------


def identity_forward_vjp(x: Array, y_bar: Array, fldj_bar: Array) -> Array:
    """x_bar = y_bar.

    Args:
      x: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x.

    Source: the derivation above.
    """
    return y_bar


def identity_inverse_vjp(x: Array, x_bar: Array, ildj_bar: Array) -> Array:
    """y_bar = x_bar.

    Args:
      x: the result of the inverse.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the shape of x.

    Source: the derivation above.
    """
    return x_bar


def identity_forward_jvp(x: Array, x_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (x_dot, 0).

    Args:
      x, x_dot: as for the forward function, and its tangent.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return x_dot, zeros((), x)


def identity_inverse_jvp(x: Array, y_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (y_dot, 0).

    Args, Returns: as for the forward function's jvp.

    Source: the derivation above.
    """
    return y_dot, zeros((), x)


IDENTITY = Op(identity_forward, identity_inverse, identity_forward_vjp, identity_inverse_vjp,
              identity_forward_jvp, identity_inverse_jvp)


class Identity(OpBijector):
    """The map that changes nothing."""

    def __init__(self, validate_args: bool = False, name: str = "identity") -> None:
        """Build it.

        Args:
          validate_args: whether to check that inputs are finite.
          name: its name.
        """
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True,
                         validate_args=validate_args, name=name,
                         parameters=dict(validate_args=validate_args, name=name))

    @property
    def is_permutation(self) -> bool:
        """True."""
        return True

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return IDENTITY, (), ()
