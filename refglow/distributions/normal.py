"""Normal: the Gaussian distribution of one number.

    log p(x) = -z^2 / 2 - log(2 pi) / 2 - log scale,        z = (x - loc) / scale
    draws      loc + scale * standard normal

Source: tfp.distributions.Normal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.array_library import asarray
from refglow.backend import placed_by_backend
from refglow.cotangents import Cotangents, Tangents, unbroadcast
from refglow.distributions.distribution import Distribution, LogProbPull, SamplePull, Shape
from refglow.dtypes import DEFAULT_FLOAT, Array, DType, common_dtype, rounded, widened
from refglow.elementary import constant, is_positive, log, log_two_pi
from refglow.parameter import at, parameter, parameter_dtype, shown
from refglow.variable import value_of


def normal_log_prob(x: Array, loc: Array, scale: Array) -> Array:
    """-((x - loc) / scale)^2 / 2 - log(2 pi) / 2 - log(scale), elementwise, in nats.

    Args:
      x, loc, scale: arrays of one number type, whose shapes broadcast; scale > 0.
    """
    z = (x - loc) / scale
    # A plain Python number among object arrays is lifted to the type of x, so that its logarithm
    # has as many digits as x has.
    log_scale = log(asarray(scale + constant(0, x)) if x.dtype == object else scale)
    return asarray(-(z * z) / 2 - (log_two_pi(x) / 2 + log_scale))


# ---- derivatives ------------------------------------------------------------------------------
#
# With z = (x - loc) / scale:
#     d log p = -(z / scale) (dx - dloc) + ((z^2 - 1) / scale) dscale
# A draw is y = loc + scale eps, with eps held fixed:  dy = dloc + eps dscale.


def normal_log_prob_vjp(x: Array, loc: Array, scale: Array,
                        log_prob_bar: Array) -> tuple[Array, Array, Array]:
    """(x_bar, loc_bar, scale_bar), with z / scale = (x - loc) / scale^2.

        x_bar = -log_prob_bar z / scale,  loc_bar = -sum x_bar,
        scale_bar = sum log_prob_bar (z^2 - 1) / scale

    Args:
      x, loc, scale: as for `normal_log_prob`.
      log_prob_bar: the cotangent of its result, of its shape.

    Returns:
      arrays of the shapes of x, loc and scale.
    """
    z = (x - loc) / scale
    slope = asarray(log_prob_bar * z / scale)
    scale_bar = asarray(log_prob_bar * (z * z - 1) / scale)
    return (-unbroadcast(slope, x.shape), _summed(slope, loc), _summed(scale_bar, scale))


def normal_log_prob_jvp(x: Array, loc: Array, scale: Array, x_dot: Array, loc_dot: Array,
                        scale_dot: Array) -> Array:
    """(-z (x_dot - loc_dot) + (z^2 - 1) scale_dot) / scale, the tangent of the log density.

    Args:
      x, loc, scale: as for `normal_log_prob`.
      x_dot, loc_dot, scale_dot: their tangents.
    """
    z = (x - loc) / scale
    return asarray((-z * (x_dot - loc_dot) + (z * z - 1) * scale_dot) / scale)


def _summed(bar: Array, parameter: Array) -> Array:
    """The sum over all that share the parameter, accumulated in float64 and rounded once."""
    return rounded(unbroadcast(widened(bar), parameter.shape), bar)


def standard_normal(shape: Shape, rng: np.random.Generator, dtype: DType) -> Array:
    """Normal numbers of mean 0 and deviation 1.

    Types narrower than float64 are drawn in float32, all others in float64: a longdouble, complex
    or object draw holds a (real) float64 number. They are drawn on the host, so that a seed means
    the same numbers everywhere; under use_backend("cuda") they are then copied to the GPU.
    """
    narrow = dtype.kind in "fc" and np.finfo(dtype).eps > np.finfo(np.float64).eps
    draws = rng.standard_normal(shape, np.float32 if narrow else np.float64)
    placed: Array = placed_by_backend(np.asarray(draws).astype(dtype, copy=False))
    return placed


class Normal(Distribution):
    """The normal distribution with mean `loc` and standard deviation `scale`.

    >>> import refglow as rg
    >>> round(float(rg.distributions.Normal(0.0, 1.0).log_prob(0.0)), 4)
    -0.9189
    """

    def __init__(self, loc: Any, scale: Any, validate_args: bool = False,
                 name: str = "Normal") -> None:
        """Build it.

        Args:
          loc: number, array or Variable: the mean.
          scale: number, array or Variable: the standard deviation, positive. `loc` and `scale`
            broadcast; their common shape is the batch shape.
          validate_args: whether to check that values are not NaN and scales positive.
          name: its name.

        Raises:
          ValueError: if the shapes do not broadcast, the dtypes differ, or, with validate_args, if
            a scale is not positive.
        """
        self._loc = parameter(loc, name, "loc")
        self._scale = parameter(scale, name, "scale")
        dtypes = [parameter_dtype(p) for p in (self._loc, self._scale)]
        super().__init__(
            dtype=common_dtype(dtypes, name), event_shape=(),
            batch_shape=_broadcast(np.shape(self._loc), np.shape(self._scale), name),
            validate_args=validate_args, name=name,
            members={"loc": self._loc, "scale": self._scale},
            parameters=dict(loc=loc, scale=scale, validate_args=validate_args, name=name))
        self._check_scale()

    @property
    def loc(self) -> Any:
        """The mean."""
        return shown(self._loc)

    @property
    def scale(self) -> Any:
        """The standard deviation."""
        return shown(self._scale)

    def _log_prob(self, value: Array) -> Array:
        self._check_scale()
        return normal_log_prob(value, at(self._loc, value), at(self._scale, value))

    def _sample(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                dtype: Any) -> Array:
        self._check_scale()
        draws = standard_normal(sample_shape + batch_shape, rng, dtype)
        return asarray(at(self._loc, draws) + at(self._scale, draws) * draws)

    def _log_prob_vjp(self, value: Array, memory: str) -> tuple[Array, LogProbPull]:
        self._check_scale()
        loc, scale = at(self._loc, value), at(self._scale, value)

        def pull(log_prob_bar: Array, bars: Cotangents) -> Array:
            value_bar, loc_bar, scale_bar = normal_log_prob_vjp(value, loc, scale, log_prob_bar)
            bars.add(self._loc, loc_bar)
            bars.add(self._scale, scale_bar)
            return value_bar
        return normal_log_prob(value, loc, scale), pull

    def _log_prob_jvp(self, value: Array, value_dot: Array,
                      tangents: Tangents) -> tuple[Array, Array]:
        self._check_scale()
        loc, scale = at(self._loc, value), at(self._scale, value)
        return normal_log_prob(value, loc, scale), normal_log_prob_jvp(
            value, loc, scale, value_dot, tangents.of(self._loc, loc),
            tangents.of(self._scale, scale))

    def _sample_vjp(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                    dtype: Any) -> tuple[Array, SamplePull]:
        self._check_scale()
        noise = standard_normal(sample_shape + batch_shape, rng, dtype)
        loc, scale = at(self._loc, noise), at(self._scale, noise)

        def pull(value_bar: Array, bars: Cotangents) -> None:
            bars.add(self._loc, _summed(value_bar, loc))
            bars.add(self._scale, _summed(value_bar * noise, scale))
        return asarray(loc + scale * noise), pull

    def _sample_jvp(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                    dtype: Any, tangents: Tangents) -> tuple[Array, Array]:
        self._check_scale()
        noise = standard_normal(sample_shape + batch_shape, rng, dtype)
        loc, scale = at(self._loc, noise), at(self._scale, noise)
        dot = tangents.of(self._loc, loc) + tangents.of(self._scale, scale) * noise
        return asarray(loc + scale * noise), asarray(dot)

    def _mean(self) -> Array:
        return self._over_batch(self._loc)

    def _stddev(self) -> Array:
        return self._over_batch(self._scale)

    def _over_batch(self, stored: Any) -> Array:
        value = asarray(value_of(stored), self.dtype or DEFAULT_FLOAT)
        return np.broadcast_to(value, self._known_batch()).copy()

    def _check_scale(self) -> None:
        if self.validate_args and not is_positive(asarray(value_of(self._scale))).all():
            raise ValueError(f"{self.name}: scale must be positive; got {value_of(self._scale)}.")


def _broadcast(loc: Shape, scale: Shape, name: str) -> Shape:
    try:
        return np.broadcast_shapes(loc, scale)
    except ValueError:
        raise ValueError(f"{name}: loc and scale must have shapes that broadcast; "
                         f"got {loc} and {scale}.") from None
