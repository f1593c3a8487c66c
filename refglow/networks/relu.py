"""ReLU: y = max(x, 0), elementwise.

Source: keras.activations.relu.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from refglow.cotangents import Tangents
from refglow.dtypes import Array, as_array
from refglow.elementary import is_positive
from refglow.elementary import relu as relu
from refglow.networks.differentiable import as_shaped
from refglow.networks.network import Network, Pullback

# y = x where x > 0, else 0: dy/dx is 1 or 0. At x = 0, where there is no derivative, it is taken to
# be 0, as the field does. Since y > 0 exactly where x > 0, the output decides as well as the input,
# and only one of the two need be kept. For complex x the real part decides, as it does in relu
# itself. The product with the 0s and 1s needs no branches: for signs without a pattern it takes a
# tenth of the time of a choice.


def relu_vjp(x: Array, y_bar: Array) -> Array:
    """x_bar = y_bar * [x > 0], where [...] is 1 if true and 0 if not.

    Args:
      x: [...], relu's input, or (which gives the same) its output; any number type.
      y_bar: the cotangent of the output, of that shape.

    Returns:
      x_bar, of the shape and number type of y_bar. Where y_bar is infinite and x <= 0 it is NaN.

    Source: as the module.
    """
    x_bar = is_positive(x).astype(y_bar.dtype)
    x_bar *= y_bar
    return x_bar


def relu_jvp(x: Array, x_dot: Array) -> Array:
    """y_dot = x_dot * [x > 0]: the derivative is a diagonal matrix, its own transpose.

    Args:
      x: as for `relu_vjp`.
      x_dot: the tangent of the input, of that shape.

    Returns:
      y_dot, of the shape and number type of x_dot.

    Source: as the module.
    """
    return relu_vjp(x, x_dot)


class ReLU(Network):
    """The rectifier."""

    def __call__(self, x: Any) -> Array:
        """max(x, 0)."""
        return relu(x)

    def vjp(self, x: Any) -> tuple[Array, Pullback]:
        """See Network."""
        y = relu(as_array(x, None, "ReLU", "x"))

        def pullback(y_bar: Any) -> tuple[Array, dict[str, Array]]:
            return relu_vjp(y, as_shaped(y_bar, y.shape, y.real.dtype, "ReLU", "output_bar")), {}
        return y, pullback

    def jvp(self, x: Any, x_dot: Any,
            param_dots: Mapping[str, Any] | None = None) -> tuple[Array, Array]:
        """See Network."""
        Tangents.named(self, param_dots, "ReLU")
        y = relu(as_array(x, None, "ReLU", "x"))
        return y, relu_jvp(y, as_shaped(x_dot, y.shape, y.real.dtype, "ReLU", "x_dot"))

    def config(self) -> dict[str, Any]:
        """No arguments."""
        return {}
