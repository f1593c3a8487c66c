"""NetworkCoupling: a network's output as the bijector that it stands for.

A network's output for C mapped channels has one of three forms:

    C channels      t, a shift                               additive coupling
    2 C channels    [r | t], raw scale in the low half       affine coupling (see glow_coupling.py)
    a bijector      used as it is

So does its gradient. With the coupled bijector's parameter cotangents, the network's output has the
cotangent t_bar, or [r_bar | t_bar]; a bijector that the network returned passes its parameter
cotangents to the network by name.

Source: Kingma & Dhariwal 2018, section 3.3; tfp.bijectors.glow, make_bijector_fn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.bijectors.glow_coupling import RawAffine
from refglow.bijectors.shift import Shift
from refglow.dtypes import Array, DType, as_array
from refglow.networks.differentiable import jvp_of, vjp_of


class NetworkCoupling:
    """The bijector_fn (for RealNVP) of a network in one of its three forms.

    Attributes:
      network: called with the deciding channels (and any conditioning kwargs); returns `channels`
        channels (additive), twice as many (affine), or a bijector.
    """

    def __init__(self, network: Callable[..., Any], channels: int,
                 affine: type[RawAffine], dtype: DType, owner: str) -> None:
        """Hold the network.

        Args:
          network: see above.
          channels: C, how many channels the form of the output is measured against.
          affine: SigmoidAffine or ExpAffine.
          dtype: the number type the outputs must have.
          owner: whose network it is, for messages.
        """
        self.network = network
        self._channels, self._affine, self._dtype, self._owner = channels, affine, dtype, owner

    def __call__(self, deciding: Array, output_units: int, **condition: Any) -> Bijector:
        """The bijector for the mapped channels.

        Args:
          deciding: [..., D], what the network sees.
          output_units: how many channels are mapped.
          **condition: passed to the network.

        Raises:
          TypeError, ValueError: if the network's output has none of the three forms.
        """
        return self._bijector(self.network(deciding, **condition), deciding, output_units)

    def vjp(self, deciding: Array, output_units: int,
            **condition: Any) -> tuple[Bijector, Callable[..., Any]]:
        """(the bijector, pullback): {its parameters' names: bars} -> (deciding_bar, param_bars).

        Raises:
          TypeError, ValueError: as for a call; TypeError if the network has no vjp.
        """
        output, pullback = vjp_of(self.network, self._owner)(deciding, **condition)
        bijector = self._bijector(output, deciding, output_units)
        if output is bijector:
            return bijector, pullback

        def pull(parameter_bars: Mapping[str, Array]) -> Any:
            parts = [parameter_bars[name] for name in ("raw_scale", "shift")
                     if name in parameter_bars]
            return pullback(np.concatenate(parts, axis=-1))
        return bijector, pull

    def jvp(self, deciding: Array, output_units: int, deciding_dot: Array,
            param_dots: Mapping[str, Array],
            **condition: Any) -> tuple[Bijector, Mapping[str, Array]]:
        """(the bijector, {its parameters' names: their tangents}).

        Raises:
          TypeError, ValueError: as for a call; TypeError if the network has no jvp.
        """
        output, output_dot = jvp_of(self.network, self._owner)(deciding, deciding_dot, param_dots,
                                                               **condition)
        bijector = self._bijector(output, deciding, output_units)
        if output is bijector:
            return bijector, output_dot
        if isinstance(bijector, Shift):
            return bijector, {"shift": output_dot}
        return bijector, {"raw_scale": output_dot[..., :self._channels],
                          "shift": output_dot[..., self._channels:]}

    def _bijector(self, output: Any, deciding: Array, output_units: int) -> Bijector:
        if isinstance(output, Bijector):
            return output
        channels, name = self._channels, _name_of(self.network)
        array = as_array(output, self._dtype, self._owner, f"{name}(x)")
        if channels not in (1, output_units):
            raise ValueError(
                f"{self._owner}: its network decides about {channels} channels, but "
                f"{output_units} are mapped. Use an even number of channels, or a "
                "network that returns a bijector.")
        if array.shape[:-1] == deciding.shape[:-1] and array.shape[-1] == channels:
            return Shift(array)
        if array.shape[:-1] == deciding.shape[:-1] and array.shape[-1] == 2 * channels:
            return self._affine.of_output(array)
        fit = [list(deciding.shape[:-1]) + [n] for n in (channels, 2 * channels)]
        raise ValueError(f"{self._owner}: its network {name} returned an array of shape "
                         f"{list(array.shape)}; expected {fit[0]} (additive coupling), {fit[1]} "
                         "(affine coupling) or a bijector.")


def _name_of(network: Callable[..., Any]) -> str:
    return getattr(network, "__name__", type(network).__name__)
