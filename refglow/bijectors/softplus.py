"""Softplus, with softness c (default 1) and lower bound `low` (default 0).

    forward   y = c * log(1 + exp(x/c)) + low          fldj = log g(x/c),  g(t) = 1/(1 + exp(-t))
    inverse   x = c * log(exp((y - low)/c) - 1)
              computed as u + log(1 - exp(-u)) with u = (y - low)/c, which cannot overflow
              ildj = -log g(x/c)                       rather than -log(1 - exp(-u)), whose
                                                       argument rounds to 1 for large u

Source: tfp.bijectors.Softplus.
"""

from __future__ import annotations

from typing import Any

from refglow.array_library import asarray
from refglow.bijectors.op import Op, OpBijector
from refglow.cotangents import unbroadcast
from refglow.dtypes import Array, common_dtype, rounded, widened
from refglow.elementary import absolute, expm1, is_positive, log, log_sigmoid, sigmoid, softplus
from refglow.parameter import at, parameter, parameter_dtype, shown
from refglow.variable import value_of


def softplus_forward(x: Array, hinge_softness: Array, low: Array) -> tuple[Array, Array]:
    """(c log(1 + e^(x/c)) + low, log g(x/c)), elementwise, with c = hinge_softness.

    Args:
      x: [...], any number type.
      hinge_softness, low: broadcast against x; hinge_softness is not zero.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of x/c, in nats.

    Source: as the module.
    """
    t = x / hinge_softness
    return hinge_softness * softplus(t) + low, log_sigmoid(t)


def softplus_inverse(y: Array, hinge_softness: Array, low: Array) -> tuple[Array, Array]:
    """(c log(e^((y - low)/c) - 1), -log g(x/c)), elementwise, for (y - low)/c > 0.

    Args: as for the forward function, with y for x.

    Returns:
      x and the log-det of each element in nats, both of the broadcast shape.

    Source: as the module.
    """
    u = (y - low) / hinge_softness
    t = u + log(-expm1(-u))
    return hinge_softness * t, -log_sigmoid(t)


# ---- derivatives ------------------------------------------------------------------------------
#
# With t = x/c, so dt = (dx - t dc) / c; f(t) = log(1 + e^t), whose derivative is g(t); l = low.
# y = c f(t) + l and fldj = log g(t), where (log g)'(t) = g(-t), have
#     dy = g(t) dx + h dc + dl,    h = f(t) - t g(t)
#     dfldj = g(-t) (dx - t dc) / c
# h cancels for large t. It is an even function of t (f(-t) = f(t) - t, g(-t) = 1 - g(t)), the
# entropy of a coin that shows heads with probability g(t), so with a = |t|
#     h = f(-a) + a g(-a)                                   (two positive terms)
# Transposed, with the sums over all elements that share one c or l:
#     x_bar = g(t) y_bar + g(-t) fldj_bar / c
#     c_bar = sum h y_bar - sum t g(-t) fldj_bar / c,       l_bar = sum y_bar
# x_bar has two terms of different shapes: y has the shape of l too, fldj only that of x/c.
#
# The inverse: dx = (dy - h dc - dl) / g(t), and ildj = -fldj(x). In dildj = -g(-t) (dx - t dc) / c
# the terms with dc add up to (h + t g(t)) dc / g(t) = f(t) dc / g(t), so
#     dildj = -g(-t) (dy - f(t) dc - dl) / (c g(t))
#     y_bar = (x_bar - g(-t) ildj_bar / c) / g(t),          l_bar = -sum y_bar
#     c_bar = sum (g(-t) f(t) ildj_bar / c - h x_bar) / g(t)


def _entropy(t: Array) -> Array:
    """h(t) = f(t) - t g(t)."""
    a = absolute(t)
    return asarray(softplus(-a) + a * sigmoid(-a))


def softplus_forward_vjp(x: Array, hinge_softness: Array, low: Array, y_bar: Array,
                         fldj_bar: Array) -> tuple[Array, Array, Array]:
    """The cotangents (x_bar, hinge_softness_bar, low_bar), in this order.

        g(t) y_bar + g(-t) fldj_bar / c
        sum h(t) y_bar - sum t g(-t) fldj_bar / c
        sum y_bar

    Args:
      x, hinge_softness, low: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the shape of x/c, the others of the shapes of hinge_softness and low.

    Source: the derivation above.
    """
    c, t, bar = hinge_softness, asarray(x / hinge_softness), widened(y_bar)
    own, operands = asarray(sigmoid(-t) * fldj_bar / c), (x, c, low, y_bar)
    x_bar = unbroadcast(asarray(sigmoid(t) * bar), t.shape) + own
    c_bar = (unbroadcast(asarray(_entropy(t) * bar), c.shape)
             - unbroadcast(asarray(t * own), c.shape))
    return (rounded(x_bar, *operands), rounded(c_bar, *operands),
            rounded(unbroadcast(bar, low.shape), *operands))


def softplus_inverse_vjp(x: Array, hinge_softness: Array, low: Array, x_bar: Array,
                         ildj_bar: Array) -> tuple[Array, Array, Array]:
    """The cotangents (y_bar, hinge_softness_bar, low_bar), in this order.

        (x_bar - g(-t) ildj_bar / c) / g(t)
        sum (g(-t) f(t) ildj_bar / c - h(t) x_bar) / g(t)
        -sum y_bar

    Args:
      x: the result of the inverse.
      hinge_softness, low: as for the inverse function.
      x_bar, ildj_bar: the cotangents of its results, of their shapes.

    Returns:
      y_bar of the broadcast shape, the others of the shapes of hinge_softness and low.

    Source: the derivation above.
    """
    c, t, bar = hinge_softness, asarray(x / hinge_softness), widened(x_bar)
    own, operands = sigmoid(-t) * ildj_bar / c, (x, c, low, x_bar)
    y_bar = asarray((bar - own) / sigmoid(t))
    c_bar = asarray((softplus(t) * own - _entropy(t) * bar) / sigmoid(t))
    return (rounded(y_bar, *operands), rounded(unbroadcast(c_bar, c.shape), *operands),
            rounded(-unbroadcast(y_bar, low.shape), *operands))


def softplus_forward_jvp(x: Array, hinge_softness: Array, low: Array, x_dot: Array,
                         hinge_softness_dot: Array, low_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (g(t) x_dot + h(t) c_dot + low_dot, g(-t) (x_dot - t c_dot) / c).

    Args:
      x, hinge_softness, low: as for the forward function.
      x_dot, hinge_softness_dot, low_dot: their tangents.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    c_dot, t = hinge_softness_dot, asarray(x / hinge_softness)
    y_dot = sigmoid(t) * x_dot + _entropy(t) * c_dot + low_dot
    return (rounded(y_dot, x, hinge_softness, x_dot, c_dot, low_dot),
            sigmoid(-t) * (x_dot - t * c_dot) / hinge_softness)


def softplus_inverse_jvp(x: Array, hinge_softness: Array, low: Array, y_dot: Array,
                         hinge_softness_dot: Array, low_dot: Array) -> tuple[Array, Array]:
    """The tangents (x_dot, ildj_dot), in this order.

        (y_dot - h(t) c_dot - low_dot) / g(t)
        -g(-t) (y_dot - f(t) c_dot - low_dot) / (c g(t))

    Args:
      x: the result of the inverse.
      hinge_softness, low: as for the inverse function.
      y_dot, hinge_softness_dot, low_dot: the tangents of its arguments.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    c_dot, t = hinge_softness_dot, asarray(x / hinge_softness)
    x_dot = (y_dot - _entropy(t) * c_dot - low_dot) / sigmoid(t)
    t_dot = (y_dot - softplus(t) * c_dot - low_dot) / sigmoid(t) / hinge_softness
    return rounded(x_dot, x, hinge_softness, y_dot, c_dot, low_dot), -sigmoid(-t) * t_dot


SOFTPLUS = Op(softplus_forward, softplus_inverse, softplus_forward_vjp, softplus_inverse_vjp,
              softplus_forward_jvp, softplus_inverse_jvp)


class Softplus(OpBijector):
    """A smooth version of max(x, 0), onto the numbers above `low`."""

    def __init__(self, hinge_softness: Any = None, low: Any = None, validate_args: bool = False,
                 name: str = "softplus") -> None:
        """Build it.

        Args:
          hinge_softness: how soft the bend at 0 is: non-zero number, array or Variable; 1 if
            None. A negative one reflects the function in the origin.
          low: what is added to the result; 0 if None.
          validate_args: whether to check that inputs are finite and y in range.
          name: its name.

        Raises:
          ValueError: if the softness is zero.
        """
        self._hinge_softness = parameter(hinge_softness, name, "hinge_softness")
        self._low = parameter(low, name, "low")
        dtypes = [parameter_dtype(p) for p in (self._hinge_softness, self._low)]
        super().__init__(forward_min_event_ndims=0, validate_args=validate_args,
                         dtype=common_dtype(dtypes, name), name=name,
                         members={"hinge_softness": self._hinge_softness, "low": self._low},
                         parameters=dict(hinge_softness=hinge_softness, low=low,
                                         validate_args=validate_args, name=name))
        if hinge_softness is not None and (
                asarray(value_of(self._hinge_softness)) == 0).any():
            raise ValueError(f"{name}: hinge_softness must not be zero.")

    @property
    def hinge_softness(self) -> Any:
        """The softness, or None for 1."""
        return shown(self._hinge_softness)

    @property
    def low(self) -> Any:
        """The lower bound, or None for 0."""
        return shown(self._low)

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        given = {"hinge_softness": self._hinge_softness, "low": self._low}
        return {name: (value, 0) for name, value in given.items() if value is not None}

    def _constants(self) -> tuple[Any, Any]:
        """The softness and the lower bound as they are stored, with the numbers for None."""
        return (1.0 if self._hinge_softness is None else self._hinge_softness,
                0.0 if self._low is None else self._low)

    def _check_domain(self, array: Array, what: str) -> None:
        softness, low = (at(p, array) for p in self._constants())
        if what == "y" and not is_positive((array - low) / softness).all():
            raise ValueError(f"{self.name}: y is outside the range; it must lie above {low} (below "
                             "it for a negative hinge_softness).")

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        return SOFTPLUS, self._constants(), ()
