"""Normal: the Gaussian distribution of one number.

    log p(x) = -z^2 / 2 - log(2 pi) / 2 - log scale,        z = (x - loc) / scale
    draws      loc + scale * standard normal

Source: tfp.distributions.Normal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.distributions.distribution import Distribution, Shape
from refglow.dtypes import DEFAULT_FLOAT, Array, DType, common_dtype
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
    log_scale = log(np.asarray(scale + constant(0, x)) if x.dtype == object else scale)
    return np.asarray(-(z * z) / 2 - (log_two_pi(x) / 2 + log_scale))


def standard_normal(shape: Shape, rng: np.random.Generator, dtype: DType) -> Array:
    """Normal numbers of mean 0 and deviation 1.

    Types narrower than float64 are drawn in float32, all others in float64: a longdouble, complex
    or object draw holds a (real) float64 number.
    """
    narrow = dtype.kind in "fc" and np.finfo(dtype).eps > np.finfo(np.float64).eps
    draws = rng.standard_normal(shape, np.float32 if narrow else np.float64)
    return np.asarray(draws).astype(dtype, copy=False)


class Normal(Distribution):
    """The normal distribution with mean `loc` and standard deviation `scale`."""

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
        return np.asarray(at(self._loc, draws) + at(self._scale, draws) * draws)

    def _mean(self) -> Array:
        return self._over_batch(self._loc)

    def _stddev(self) -> Array:
        return self._over_batch(self._scale)

    def _over_batch(self, stored: Any) -> Array:
        value = np.asarray(value_of(stored), dtype=self.dtype or DEFAULT_FLOAT)
        return np.array(np.broadcast_to(value, self._known_batch()))

    def _check_scale(self) -> None:
        if self.validate_args and not is_positive(np.asarray(value_of(self._scale))).all():
            raise ValueError(f"{self.name}: scale must be positive; got {value_of(self._scale)}.")


def _broadcast(loc: Shape, scale: Shape, name: str) -> Shape:
    try:
        return np.broadcast_shapes(loc, scale)
    except ValueError:
        raise ValueError(f"{name}: loc and scale must have shapes that broadcast; "
                         f"got {loc} and {scale}.") from None
