"""RealNVP: one part of the channels decides how the other part is mapped (a coupling layer).

With x = [x0, x1] split along the last dimension and h = bijector_fn(x0), a bijector:

    forward   y = [x0, h.forward(x1)]           fldj = h.fldj(x1)
    inverse   x = [y0, h.inverse(y1)]           ildj = h.ildj(y1)

The Jacobian is block triangular, [[1, 0], [dh/dx0, dh/dx1]]: whatever function of x0 makes h, the
determinant is that of the lower right block, and the inverse needs no inverse of that function.

A positive number of masked channels means the first ones decide; a negative one, the last.

Source: Dinh et al. 2017, section 3.2 (equations 4 to 8); tfp.bijectors.RealNVP.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refglow.array_library import asarray
from refglow.bijectors.bijector import Bijector, Pull
from refglow.bijectors.chain import Chain
from refglow.bijectors.log_det import spread_log_det
from refglow.bijectors.scale import Scale
from refglow.bijectors.shift import Shift
from refglow.bijectors.whole_image_coupling import WholeImageCoupling, whole_image_coupling
from refglow.cotangents import Cotangents, Tangents, unbroadcast
from refglow.dtypes import Array
from refglow.event_shape import EventShape
from refglow.networks.differentiable import jvp_of, vjp_of


def real_nvp_split(x: Array, num_masked: int) -> tuple[Array, Array]:
    """(the deciding channels, the mapped channels).

    Args:
      x: [..., C], any dtype.
      num_masked: how many channels decide, |num_masked| < C; negative for the last ones.

    Returns:
      [..., |num_masked|] and [..., C - |num_masked|], views of x.

    Source: as the module.
    """
    if num_masked < 0:
        return x[..., num_masked:], x[..., :num_masked]
    return x[..., :num_masked], x[..., num_masked:]


def real_nvp_join(deciding: Array, mapped: Array, num_masked: int) -> Array:
    """The inverse of `real_nvp_split`.

    Args:
      deciding, mapped: [..., |num_masked|] and [..., C - |num_masked|]; batch dimensions broadcast.
      num_masked: as for `real_nvp_split`.

    Returns:
      [..., C].

    Raises:
      ValueError: if the batch dimensions do not broadcast.

    Source: as the module.
    """
    batch = np.broadcast_shapes(deciding.shape[:-1], mapped.shape[:-1])
    parts = [np.broadcast_to(p, batch + p.shape[-1:]) for p in (deciding, mapped)]
    return np.concatenate(parts if num_masked >= 0 else parts[::-1], axis=-1)


class RealNVP(Bijector):
    """A coupling layer over the last dimension."""

    def __init__(self, num_masked: int | None = None, fraction_masked: float | None = None,
                 shift_and_log_scale_fn: Callable[..., Any] | None = None,
                 bijector_fn: Callable[..., Any] | None = None,
                 is_constant_jacobian: bool = False, validate_args: bool = False,
                 name: str = "real_nvp") -> None:
        """Build it.

        Args:
          num_masked: how many channels decide; negative for the last ones. Or:
          fraction_masked: which fraction of the channels, in (-1, 1), rounded to a whole number.
          shift_and_log_scale_fn: called as fn(x0, output_units, **kwargs); returns the pair
            (shift, log_scale) for the mapped channels, either of which may be None. Or:
          bijector_fn: called the same way; returns a bijector on the mapped channels. For gradients
            either is an object that also has `vjp` and `jvp`; the template's network is an example
            for a pair, `NetworkCoupling` for a bijector.
          is_constant_jacobian: whether the log-det does not depend on the input (no scale).
          validate_args: whether to check that inputs are finite and the bijector is allowed.
          name: its name.

        Raises:
          ValueError, TypeError: if not exactly one of each pair is given, or out of range.
        """
        _check_mask(num_masked, fraction_masked)
        if (shift_and_log_scale_fn is None) == (bijector_fn is None):
            raise ValueError(f"{name}: give exactly one of shift_and_log_scale_fn and bijector_fn.")
        self._num_masked, self._fraction_masked = num_masked, fraction_masked
        self._bijector_fn = bijector_fn or AffineFromPair(shift_and_log_scale_fn, name)
        super().__init__(forward_min_event_ndims=1, is_constant_jacobian=is_constant_jacobian,
                         validate_args=validate_args, name=name,
                         members={"fn": bijector_fn or shift_and_log_scale_fn},
                         parameters=dict(num_masked=num_masked, fraction_masked=fraction_masked,
                                         shift_and_log_scale_fn=shift_and_log_scale_fn,
                                         bijector_fn=bijector_fn, validate_args=validate_args,
                                         is_constant_jacobian=is_constant_jacobian, name=name))

    def _forward_and_log_det(self, x: Array, **condition: Any) -> tuple[Array, Array]:
        return self._coupled(True, x, self._bijector_for(x, condition))

    def _inverse_and_log_det(self, y: Array, **condition: Any) -> tuple[Array, Array]:
        return self._coupled(False, y, self._bijector_for(y, condition))

    def _forward(self, x: Array, **condition: Any) -> Array:
        return self._coupled_event(True, x, x.ndim, condition)[0]

    def _inverse(self, y: Array, **condition: Any) -> Array:
        return self._coupled_event(False, y, y.ndim, condition)[0]

    def _forward_and_event_log_det(self, x: Array, event_ndims: Any,
                                   **condition: Any) -> tuple[Any, Any]:
        return self._coupled_event(True, x, event_ndims, condition)

    def _inverse_and_event_log_det(self, y: Array, event_ndims: Any,
                                   **condition: Any) -> tuple[Any, Any]:
        return self._coupled_event(False, y, event_ndims, condition)

    def _coupled(self, forward: bool, x: Array, bijector: Bijector) -> tuple[Array, Array]:
        """(result, log-det of each channel vector) with the bijector that x0 gave."""
        num_masked = self._masked_of(x.shape[-1])
        x0, x1 = real_nvp_split(x, num_masked)
        bijector._check_values(x1, "x" if forward else "y", 1)
        y1, log_det = bijector._event_values(forward, x1, 1)
        return real_nvp_join(x0, y1, num_masked), log_det

    def _coupled_event(self, forward: bool, x: Array, event_ndims: Any,
                       condition: Any) -> tuple[Array, Any]:
        """(result, log-det of each event), in one function where a kernel has it."""
        bijector = self._bijector_for(x, condition)
        whole = self._as_one_function(bijector, x, event_ndims)
        if whole is not None:
            return whole.values(forward, x)
        y, log_det = self._coupled(forward, x, bijector)
        return y, self._reduced(log_det, x, event_ndims, 1)

    def _as_one_function(self, bijector: Bijector, x: Array,
                         event_ndims: Any) -> WholeImageCoupling | None:
        return whole_image_coupling(bijector, x, self._masked_of(x.shape[-1]), event_ndims)

    # Reverse mode. y1 = h(x1) with h made from x0, so x0 acts on the result in two ways: as it is,
    # and through h's parameters p = fn(x0):
    #     x1_bar, p_bar = pullback of h at (y1_bar, log_det_bar)
    #     x0_bar = y0_bar + (dfn/dx0)^T p_bar
    # The inverse has the same form. Because x0 = y0, the result alone tells all: undoing the
    # coupling needs the network's output, which its pullback needs anyway.

    def _vjp(self, forward: bool, x: Array, **condition: Any) -> tuple[tuple[Any, Any], Pull]:
        return self._vjp_through(forward, x, *self._bijector_and_pull(x, condition))

    def _event_vjp(self, forward: bool, x: Array, event_ndims: Any,
                   **condition: Any) -> tuple[tuple[Any, Any], Pull]:
        bijector, network_pull = self._bijector_and_pull(x, condition)
        whole = self._as_one_function(bijector, x, event_ndims)
        if whole is None:
            through = self._vjp_through(forward, x, bijector, network_pull)
            return self._summed_vjp(through, forward, x, event_ndims)
        y, log_det = whole.values(forward, x)
        at_x = x if forward else y

        def pull(y_bar: Array, log_det_bar: Array, bars: Cotangents) -> Array:
            parameters = Cotangents()
            x_bar = whole.vjp(forward, at_x, y_bar, log_det_bar, parameters)
            x_bar[..., :self._masked_of(x.shape[-1])] += network_pull(parameters, bars)
            return x_bar
        return (y, log_det), pull

    def _vjp_through(self, forward: bool, x: Array, bijector: Bijector,
                     network_pull: Callable[..., Array]) -> tuple[tuple[Any, Any], Pull]:
        """`_vjp` with the bijector that x0 gave."""
        num_masked = self._masked_of(x.shape[-1])
        x0, x1 = real_nvp_split(x, num_masked)
        bijector._check_values(x1, "x" if forward else "y", 1)
        (y1, log_det), pull = bijector._event_vjp(forward, x1, 1)

        def pull_back(y_bar: Array, log_det_bar: Array, bars: Cotangents) -> Array:
            y0_bar, y1_bar = real_nvp_split(y_bar, num_masked)
            parameters = Cotangents()
            x1_bar = pull(y1_bar, log_det_bar, parameters)
            x0_bar = y0_bar + network_pull(parameters, bars)
            return real_nvp_join(unbroadcast(x0_bar, x0.shape), x1_bar, num_masked)
        return (real_nvp_join(x0, y1, num_masked), log_det), pull_back

    def _pull_back_from_result(self, forward: bool, y: Array, y_bar: Array, log_det_bar: Array,
                               event_ndims: Any, bars: Cotangents,
                               **condition: Any) -> tuple[Array, Array]:
        bijector, network_pull = self._bijector_and_pull(y, condition)
        parameters, num_masked = Cotangents(), self._masked_of(y.shape[-1])
        whole = self._as_one_function(bijector, y, event_ndims)
        if whole is not None:
            x, _ = whole.values(not forward, y)
            x_bar = whole.vjp(forward, x if forward else y, y_bar, log_det_bar, parameters)
            x_bar[..., :num_masked] += network_pull(parameters, bars)
            return x, x_bar
        y0, y1 = real_nvp_split(y, num_masked)
        y0_bar, y1_bar = real_nvp_split(y_bar, num_masked)
        total_bar = unbroadcast(log_det_bar, y.shape[:y.ndim - event_ndims])
        own = spread_log_det(total_bar, y.shape[:-1], y, event_ndims, 1, self.name)
        x1, x1_bar = bijector._pull_back_from_result(forward, y1, y1_bar, own, 1, parameters)
        x0_bar = y0_bar + network_pull(parameters, bars)
        return real_nvp_join(y0, x1, num_masked), real_nvp_join(x0_bar, x1_bar, num_masked)

    def _jvp(self, forward: bool, x: Array, x_dot: Array, tangents: Tangents,
             **condition: Any) -> tuple[tuple[Any, Any], tuple[Any, Any]]:
        num_masked = self._masked_of(x.shape[-1])
        (x0, x1), (x0_dot, x1_dot) = (real_nvp_split(part, num_masked) for part in (x, x_dot))
        fn_jvp = jvp_of(self._bijector_fn, self.name)
        network_dots = tangents.for_module(_network_of(self._bijector_fn), x)
        bijector, dots = fn_jvp(x0, x1.shape[-1], x0_dot, network_dots, **condition)
        self._check_bijector(bijector, x1)
        bijector._check_values(x1, "x" if forward else "y", 1)
        (y1, log_det), (y1_dot, log_det_dot) = bijector._event_jvp(
            forward, x1, x1_dot, 1, tangents.extended(bijector, dots))
        return ((real_nvp_join(x0, y1, num_masked), log_det),
                (real_nvp_join(x0_dot, y1_dot, num_masked), log_det_dot))

    def _bijector_and_pull(self, x: Array,
                           condition: Any) -> tuple[Bijector, Callable[..., Array]]:
        """The bijector, and the map from its parameters' cotangents to that of x0."""
        deciding, mapped = real_nvp_split(x, self._masked_of(x.shape[-1]))
        bijector, pullback = vjp_of(self._bijector_fn, self.name)(deciding, mapped.shape[-1],
                                                                  **condition)
        self._check_bijector(bijector, mapped)

        def pull(parameters: Cotangents, bars: Cotangents) -> Array:
            bars.add_variables_of(parameters)
            deciding_bar, network_bars = pullback(parameters.of_arrays(bijector))
            bars.add_named(_network_of(self._bijector_fn), network_bars, self.name)
            return asarray(deciding_bar)
        return bijector, pull

    def _forward_event_shape(self, shape: EventShape) -> EventShape:
        if shape[-1] is not None:
            self._masked_of(shape[-1])
        return shape

    _inverse_event_shape = _forward_event_shape

    def _masked_of(self, channels: int) -> int:
        if self._num_masked is not None:
            masked = int(self._num_masked)
        else:
            masked = int(np.round(channels * (self._fraction_masked or 0.0)))
        if abs(masked) >= channels:
            raise ValueError(f"{self.name}: {abs(masked)} of {channels} channels would be masked; "
                             "at least one must be left to map.")
        return masked

    def _bijector_for(self, x: Array, condition: Any) -> Bijector:
        deciding, mapped = real_nvp_split(x, self._masked_of(x.shape[-1]))
        bijector: Bijector = self._bijector_fn(deciding, mapped.shape[-1], **condition)
        self._check_bijector(bijector, mapped)
        return bijector

    def _check_bijector(self, bijector: Any, mapped: Array) -> None:
        if not isinstance(bijector, Bijector):
            raise TypeError(f"{self.name}: bijector_fn must return a refglow bijector; got "
                            f"{type(bijector).__name__}.")
        if bijector.forward_min_event_ndims not in (0, 1) or (
                bijector.inverse_min_event_ndims != bijector.forward_min_event_ndims):
            raise ValueError(f"{self.name}: bijector_fn returned {bijector.name!r}, which acts on "
                             f"events of {bijector.forward_min_event_ndims} dimensions and "
                             f"gives {bijector.inverse_min_event_ndims}; it must keep scalars "
                             "or vectors.")
        if not bijector.is_injective:
            raise ValueError(f"{self.name}: bijector_fn returned {bijector.name!r}, which is not "
                             "injective and cannot be inverted.")
        if bijector.dtype is not None and mapped.dtype.kind == "f" and (
                bijector.dtype.kind == "f" and bijector.dtype != mapped.dtype):
            raise TypeError(f"{self.name}: the inputs are {mapped.dtype}, but bijector_fn returned "
                            f"a bijector that computes in {bijector.dtype}.")


def _check_mask(num_masked: int | None, fraction_masked: float | None) -> None:
    if (num_masked is None) == (fraction_masked is None):
        raise ValueError("RealNVP: give exactly one of num_masked and fraction_masked.")
    if num_masked is not None and int(num_masked) != num_masked:
        raise TypeError(f"RealNVP: num_masked must be an integer; got {num_masked}.")
    if fraction_masked is not None:
        if not isinstance(fraction_masked, (float, np.floating)):
            raise TypeError(f"RealNVP: fraction_masked must be a float; got {fraction_masked!r}.")
        if abs(fraction_masked) >= 1:
            raise ValueError(f"RealNVP: fraction_masked must be in (-1, 1); got {fraction_masked}.")


class AffineFromPair:
    """The bijector_fn that applies a pair (shift, log_scale): x * exp(log_scale) + shift.

    Attributes:
      network: called as RealNVP's `shift_and_log_scale_fn`; returns the pair.
    """

    def __init__(self, network: Any, owner: str) -> None:
        """Hold the function, and whose it is, for messages."""
        self.network, self._owner = network, owner

    def __call__(self, deciding: Array, output_units: int, **condition: Any) -> Bijector:
        """The bijector for the mapped channels."""
        return self._bijector(self.network(deciding, output_units, **condition))

    def vjp(self, deciding: Array, output_units: int,
            **condition: Any) -> tuple[Bijector, Callable[..., Any]]:
        """(the bijector, pullback): {its parameters' names: bars} -> (deciding_bar, param_bars)."""
        pair, pullback = vjp_of(self.network, self._owner)(deciding, output_units, **condition)
        return self._bijector(pair), lambda bars: pullback(
            (bars.get("shift.shift"), bars.get("scale.log_scale")))

    def jvp(self, deciding: Array, output_units: int, deciding_dot: Array,
            param_dots: Mapping[str, Array],
            **condition: Any) -> tuple[Bijector, Mapping[str, Array]]:
        """(the bijector, {its parameters' names: their tangents})."""
        pair, pair_dot = jvp_of(self.network, self._owner)(deciding, output_units, deciding_dot,
                                                           param_dots, **condition)
        dots = dict(zip(("shift.shift", "scale.log_scale"), pair_dot, strict=True))
        return self._bijector(pair), {name: dot for name, dot in dots.items() if dot is not None}

    def _bijector(self, pair: Any) -> Bijector:
        if not isinstance(pair, (tuple, list)) or len(pair) != 2:
            raise TypeError("RealNVP: shift_and_log_scale_fn must return a pair (shift, log_scale)"
                            f"; got a {type(pair).__name__}.")
        shift, log_scale = pair
        parts: dict[str, Bijector] = {} if shift is None else {"shift": Shift(shift)}
        if log_scale is not None:
            parts["scale"] = Scale(log_scale=log_scale)
        return Chain(list(parts.values()), members=parts)


def _network_of(bijector_fn: Any) -> Any:
    """What holds the parameters of a bijector_fn: the network it wraps, or itself."""
    return getattr(bijector_fn, "network", bijector_fn)
