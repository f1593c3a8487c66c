"""Scale.

By a scale s != 0:
    forward   y = x * s                    fldj = log|s|
    inverse   x = y / s                    ildj = -log|s|
By its logarithm v (then the scale is positive):
    forward   y = x * exp(v)               fldj = v
    inverse   x = y * exp(-v)              ildj = -v

Source: tfp.bijectors.Scale.
"""

from __future__ import annotations

from typing import Any

from refglow.array_library import asarray
from refglow.bijectors.identity import IDENTITY
from refglow.bijectors.op import Op, OpBijector
from refglow.cotangents import unbroadcast
from refglow.dtypes import Array, common_dtype, rounded, widened
from refglow.elementary import exp, is_negative, is_positive, log_absolute
from refglow.parameter import parameter, parameter_dtype, shown
from refglow.variable import value_of


def scale_forward(x: Array, scale: Array) -> tuple[Array, Array]:
    """(x * scale, log|scale|).

    Args:
      x: [...], any number type.
      scale: broadcasts against x; not zero.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of scale, in nats.

    Source: as the module.
    """
    return x * scale, log_absolute(scale)


def scale_inverse(y: Array, scale: Array) -> tuple[Array, Array]:
    """(y / scale, -log|scale|).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return y / scale, -log_absolute(scale)


def log_scale_forward(x: Array, log_scale: Array) -> tuple[Array, Array]:
    """(x * exp(log_scale), log_scale).

    Args:
      x: [...], any number type.
      log_scale: broadcasts against x; nats.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of log_scale, in nats.

    Source: as the module.
    """
    return x * exp(log_scale), log_scale


def log_scale_inverse(y: Array, log_scale: Array) -> tuple[Array, Array]:
    """(y * exp(-log_scale), -log_scale).

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    return y * exp(-log_scale), -log_scale


# ---- derivatives ------------------------------------------------------------------------------
#
# By a scale.  y_i = x_i s and fldj = log|s|, so
#     dy = s dx + x ds,    dfldj = ds / s                  (log|s| has the slope 1/s on both sides)
# and, transposed, with the sum over all elements that share one s:
#     x_bar = s y_bar,     s_bar = sum x y_bar + fldj_bar / s
# The inverse x = y/s has  dx = (dy - x ds) / s,  ildj = -log|s|:
#     y_bar = x_bar / s,   s_bar = -(sum x x_bar + ildj_bar) / s
#
# By its logarithm v.  s = e^v has ds = s dv, so v_bar = s s_bar:
#     dy = e^v dx + y dv,           dfldj = dv
#     x_bar = e^v y_bar,            v_bar = sum x e^v y_bar + fldj_bar
#     dx = e^-v dy - x dv,          dildj = -dv
#     y_bar = e^-v x_bar,           v_bar = -sum x x_bar - ildj_bar


def scale_forward_vjp(x: Array, scale: Array, y_bar: Array,
                      fldj_bar: Array) -> tuple[Array, Array]:
    """(x_bar, scale_bar) = (scale y_bar, sum x y_bar + fldj_bar / scale).

    Args:
      x, scale: as for the forward function.
      y_bar, fldj_bar: the cotangents of its results, of their shapes.

    Returns:
      x_bar of the broadcast shape; scale_bar of the shape of scale.

    Source: the derivation above.
    """
    scale_bar = unbroadcast(widened(y_bar) * x, scale.shape) + fldj_bar / widened(scale)
    return y_bar * scale, rounded(scale_bar, x, scale, y_bar)


def scale_inverse_vjp(x: Array, scale: Array, x_bar: Array,
                      ildj_bar: Array) -> tuple[Array, Array]:
    """(y_bar, scale_bar) = (x_bar / scale, -(sum x x_bar + ildj_bar) / scale).

    Args:
      x: the result of the inverse.
      scale, x_bar, ildj_bar: as for the forward function's vjp.

    Returns:
      y_bar of the broadcast shape; scale_bar of the shape of scale.

    Source: the derivation above.
    """
    scale_bar = -(unbroadcast(widened(x_bar) * x, scale.shape) + ildj_bar) / widened(scale)
    return x_bar / scale, rounded(scale_bar, x, scale, x_bar)


def scale_forward_jvp(x: Array, scale: Array, x_dot: Array,
                      scale_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (scale x_dot + x scale_dot, scale_dot / scale).

    Args:
      x, scale: as for the forward function.
      x_dot, scale_dot: their tangents.

    Returns:
      the tangents of its results, of their shapes.

    Source: the derivation above.
    """
    return x_dot * scale + x * scale_dot, scale_dot / scale


def scale_inverse_jvp(x: Array, scale: Array, y_dot: Array,
                      scale_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = ((y_dot - x scale_dot) / scale, -scale_dot / scale).

    Args:
      x: the result of the inverse.
      scale, y_dot, scale_dot: as for the forward function's jvp.

    Returns:
      the tangents of the inverse's results, of their shapes.

    Source: the derivation above.
    """
    return (y_dot - x * scale_dot) / scale, -scale_dot / scale


def log_scale_forward_vjp(x: Array, log_scale: Array, y_bar: Array,
                          fldj_bar: Array) -> tuple[Array, Array]:
    """(x_bar, log_scale_bar) = (e^v y_bar, sum x e^v y_bar + fldj_bar), v = log_scale.

    Args, Returns: as for `scale_forward_vjp`.

    Source: the derivation above.
    """
    x_bar = widened(y_bar) * exp(widened(log_scale))
    log_scale_bar = unbroadcast(x_bar * x, log_scale.shape) + fldj_bar
    return rounded(x_bar, x, log_scale, y_bar), rounded(log_scale_bar, x, log_scale, y_bar)


def log_scale_inverse_vjp(x: Array, log_scale: Array, x_bar: Array,
                          ildj_bar: Array) -> tuple[Array, Array]:
    """(y_bar, log_scale_bar) = (e^-v x_bar, -sum x x_bar - ildj_bar), v = log_scale.

    Args, Returns: as for `scale_inverse_vjp`.

    Source: the derivation above.
    """
    log_scale_bar = -unbroadcast(widened(x_bar) * x, log_scale.shape) - ildj_bar
    return x_bar * exp(-log_scale), rounded(log_scale_bar, x, log_scale, x_bar)


def log_scale_forward_jvp(x: Array, log_scale: Array, x_dot: Array,
                          log_scale_dot: Array) -> tuple[Array, Array]:
    """(y_dot, fldj_dot) = (e^v (x_dot + x v_dot), v_dot), v = log_scale.

    Args, Returns: as for `scale_forward_jvp`.

    Source: the derivation above.
    """
    return exp(log_scale) * (x_dot + x * log_scale_dot), log_scale_dot


def log_scale_inverse_jvp(x: Array, log_scale: Array, y_dot: Array,
                          log_scale_dot: Array) -> tuple[Array, Array]:
    """(x_dot, ildj_dot) = (e^-v y_dot - x v_dot, -v_dot), v = log_scale.

    Args, Returns: as for `scale_inverse_jvp`.

    Source: the derivation above.
    """
    return y_dot * exp(-log_scale) - x * log_scale_dot, -log_scale_dot


SCALE = Op(scale_forward, scale_inverse, scale_forward_vjp, scale_inverse_vjp,
           scale_forward_jvp, scale_inverse_jvp)
LOG_SCALE = Op(log_scale_forward, log_scale_inverse, log_scale_forward_vjp, log_scale_inverse_vjp,
               log_scale_forward_jvp, log_scale_inverse_jvp)


class Scale(OpBijector):
    """Multiplies by `scale`, or by exp(`log_scale`).

    >>> import refglow as rg
    >>> scale = rg.bijectors.Scale(scale=2.0)
    >>> float(scale.inverse(3.0)), round(float(scale.forward_log_det_jacobian(3.0)), 4)
    (1.5, 0.6931)
    """

    def __init__(self, scale: Any = None, log_scale: Any = None, validate_args: bool = False,
                 name: str = "scale") -> None:
        """Build it; with neither argument it is the identity.

        Args:
          scale: number, array or Variable, not zero; broadcasts against the input.
          log_scale: the logarithm of the scale instead, for tiny or huge positive scales.
          validate_args: whether to check that inputs are finite and no scale is zero.
          name: its name.

        Raises:
          ValueError: if both are given, or, with validate_args, if a scale is zero.
        """
        if scale is not None and log_scale is not None:
            raise ValueError("Scale: give scale or log_scale, not both.")
        self._scale = parameter(scale, name, "scale")
        self._log_scale = parameter(log_scale, name, "log_scale")
        dtypes = [parameter_dtype(p) for p in (self._scale, self._log_scale)]
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True,
                         validate_args=validate_args, dtype=common_dtype(dtypes, name),
                         members={"scale": self._scale, "log_scale": self._log_scale}, name=name,
                         parameters=dict(scale=scale, log_scale=log_scale,
                                         validate_args=validate_args, name=name))
        if validate_args:
            self._check_scale()

    @property
    def scale(self) -> Any:
        """The factor, or None."""
        return shown(self._scale)

    @property
    def log_scale(self) -> Any:
        """The logarithm of the factor, or None."""
        return shown(self._log_scale)

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        given = {"scale": self._scale, "log_scale": self._log_scale}
        return {name: (value, 0) for name, value in given.items() if value is not None}

    def _check_scale(self) -> None:
        scale = asarray(0 if self._scale is None else value_of(self._scale))
        if self._scale is not None and not (is_positive(scale) | is_negative(scale)).all():
            raise ValueError(f"{self.name}: scale must not be zero; got {scale}.")

    def _check_domain(self, array: Array, what: str) -> None:
        self._check_scale()

    def _op(self, array: Array) -> tuple[Op, tuple[Any, ...], tuple[Any, ...]]:
        if self._scale is not None:
            return SCALE, (self._scale,), ()
        if self._log_scale is not None:
            return LOG_SCALE, (self._log_scale,), ()
        return IDENTITY, (), ()
