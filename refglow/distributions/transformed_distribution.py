"""TransformedDistribution: the distribution of y = g(x), for x from a base distribution.

    log p(y) = log p_x(g^-1(y)) + log|det dg^-1/dy (y)|          by change of variables
    draws      g(draw of x), with log density  log p_x(x) - log|det dg/dx (x)|

For a bijector that is not injective, the preimages x_i of y each contribute:

    p(y) = sum over i of p_x(x_i) |det of branch i|,     in log form by log-sum-exp

The batch shape is the base's, broadcast against that of the bijector's parameters; the base is
lifted to it: every element is an independent draw.

One departure from TFP: a non-injective bijector on larger events than its own gives no density.
A vector y = |x| of n numbers has 2^n preimages. The bijector returns the two where all numbers
have the same sign, and TFP adds up those two; refglow refuses and says what to write instead.

Source: tfp.distributions.TransformedDistribution.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.distributions.distribution import Distribution, Shape
from refglow.dtypes import Array
from refglow.elementary import exp, log_add_exp
from refglow.structure import flatten, map_structure

KwargsSplit: TypeAlias = Callable[[dict[str, Any]], tuple[Mapping[str, Any], Mapping[str, Any]]]


def split_kwargs(kwargs: dict[str, Any]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """(those for the base distribution, those for the bijector).

    Raises:
      TypeError: for anything but `distribution_kwargs` and `bijector_kwargs`. (TFP ignores it, and
        then silently conditions on nothing.)
    """
    unknown = sorted(kwargs.keys() - {"distribution_kwargs", "bijector_kwargs"})
    if unknown:
        raise TypeError(f"Unknown keyword arguments {unknown}. Arguments for the parts go into the "
                        "dicts distribution_kwargs= and bijector_kwargs=.")
    return kwargs.get("distribution_kwargs", {}), kwargs.get("bijector_kwargs", {})


class TransformedDistribution(Distribution):
    """What `bijector(distribution)` gives."""

    def __init__(self, distribution: Distribution, bijector: Bijector,
                 kwargs_split_fn: KwargsSplit | None = split_kwargs, validate_args: bool = False,
                 name: str | None = None) -> None:
        """Build it.

        Args:
          distribution: the base distribution, of x.
          bijector: the map g from x to y.
          kwargs_split_fn: given the keyword arguments of a call as a dict, returns those for the
            base distribution and those for the bijector; by default the dicts
            `distribution_kwargs` and `bijector_kwargs`.
          validate_args: whether to check that values are not NaN.
          name: by default the bijector's name and the distribution's.

        Raises:
          TypeError: if an argument is not refglow's, or the two compute in different dtypes.
          ValueError: if the bijector cannot act on the distribution's events, or the batch shapes
            do not broadcast.
        """
        _check_parts(distribution, bijector)
        self._distribution, self._bijector = distribution, bijector
        self._kwargs_split_fn = kwargs_split_fn or split_kwargs
        event_shape = bijector.forward_event_shape(distribution.event_shape)
        super().__init__(
            dtype=bijector.forward_dtype(distribution.dtype), event_shape=event_shape,
            event_ndims=map_structure(bijector.inverse_min_event_ndims, len, event_shape),
            batch_shape=_joint_batch_shape(distribution, bijector), validate_args=validate_args,
            name=name or f"{bijector.name}{distribution.name}",
            members={"distribution": distribution, "bijector": bijector},
            parameters=dict(distribution=distribution, bijector=bijector,
                            kwargs_split_fn=kwargs_split_fn, validate_args=validate_args,
                            name=name))

    @property
    def distribution(self) -> Distribution:
        """The base distribution, of x."""
        return self._distribution

    @property
    def bijector(self) -> Bijector:
        """The map from x to y."""
        return self._bijector

    def _log_prob(self, value: Any, **kwargs: Any) -> Array:
        if self._bijector.is_injective:
            for_base, for_bijector = self._kwargs_split_fn(kwargs)
            x, ildj = self._bijector.inverse_and_log_det(value, self._event_ndims, **for_bijector)
            return np.asarray(self._distribution.log_prob(x, **for_base) + ildj)
        return functools.reduce(log_add_exp, [
            np.asarray(self._distribution.log_prob(x, **for_base) + ildj)
            for x, ildj, for_base in self._preimages(value, kwargs)])

    def _prob(self, value: Any, **kwargs: Any) -> Array:
        if self._bijector.is_injective:
            return super()._prob(value, **kwargs)
        parts = [self._distribution.prob(x, **for_base) * exp(np.asarray(ildj))
                 for x, ildj, for_base in self._preimages(value, kwargs)]
        return np.asarray(sum(parts[1:], start=parts[0]))

    def _preimages(self, value: Any, kwargs: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
        """(x, ildj, the base distribution's keyword arguments) for every x with g(x) = value."""
        minimum = self._bijector.inverse_min_event_ndims
        if self._event_ndims != minimum:
            raise NotImplementedError(
                f"{self.name}: the bijector {self._bijector.name!r} is not injective and acts on "
                f"events of {minimum} dimensions; on events of shape {self.event_shape} it does "
                "not list all preimages. Transform the smaller distribution first, and combine "
                "afterwards: Sample(bijector(distribution), shape) or "
                "Independent(bijector(distribution), ndims).")
        for_base, for_bijector = self._kwargs_split_fn(kwargs)
        xs, ildjs = self._bijector.inverse_and_log_det(value, self._event_ndims, **for_bijector)
        return [(x, ildj, for_base) for x, ildj in zip(xs, ildjs, strict=True)]

    def _sample(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                dtype: Any, **kwargs: Any) -> Any:
        for_base, for_bijector = self._kwargs_split_fn(kwargs)
        x = self._distribution._sample(sample_shape, batch_shape, rng,
                                       self._bijector.inverse_dtype(dtype), **for_base)
        return self._bijector.forward(x, **for_bijector)

    def _sample_and_log_prob(self, sample_shape: Shape, batch_shape: Shape,
                             rng: np.random.Generator, dtype: Any,
                             **kwargs: Any) -> tuple[Any, Array]:
        if not self._bijector.is_injective:
            return super()._sample_and_log_prob(sample_shape, batch_shape, rng, dtype, **kwargs)
        for_base, for_bijector = self._kwargs_split_fn(kwargs)
        x, log_prob = self._distribution._sample_and_log_prob(
            sample_shape, batch_shape, rng, self._bijector.inverse_dtype(dtype), **for_base)
        y, fldj = self._bijector.forward_and_log_det(x, self._distribution._event_ndims,
                                                     **for_bijector)
        return y, np.asarray(log_prob - fldj)


def _check_parts(distribution: Any, bijector: Any) -> None:
    if not isinstance(distribution, Distribution):
        raise TypeError(f"TransformedDistribution: expected a refglow distribution; "
                        f"got a {type(distribution).__name__}.")
    if not isinstance(bijector, Bijector):
        raise TypeError(f"TransformedDistribution: expected a refglow bijector; "
                        f"got a {type(bijector).__name__}.")
    minimum = bijector.forward_min_event_ndims
    try:
        ndims = flatten(minimum, distribution._event_ndims)
        fits = all(isinstance(n, int) and n >= least
                   for n, least in zip(ndims, flatten(minimum, minimum), strict=True))
    except (TypeError, ValueError):
        fits = False
    if not fits:
        raise ValueError(
            f"TransformedDistribution: {bijector.name!r} acts on events of {minimum} dimensions, "
            f"but {distribution.name!r} has the event shape {distribution.event_shape}. "
            "Sample and Independent add event dimensions.")


def _joint_batch_shape(distribution: Distribution, bijector: Bijector) -> Shape:
    """The distribution's batch shape, broadcast against that of the bijector's parameters."""
    batch = distribution._known_batch()
    parameters = bijector.parameter_batch_shape(x_event_ndims=distribution._event_ndims)
    try:
        return np.broadcast_shapes(batch, parameters)
    except ValueError:
        raise ValueError(
            f"TransformedDistribution: the batch shape {batch} of {distribution.name!r} does not "
            f"broadcast against {parameters}, that of the parameters of {bijector.name!r}."
        ) from None
