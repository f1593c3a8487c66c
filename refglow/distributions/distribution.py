"""The base of every distribution.

It has a density and draws (`density.py`), and the derivatives of both. A subclass implements

    _log_prob_vjp(value, memory)             reverse mode of the log density
    _log_prob_jvp(value, value_dot, dots)    forward mode of the log density
    _sample_vjp(..., rng, dtype)             reverse mode of a draw, as a function of the parameters
    _sample_jvp(..., rng, dtype, dots)       forward mode of it

A draw is differentiated with its randomness held fixed: it is a smooth function of the parameters
and of noise that does not depend on them (loc + scale * eps, and bijectors of that). The gradient
of an expectation over draws is then the expectation of the gradient.

Source: tfp.distributions.Distribution; for the draws, Kingma & Welling 2014, section 2.4.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

from refglow.array_library import asarray
from refglow.bijectors.derivatives import as_cotangent
from refglow.cotangents import Cotangents, Tangents
from refglow.distributions.density import Density, Seed, Shape, as_shape
from refglow.dtypes import Array
from refglow.structure import is_nested

LogProbPull: TypeAlias = Callable[[Array, Cotangents], Any]  # (log_prob_bar, bars) -> value_bar
SamplePull: TypeAlias = Callable[[Any, Cotangents], None]  # (value_bar, bars)

__all__ = ["Density", "Distribution", "LogProbPull", "SamplePull", "Seed", "Shape", "as_shape",
           "check_base"]


class Distribution(Density):
    """A probability distribution: its log density, how to draw from it, and their derivatives."""

    def log_prob_vjp(self, value: Any, memory: str = "store", **kwargs: Any) -> tuple[
            Array, Callable[[Any], tuple[Any, dict[str, Array]]]]:
        """(log_prob(value), pullback): reverse-mode differentiation of the log density.

            value_bar, param_bars = pullback(log_prob_bar)

        is the gradient of sum(log_prob_bar * log_prob).

        Args:
          value, **kwargs: as for `log_prob`.
          memory: what the bijectors inside keep for it: "store", "checkpoint" or "reversible"
            (see `Bijector.forward_vjp`).

        Returns:
          the log density, and the pullback. That takes an array of the shape and dtype of the log
          density (or a number, to fill one) and returns the cotangents of the value and of every
          trainable parameter, by its name in `state_dict()`.

        Raises:
          TypeError, ValueError: as for `log_prob`; also if a part cannot be differentiated.
        """
        array = self._convert(value)
        log_prob, pull = self._log_prob_vjp(array, memory, **kwargs)
        log_prob = asarray(log_prob)

        def pullback(log_prob_bar: Any) -> tuple[Any, dict[str, Array]]:
            bars = Cotangents()
            bar = as_cotangent(log_prob_bar, log_prob, self.name, "the cotangent of the log "
                               "density")
            return pull(bar, bars), bars.named(self)
        return log_prob, pullback

    def log_prob_jvp(self, value: Any, value_dot: Any,
                     param_dots: Mapping[str, Any] | None = None,
                     **kwargs: Any) -> tuple[Array, Array]:
        """(log_prob(value), its tangent): forward-mode differentiation of the log density.

        Args:
          value, **kwargs: as for `log_prob`.
          value_dot: the direction in which the value moves: of its shape and dtype.
          param_dots: {state name: array}: those of the parameters; what it does not name stands
            still.

        Raises:
          TypeError, ValueError: as for `log_prob_vjp`; also if a tangent does not fit.
        """
        array = self._convert(value)
        dot = as_cotangent(value_dot, array, self.name, "the tangent of the value",
                           self._event_ndims)
        tangents = Tangents.named(self, param_dots, self.name)
        log_prob, log_prob_dot = self._log_prob_jvp(array, dot, tangents, **kwargs)
        return asarray(log_prob), asarray(log_prob_dot)

    def log_prob_and_grad(self, value: Any, memory: str = "store",
                          **kwargs: Any) -> tuple[Array, dict[str, Array]]:
        """(log_prob(value), the gradient of its mean with respect to every trainable parameter).

        One pass forwards and one back. Training by maximum likelihood follows this gradient.

        Args:
          value, memory, **kwargs: as for `log_prob_vjp`.

        Returns:
          the log density of each example, in nats; {state name: array} of d mean(log_prob) / dp.

        Raises:
          TypeError, ValueError: as for `log_prob_vjp`; ValueError also if there are no examples.
        """
        log_prob, pullback = self.log_prob_vjp(value, memory, **kwargs)
        if not log_prob.size:
            raise ValueError(f"{self.name}: the mean over no examples has no gradient; value has "
                             f"batch shape {log_prob.shape}.")
        _, param_bars = pullback(np.full_like(log_prob, 1 / log_prob.size))
        return log_prob, param_bars

    def sample_vjp(self, sample_shape: Any = (), seed: Seed = None, **kwargs: Any) -> tuple[
            Any, Callable[[Any], dict[str, Array]]]:
        """(draws, pullback): reverse-mode differentiation of draws, their randomness held fixed.

            param_bars = pullback(value_bar)

        is the gradient of sum(value_bar * draws) with respect to every trainable parameter.

        Args, Raises: as for `sample`; also TypeError or ValueError if a part cannot be
          differentiated, or a cotangent does not fit.
        """
        shape, rng = as_shape(sample_shape, self.name, "sample_shape"), np.random.default_rng(seed)
        value, pull = self._sample_vjp(shape, self._known_batch(), rng, self._sample_dtype(),
                                       **kwargs)

        def pullback(value_bar: Any) -> dict[str, Array]:
            bars = Cotangents()
            pull(as_cotangent(value_bar, value, self.name, "the cotangent of the draws"), bars)
            return bars.named(self)
        return value, pullback

    def sample_jvp(self, sample_shape: Any = (), seed: Seed = None,
                   param_dots: Mapping[str, Any] | None = None, **kwargs: Any) -> tuple[Any, Any]:
        """(draws, their tangent as the parameters move), their randomness held fixed.

        Args:
          sample_shape, seed, **kwargs: as for `sample`.
          param_dots: {state name: array}; what it does not name stands still.

        Raises:
          TypeError, ValueError: as for `sample_vjp`; also if a tangent does not fit.
        """
        shape, rng = as_shape(sample_shape, self.name, "sample_shape"), np.random.default_rng(seed)
        return self._sample_jvp(shape, self._known_batch(), rng, self._sample_dtype(),
                                Tangents.named(self, param_dots, self.name), **kwargs)

    # ---- what subclasses implement ------------------------------------------------------------

    def _log_prob_vjp(self, *args: Any, **kwargs: Any) -> tuple[Array, LogProbPull]:
        """(value, memory, **kwargs) -> (log density, pull)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _log_prob_vjp.")

    def _log_prob_jvp(self, *args: Any, **kwargs: Any) -> tuple[Array, Array]:
        """(value, value_dot, tangents, **kwargs) -> (log density, its tangent)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _log_prob_jvp.")

    def _sample_vjp(self, *args: Any, **kwargs: Any) -> tuple[Any, SamplePull]:
        """(sample_shape, batch_shape, rng, dtype, **kwargs) -> (draws, pull)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _sample_vjp.")

    def _sample_jvp(self, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
        """(sample_shape, batch_shape, rng, dtype, tangents, **kwargs) -> (draws, tangents)."""
        raise NotImplementedError(f"{type(self).__name__} does not implement _sample_jvp.")


def check_base(distribution: Any, owner: str) -> None:
    """Raise unless `distribution` is a refglow distribution of single arrays.

    Raises:
      TypeError: if it is no refglow distribution.
      NotImplementedError: if its draws are structures of arrays.
    """
    if not isinstance(distribution, Distribution):
        raise TypeError(f"{owner}: expected a refglow distribution; "
                        f"got a {type(distribution).__name__}.")
    if is_nested(distribution._event_ndims):
        raise NotImplementedError(f"{owner}: the draws of {distribution.name!r} are structures of "
                                  f"arrays. Apply {owner} before the bijector that splits them.")
