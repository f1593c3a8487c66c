"""Identity.

    forward   y = x          fldj = 0
    inverse   x = y          ildj = 0

Source: tfp.bijectors.Identity.
"""

from __future__ import annotations

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import Array


def identity_forward(x: Array) -> tuple[Array, Array]:
    """(x, 0).

    Args:
      x: [...], any number type.

    Returns:
      x itself; the log-det 0 of every element, a scalar of x's dtype, in nats.

    Source: as the module.
    """
    return x, np.zeros((), dtype=x.dtype)


def identity_inverse(y: Array) -> tuple[Array, Array]:
    """(y, 0).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return y, np.zeros((), dtype=y.dtype)


class Identity(Bijector):
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

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return identity_forward(x)

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return identity_inverse(y)
