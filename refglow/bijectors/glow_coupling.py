"""The two affine maps that Glow's networks control, and how a network's output becomes one.

A network's output for C mapped channels is either t (C channels: additive coupling) or [r | t]
(2C channels, the raw scale r in the low half: affine coupling). With

    s = sigmoid(r + 2)    in the steps of a block ("sigmoid affine"), scales stay below 1
    s = exp(r + 2)        at the exits ("exp affine")

    forward   y = x * s + t          fldj = sum_c log s_c
    inverse   x = (y - t) / s        ildj = -sum_c log s_c

The + 2 makes the sigmoid's start, at r = 0, a scale of 0.88 rather than 0.5. log s is taken from r
directly (log sigmoid(r + 2), or r + 2): the logarithm of the rounded s would lose digits.

RealNVP applies these in the direction latent -> image inverted (Invert(RealNVP)): towards the
latent, z = s * x + t.

Source: Kingma & Dhariwal 2018, section 3.3 and table 1; tfp.bijectors.glow, make_bijector_fn.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.shift import Shift
from refglow.dtypes import Array, DType, as_array, rounded, widened
from refglow.elementary import exp, log_sigmoid, sigmoid
from refglow.parameter import at, parameter


def sigmoid_affine_forward(x: Array, raw_scale: Array, shift: Array) -> tuple[Array, Array]:
    """(x * sigmoid(raw_scale + 2) + shift, log sigmoid(raw_scale + 2)), elementwise.

    Args:
      x: [..., C], any number type.
      raw_scale, shift: a network's output, broadcasting against x.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of raw_scale, in nats,
      in the accumulator type (float64 for float32).

    Source: as the module.
    """
    r = widened(raw_scale) + 2
    return rounded(widened(x) * sigmoid(r) + shift, x, raw_scale, shift), log_sigmoid(r)


def sigmoid_affine_inverse(y: Array, raw_scale: Array, shift: Array) -> tuple[Array, Array]:
    """((y - shift) / sigmoid(raw_scale + 2), -log sigmoid(raw_scale + 2)), elementwise.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    r = widened(raw_scale) + 2
    return rounded((widened(y) - shift) / sigmoid(r), y, raw_scale, shift), -log_sigmoid(r)


def exp_affine_forward(x: Array, raw_scale: Array, shift: Array) -> tuple[Array, Array]:
    """(x * exp(raw_scale + 2) + shift, raw_scale + 2), elementwise.

    Args:
      x: [..., C], any number type.
      raw_scale, shift: a network's output, broadcasting against x.

    Returns:
      y of the broadcast shape; the log-det of each element, of the shape of raw_scale, in nats,
      in the accumulator type (float64 for float32).

    Source: as the module.
    """
    r = widened(raw_scale) + 2
    return rounded(widened(x) * exp(r) + shift, x, raw_scale, shift), r


def exp_affine_inverse(y: Array, raw_scale: Array, shift: Array) -> tuple[Array, Array]:
    """((y - shift) / exp(raw_scale + 2), -(raw_scale + 2)), elementwise.

    Args, Returns: as for the forward function, with y for x.

    Source: as the module.
    """
    r = widened(raw_scale) + 2
    return rounded((widened(y) - shift) / exp(r), y, raw_scale, shift), -r


class RawAffine(Bijector):
    """Base of the two affine maps: holds a network's raw scale and shift."""

    def __init__(self, raw_scale: Any, shift: Any, name: str) -> None:
        """Hold a network's output.

        Args:
          raw_scale, shift: arrays or Variables whose shapes broadcast against the input.
          name: its name.
        """
        self._raw_scale = parameter(raw_scale, name, "raw_scale")
        self._shift = parameter(shift, name, "shift")
        super().__init__(forward_min_event_ndims=0, is_constant_jacobian=True, name=name,
                         members={"raw_scale": self._raw_scale, "shift": self._shift},
                         parameters=dict(raw_scale=raw_scale, shift=shift, name=name))

    def _parameter_event_ndims(self) -> dict[str, tuple[Any, int]]:
        return {"raw_scale": (self._raw_scale, 0), "shift": (self._shift, 0)}


class SigmoidAffine(RawAffine):
    """y = x * sigmoid(raw_scale + 2) + shift, for given arrays; the coupling in Glow's steps."""

    def __init__(self, raw_scale: Any, shift: Any, name: str = "sigmoid_affine") -> None:
        """As RawAffine."""
        super().__init__(raw_scale, shift, name)

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return sigmoid_affine_forward(x, at(self._raw_scale, x), at(self._shift, x))

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return sigmoid_affine_inverse(y, at(self._raw_scale, y), at(self._shift, y))


class ExpAffine(RawAffine):
    """y = x * exp(raw_scale + 2) + shift, for given arrays; the coupling at Glow's exits."""

    def __init__(self, raw_scale: Any, shift: Any, name: str = "exp_affine") -> None:
        """As RawAffine."""
        super().__init__(raw_scale, shift, name)

    def _forward_and_log_det(self, x: Array) -> tuple[Array, Array]:
        return exp_affine_forward(x, at(self._raw_scale, x), at(self._shift, x))

    def _inverse_and_log_det(self, y: Array) -> tuple[Array, Array]:
        return exp_affine_inverse(y, at(self._raw_scale, y), at(self._shift, y))


def bijector_fn_of(network: Callable[..., Any], channels: int,
                   affine: Callable[[Array, Array], Bijector], dtype: DType,
                   owner: str) -> Callable[..., Bijector]:
    """The bijector_fn (for RealNVP) of a network in one of its three forms.

    Args:
      network: called with the deciding channels (and any conditioning kwargs); returns `channels`
        channels (additive), twice as many (affine), or a bijector.
      channels: C, how many channels the form of the output is measured against.
      affine: SigmoidAffine or ExpAffine.
      dtype: the number type the outputs must have.
      owner: whose network it is, for messages.

    Returns:
      a function of the deciding channels [..., D] and of how many are mapped, giving the bijector.
      It raises TypeError or ValueError if the network's output has none of the three forms.

    Source: as the module.
    """
    def bijector_fn(deciding: Array, output_units: int, **condition: Any) -> Bijector:
        output = network(deciding, **condition)
        if isinstance(output, Bijector):
            return output
        array = as_array(output, dtype, owner, f"{_name_of(network)}(x)")
        if channels not in (1, output_units):
            raise ValueError(f"{owner}: its network decides about {channels} channels, but "
                             f"{output_units} are mapped. Use an even number of channels, or a "
                             "network that returns a bijector.")
        if array.shape[:-1] == deciding.shape[:-1] and array.shape[-1] == channels:
            return Shift(array)
        if array.shape[:-1] == deciding.shape[:-1] and array.shape[-1] == 2 * channels:
            return affine(array[..., :channels], array[..., channels:])
        fit = [list(deciding.shape[:-1]) + [n] for n in (channels, 2 * channels)]
        raise ValueError(f"{owner}: its network {_name_of(network)} returned an array of shape "
                         f"{list(array.shape)}; expected {fit[0]} (additive coupling), {fit[1]} "
                         "(affine coupling) or a bijector.")
    return bijector_fn


def _name_of(network: Callable[..., Any]) -> str:
    return getattr(network, "__name__", type(network).__name__)
