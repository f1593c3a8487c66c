"""Sample: several independent draws from one distribution, seen as one event.

    batch_shape = B,  event_shape = E       becomes       batch_shape = B,  event_shape = S + E

    log p(x) = sum over S of log p(x_s)

The one thing to mind is the order of dimensions. An event has S next to E, but the distribution
draws and scores S as sample dimensions, in front of its batch:

    values, here      [..., B, S, E]     to the distribution    [..., S, B, E]
    its log density   [..., S, B]        to here                [..., B, S], summed over S

Source: tfp.distributions.Sample.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from refglow.array_library import asarray
from refglow.cotangents import Cotangents, Tangents
from refglow.distributions.distribution import (
    Distribution,
    LogProbPull,
    SamplePull,
    Shape,
    as_shape,
    check_base,
)
from refglow.distributions.independent import joint_log_prob, joint_log_prob_vjp
from refglow.dtypes import Array


def swap_dimensions(x: Array, left: int, right: int, kept: int) -> Array:
    """[..., L, R, K] to [..., R, L, K], for groups of `left`, `right` and `kept` dimensions."""
    start = x.ndim - kept - right
    source = range(start, start + right)
    return np.moveaxis(x, source, range(start - left, start - left + right))


class Sample(Distribution):
    """`sample_shape` independent draws from `distribution`.

    >>> import refglow as rg
    >>> pz = rg.distributions.Sample(rg.distributions.Normal(0.0, 1.0), [4])
    >>> pz.sample(3, seed=0).shape, pz.log_prob([0.0, 0.0, 0.0, 0.0]).shape
    ((3, 4), ())
    """

    def __init__(self, distribution: Distribution, sample_shape: Any = (),
                 validate_args: bool = False, name: str | None = None) -> None:
        """Build it.

        Args:
          distribution: what to draw from.
          sample_shape: how many draws make one event: an int, or a tuple of them.
          validate_args: whether to check that values are not NaN.
          name: by default "Sample" and the distribution's name.

        Raises:
          TypeError: if `distribution` is not a refglow distribution, or `sample_shape` not
            integers.
          ValueError: if a size is negative.
        """
        check_base(distribution, name or "Sample")
        self._distribution = distribution
        self._sample_shape = as_shape(sample_shape, name or "Sample", "sample_shape")
        super().__init__(
            dtype=distribution.dtype, batch_shape=distribution._known_batch(),
            event_shape=self._sample_shape + distribution.event_shape,
            validate_args=validate_args, name=name or f"Sample{distribution.name}",
            members={"distribution": distribution},
            parameters=dict(distribution=distribution, sample_shape=sample_shape,
                            validate_args=validate_args, name=name))

    @property
    def distribution(self) -> Distribution:
        """What is drawn from."""
        return self._distribution

    @property
    def sample_shape(self) -> Shape:
        """How many draws make one event."""
        return self._sample_shape

    def _log_prob(self, value: Array, **kwargs: Any) -> Array:
        return self._joint(self._distribution.log_prob(self._draws_of(value), **kwargs),
                           self.batch_shape.rank)

    def _log_prob_vjp(self, value: Array, memory: str,
                      **kwargs: Any) -> tuple[Array, LogProbPull]:
        draws = self._distribution._convert(self._draws_of(value))
        parts, pull = self._distribution._log_prob_vjp(draws, memory, **kwargs)
        ndims, batch_ndims = len(self._sample_shape), self.batch_shape.rank
        swapped = swap_dimensions(asarray(parts), ndims, batch_ndims, 0)

        def pull_joint(joint_bar: Array, bars: Cotangents) -> Array:
            parts_bar = joint_log_prob_vjp(swapped.shape, ndims, joint_bar)
            draws_bar = pull(swap_dimensions(parts_bar, batch_ndims, ndims, 0), bars)
            return self._event_of(draws_bar, batch_ndims).reshape(value.shape)
        return joint_log_prob(swapped, ndims), pull_joint

    def _log_prob_jvp(self, value: Array, value_dot: Array, tangents: Tangents,
                      **kwargs: Any) -> tuple[Array, Array]:
        parts, parts_dot = self._distribution._log_prob_jvp(
            self._distribution._convert(self._draws_of(value)), self._draws_of(value_dot),
            tangents, **kwargs)
        batch_ndims = self.batch_shape.rank
        return self._joint(parts, batch_ndims), self._joint(parts_dot, batch_ndims)

    def _sample_vjp(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                    dtype: Any, **kwargs: Any) -> tuple[Any, SamplePull]:
        draws, pull = self._distribution._sample_vjp(sample_shape + self._sample_shape,
                                                     batch_shape, rng, dtype, **kwargs)

        def pull_event(value_bar: Array, bars: Cotangents) -> None:
            pull(swap_dimensions(value_bar, len(batch_shape), len(self._sample_shape),
                                 self._distribution.event_shape.rank), bars)
        return self._event_of(draws, len(batch_shape)), pull_event

    def _sample_jvp(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                    dtype: Any, tangents: Tangents, **kwargs: Any) -> tuple[Any, Any]:
        draws, dots = self._distribution._sample_jvp(sample_shape + self._sample_shape, batch_shape,
                                                     rng, dtype, tangents, **kwargs)
        return self._event_of(draws, len(batch_shape)), self._event_of(dots, len(batch_shape))

    def _sample(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                dtype: Any, **kwargs: Any) -> Any:
        draws = self._distribution._sample(sample_shape + self._sample_shape, batch_shape, rng,
                                           dtype, **kwargs)
        return self._event_of(draws, len(batch_shape))

    def _sample_and_log_prob(self, sample_shape: Shape, batch_shape: Shape,
                             rng: np.random.Generator, dtype: Any,
                             **kwargs: Any) -> tuple[Any, Array]:
        draws, log_prob = self._distribution._sample_and_log_prob(
            sample_shape + self._sample_shape, batch_shape, rng, dtype, **kwargs)
        return self._event_of(draws, len(batch_shape)), self._joint(log_prob, len(batch_shape))

    def _draws_of(self, value: Array) -> Array:
        """[..., B, S, E] to [..., S, B, E]; missing batch dimensions have size 1."""
        batch_ndims = self.batch_shape.rank
        missing = max(0, batch_ndims + self.event_shape.rank - value.ndim)
        return swap_dimensions(value.reshape((1,) * missing + value.shape), batch_ndims,
                               len(self._sample_shape), self._distribution.event_shape.rank)

    def _event_of(self, draws: Array, batch_ndims: int) -> Array:
        """[..., S, B, E] to [..., B, S, E]."""
        return swap_dimensions(draws, len(self._sample_shape), batch_ndims,
                               self._distribution.event_shape.rank)

    def _joint(self, log_prob: Array, batch_ndims: int) -> Array:
        """The sum over S of the log densities [..., S, B] of single draws."""
        ndims = len(self._sample_shape)
        return joint_log_prob(swap_dimensions(log_prob, ndims, batch_ndims, 0), ndims)

    def _mean(self, **kwargs: Any) -> Array:
        return self._repeated(self._distribution.mean(**kwargs))

    def _stddev(self, **kwargs: Any) -> Array:
        return self._repeated(self._distribution.stddev(**kwargs))

    def _repeated(self, x: Array) -> Array:
        """[B, E] to [B, S, E], the same for every draw."""
        batch = self._known_batch()
        event = x.shape[len(batch):]
        x = x.reshape(batch + (1,) * len(self._sample_shape) + event)
        return np.broadcast_to(x, batch + self._sample_shape + event).copy()
