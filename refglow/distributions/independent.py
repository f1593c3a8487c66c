"""Independent: a batch of distributions seen as one distribution of larger events.

    batch_shape = B + R,  event_shape = E      becomes      batch_shape = B,  event_shape = R + E

    log p(x) = sum over R of log p_r(x_r)        the parts are independent, so densities multiply

Source: tfp.distributions.Independent.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np

from refglow.distributions.distribution import Distribution, Shape, check_base
from refglow.dtypes import Array, accumulator


def joint_log_prob(log_prob: Array, ndims: int) -> Array:
    """The log density of independent parts together: the sum over the last `ndims` dimensions.

    float32 terms are accumulated in float64. The terms are laid out as one contiguous dimension
    first: there NumPy adds pairwise, with an error that grows with log n; over strided memory it
    adds one after another, and the error of 3072 terms was measured 14 times larger.
    """
    batch = log_prob.shape[:log_prob.ndim - ndims]
    size = int(np.prod(log_prob.shape[log_prob.ndim - ndims:], dtype=np.int64))
    terms = np.ascontiguousarray(log_prob).reshape(*batch, size)
    return np.asarray(terms.sum(axis=-1, dtype=accumulator(terms.dtype))).astype(terms.dtype)


class Independent(Distribution):
    """Turns the last batch dimensions of a distribution into event dimensions."""

    def __init__(self, distribution: Distribution, reinterpreted_batch_ndims: int | None = None,
                 validate_args: bool = False, name: str | None = None) -> None:
        """Build it.

        Args:
          distribution: the batch of distributions.
          reinterpreted_batch_ndims: how many of its last batch dimensions become event dimensions;
            by default all but the first.
          validate_args: whether to check that values are not NaN.
          name: by default "Independent" and the distribution's name.

        Raises:
          TypeError: if `distribution` is not a refglow distribution.
          ValueError: if it has fewer batch dimensions.
        """
        check_base(distribution, name or "Independent")
        batch = distribution._known_batch()
        self._distribution = distribution
        self._ndims = (max(0, len(batch) - 1) if reinterpreted_batch_ndims is None
                       else operator.index(reinterpreted_batch_ndims))
        if not 0 <= self._ndims <= len(batch):
            raise ValueError(
                f"{name or 'Independent'}: reinterpreted_batch_ndims is {self._ndims}; it must be "
                f"from 0 to {len(batch)}, because the batch shape of {distribution.name!r} is "
                f"{batch}.")
        self._reinterpreted = batch[len(batch) - self._ndims:]
        super().__init__(
            dtype=distribution.dtype, batch_shape=batch[:len(batch) - self._ndims],
            event_shape=self._reinterpreted + distribution.event_shape,
            validate_args=validate_args, name=name or f"Independent{distribution.name}",
            members={"distribution": distribution},
            parameters=dict(distribution=distribution, validate_args=validate_args, name=name,
                            reinterpreted_batch_ndims=reinterpreted_batch_ndims))

    @property
    def distribution(self) -> Distribution:
        """The batch of distributions."""
        return self._distribution

    @property
    def reinterpreted_batch_ndims(self) -> int:
        """How many of its batch dimensions are event dimensions here."""
        return self._ndims

    def _log_prob(self, value: Array, **kwargs: Any) -> Array:
        return joint_log_prob(self._distribution.log_prob(value, **kwargs), self._ndims)

    def _sample(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                dtype: Any, **kwargs: Any) -> Any:
        return self._distribution._sample(sample_shape, batch_shape + self._reinterpreted, rng,
                                          dtype, **kwargs)

    def _sample_and_log_prob(self, sample_shape: Shape, batch_shape: Shape,
                             rng: np.random.Generator, dtype: Any,
                             **kwargs: Any) -> tuple[Any, Array]:
        value, log_prob = self._distribution._sample_and_log_prob(
            sample_shape, batch_shape + self._reinterpreted, rng, dtype, **kwargs)
        return value, joint_log_prob(log_prob, self._ndims)

    def _mean(self, **kwargs: Any) -> Any:
        return self._distribution.mean(**kwargs)

    def _stddev(self, **kwargs: Any) -> Any:
        return self._distribution.stddev(**kwargs)
