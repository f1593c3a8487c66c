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

from refglow.array_library import asarray
from refglow.bijectors.bijector import Bijector
from refglow.bijectors.derivatives import checked_input, measured_vjp
from refglow.bijectors.evaluation import as_arrays
from refglow.cotangents import Cotangents, Tangents, unbroadcast
from refglow.distributions.distribution import Distribution, LogProbPull, SamplePull, Shape
from refglow.dtypes import Array, rounded, widened
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
            return asarray(self._distribution.log_prob(x, **for_base) + ildj)
        return functools.reduce(log_add_exp, [
            asarray(self._distribution.log_prob(x, **for_base) + ildj)
            for x, ildj, for_base in self._preimages(value, kwargs)])

    def _prob(self, value: Any, **kwargs: Any) -> Array:
        if self._bijector.is_injective:
            return super()._prob(value, **kwargs)
        parts = [self._distribution.prob(x, **for_base) * exp(asarray(ildj))
                 for x, ildj, for_base in self._preimages(value, kwargs)]
        return asarray(sum(parts[1:], start=parts[0]))

    def _preimages(self, value: Any, kwargs: dict[str, Any]) -> list[tuple[Any, Any, Any]]:
        """(x, ildj, the base distribution's keyword arguments) for every x with g(x) = value."""
        self._require_preimages()
        for_base, for_bijector = self._kwargs_split_fn(kwargs)
        xs, ildjs = self._bijector.inverse_and_log_det(value, self._event_ndims, **for_bijector)
        return [(x, ildj, for_base) for x, ildj in zip(xs, ildjs, strict=True)]

    def _require_preimages(self) -> None:
        """Raise unless the bijector's inverse lists all preimages of an event."""
        minimum = self._bijector.inverse_min_event_ndims
        if not self._bijector.is_injective and self._event_ndims != minimum:
            raise NotImplementedError(
                f"{self.name}: the bijector {self._bijector.name!r} is not injective and acts on "
                f"events of {minimum} dimensions; on events of shape {self.event_shape} it does "
                "not list all preimages. Transform the smaller distribution first, and combine "
                "afterwards: Sample(bijector(distribution), shape) or "
                "Independent(bijector(distribution), ndims).")

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
        return y, asarray(log_prob - fldj)

    # ---- derivatives: the chain rule through the base's density and the bijector ----------------
    #
    # log p(y) = log p_x(x) + ildj with (x, ildj) = the bijector's inverse at y: both terms receive
    # log_prob_bar, the first passes it on to x. With several preimages, p(y) = sum_i p_i, so
    #     d log p = sum_i (p_i / p) d log p_i
    # and each branch receives log_prob_bar p_i / p.

    def _log_prob_vjp(self, value: Any, memory: str,
                      **kwargs: Any) -> tuple[Array, LogProbPull]:
        for_base, for_bijector = self._kwargs_split_fn(kwargs)
        self._require_preimages()
        array, ndims = checked_input(self._bijector, value, self._event_ndims, False)
        (xs, ildjs), pull_x = measured_vjp(self._bijector, False, array, ndims, memory,
                                           for_bijector)
        branches = list(zip(xs, ildjs, strict=True)) if self._has_branches else [(xs, ildjs)]
        bases = [self._distribution._log_prob_vjp(self._distribution._convert(x), memory,
                                                  **for_base) for x, _ in branches]
        log_probs = [asarray(base + ildj)
                     for (base, _), (_, ildj) in zip(bases, branches, strict=True)]
        log_prob = functools.reduce(log_add_exp, log_probs)

        def pull(log_prob_bar: Array, bars: Cotangents) -> Any:
            x_bars, ildj_bars = [], []
            for (base, pull_base), (_, ildj), own in zip(bases, branches, log_probs, strict=True):
                bar = log_prob_bar * exp(own - log_prob) if self._has_branches else log_prob_bar
                x_bars.append(pull_base(unbroadcast(bar, np.shape(base)), bars))
                ildj_bars.append(unbroadcast(widened(bar), np.shape(ildj)))
            if self._has_branches:
                return pull_x(tuple(x_bars), tuple(ildj_bars), bars)
            return pull_x(x_bars[0], ildj_bars[0], bars)
        return log_prob, pull

    def _log_prob_jvp(self, value: Any, value_dot: Any, tangents: Tangents,
                      **kwargs: Any) -> tuple[Array, Array]:
        for_base, for_bijector = self._kwargs_split_fn(kwargs)
        self._require_preimages()
        array, ndims = checked_input(self._bijector, value, self._event_ndims, False)
        (xs, ildjs), (x_dots, ildj_dots) = self._bijector._event_jvp(
            False, array, value_dot, ndims, tangents, **for_bijector)
        branches = (list(zip(xs, ildjs, x_dots, ildj_dots, strict=True)) if self._has_branches
                    else [(xs, ildjs, x_dots, ildj_dots)])
        pairs = []
        for x, ildj, x_dot, ildj_dot in branches:
            base, base_dot = self._distribution._log_prob_jvp(
                self._distribution._convert(x), x_dot, tangents, **for_base)
            pairs.append((asarray(base + rounded(ildj, base)),
                          asarray(base_dot + rounded(ildj_dot, base_dot))))
        log_prob = functools.reduce(log_add_exp, [own for own, _ in pairs])
        parts = [own_dot * exp(own - log_prob) if self._has_branches else own_dot
                 for own, own_dot in pairs]
        return log_prob, asarray(sum(parts[1:], start=parts[0]))

    def _sample_vjp(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                    dtype: Any, **kwargs: Any) -> tuple[Any, SamplePull]:
        for_base, for_bijector = self._kwargs_split_fn(kwargs)
        x, pull_base = self._distribution._sample_vjp(
            sample_shape, batch_shape, rng, self._bijector.inverse_dtype(dtype), **for_base)
        array, ndims = checked_input(self._bijector, x, self._distribution._event_ndims, True)
        (y, fldj), pull_y = measured_vjp(self._bijector, True, array, ndims, "store", for_bijector)
        no_bar = None if fldj is None else np.zeros_like(widened(fldj))

        def pull(value_bar: Any, bars: Cotangents) -> None:
            pull_base(pull_y(value_bar, no_bar, bars), bars)
        return y, pull

    def _sample_jvp(self, sample_shape: Shape, batch_shape: Shape, rng: np.random.Generator,
                    dtype: Any, tangents: Tangents, **kwargs: Any) -> tuple[Any, Any]:
        for_base, for_bijector = self._kwargs_split_fn(kwargs)
        x, x_dot = self._distribution._sample_jvp(sample_shape, batch_shape, rng,
                                                  self._bijector.inverse_dtype(dtype), tangents,
                                                  **for_base)
        array, ndims = checked_input(self._bijector, x, self._distribution._event_ndims, True)
        (y, _), (y_dot, _) = self._bijector._event_jvp(True, array, x_dot, ndims, tangents,
                                                       **for_bijector)
        return as_arrays(y, array), as_arrays(y_dot, array)

    @property
    def _has_branches(self) -> bool:
        return not self._bijector.is_injective


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
