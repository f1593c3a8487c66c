"""Layers that are computed as one function: Glow's coupling network inside a Sequential.

A `Sequential` whose layers are conv k x k, ReLU, conv 1 x 1, ReLU, conv k x k, all with 'same'
padding, is the function `coupling_network`. Where a kernel computes that, the layers' activations
stay in the processor's cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from refglow.backend import accelerated
from refglow.cotangents import Cotangents
from refglow.dtypes import Array
from refglow.networks.conv2d import Conv2D
from refglow.networks.coupling_network import (
    coupling_network,
    coupling_network_activations,
    coupling_network_vjp,
)
from refglow.networks.differentiable import as_shaped
from refglow.networks.network import Pullback
from refglow.networks.relu import ReLU

_KINDS = [Conv2D, ReLU, Conv2D, ReLU, Conv2D]


@dataclass(frozen=True)
class CouplingNetwork:
    """The three convolutions of a coupling network, in order."""

    convolutions: tuple[Conv2D, Conv2D, Conv2D]

    def __call__(self, x: Any) -> Array | None:
        """The output for x, if a kernel computes it; else None.

        Raises:
          TypeError, ValueError: if x does not fit the first layer.
        """
        images, parameters = self._operands(x)
        kernel = accelerated(coupling_network, images, *parameters)
        return None if kernel is None else kernel(images, *parameters)

    def vjp(self, x: Any, owner: Any) -> tuple[Array, Pullback] | None:
        """(output, pullback) for x, if a kernel computes them; else None.

        Args:
          x: as for a call.
          owner: the network, by whose names the pullback calls the parameters.
        """
        images, parameters = self._operands(x)
        evaluate = accelerated(coupling_network_activations, images, *parameters)
        derivative = accelerated(coupling_network_vjp, images, *parameters)
        if evaluate is None or derivative is None:
            return None
        output, h1, h2 = evaluate(images, *parameters)

        def pullback(output_bar: Any) -> tuple[Array, dict[str, Array]]:
            bar = as_shaped(output_bar, output.shape, images.dtype, "Sequential", "output_bar")
            x_bar, *parameter_bars = derivative(images, h1, h2, *parameters[::2], bar)
            bars = Cotangents()
            for convolution, pair in zip(self.convolutions, zip(
                    parameter_bars[::2], parameter_bars[1::2], strict=True), strict=True):
                bars.add(convolution.kernel, pair[0])
                bars.add(convolution.bias, pair[1])
            return x_bar, bars.named(owner)
        return output, pullback

    def _operands(self, x: Any) -> tuple[Array, list[Array]]:
        images = self.convolutions[0]._checked(x)
        return images, [variable.value_for(images) for convolution in self.convolutions
                        for variable in (convolution.kernel, convolution.bias)]


def as_coupling_network(layers: Mapping[str, Any]) -> CouplingNetwork | None:
    """The layers as a coupling network, if that is what they are; else None."""
    if [*map(type, layers.values())] != _KINDS:
        return None
    first, _, second, _, third = layers.values()
    filters = first.kernel.shape[3]
    fitting = (first.padding == second.padding == third.padding == "same"
               and second.kernel.shape == (1, 1, filters, filters)
               and third.kernel.shape[2] == filters)
    return CouplingNetwork((first, second, third)) if fitting else None
