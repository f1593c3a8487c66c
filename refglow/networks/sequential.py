"""Sequential: layers one after another, h_k = f_k(h_(k-1)).

Its derivatives are those of its layers by the chain rule, the last layer's first in reverse mode.

Source: tf.keras.Sequential.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from refglow.cotangents import Cotangents, Tangents
from refglow.dtypes import Array
from refglow.networks.differentiable import jvp_of, vjp_of
from refglow.networks.fused import as_coupling_network
from refglow.networks.network import Network, Pullback
from refglow.variable import Variable


class Sequential(Network):
    """y = layer_n(... layer_1(x))."""

    def __init__(self, layers: Sequence[Any] | Mapping[str, Any]) -> None:
        """Stack layers.

        Args:
          layers: a dict of named layers, in order; or a list, whose layers are called layer0,
            layer1, ... The names appear in `state_dict`. A layer is a Network or any callable; one
            without `vjp` and `jvp` gives values, but no gradients.
        """
        named = layers if isinstance(layers, Mapping) else {
            f"layer{k}": layer for k, layer in enumerate(layers)}
        self.layers: dict[str, Any] = dict(named)

    def __call__(self, x: Array) -> Array:
        """The last layer's output."""
        network = as_coupling_network(self.layers)
        output = None if network is None else network(x)
        if output is not None:
            return output
        for layer in self.layers.values():
            x = layer(x)
        return x

    # The derivative of layer_n o ... o layer_1 is the product J_n ... J_1. Its transpose takes the
    # last layer's cotangent to the first; each layer's pullback holds the layer's input.

    def vjp(self, x: Any) -> tuple[Array, Pullback]:
        """See Network.

        Raises:
          TypeError: also if a layer has no method vjp.
        """
        network = as_coupling_network(self.layers)
        fused = None if network is None else network.vjp(x, self)
        if fused is not None:
            return fused
        pullbacks: list[tuple[str, Any, Pullback]] = []
        for name, layer in self.layers.items():
            x, layer_pullback = vjp_of(layer, _owner(name))(x)
            pullbacks.append((name, layer, layer_pullback))

        def pullback(y_bar: Any) -> tuple[Array, dict[str, Array]]:
            bars = Cotangents()
            for name, layer, layer_pullback in reversed(pullbacks):
                y_bar, layer_bars = layer_pullback(y_bar)
                bars.add_named(layer, layer_bars, _owner(name))
            return y_bar, bars.named(self)
        return x, pullback

    def jvp(self, x: Any, x_dot: Any,
            param_dots: Mapping[str, Any] | None = None) -> tuple[Array, Array]:
        """See Network.

        Raises:
          TypeError: also if a layer has no method jvp.
        """
        dots = Tangents.named(self, param_dots, "Sequential")
        for name, layer in self.layers.items():
            x, x_dot = jvp_of(layer, _owner(name))(x, x_dot, dots.for_module(layer, x))
        return x, x_dot

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """The layers' parameters, each behind its layer's name."""
        for prefix, layer in self.layers.items():
            for name, variable in getattr(layer, "named_variables", tuple)():
                yield f"{prefix}.{name}", variable

    @property
    def submodules(self) -> tuple[Any, ...]:
        """The layers."""
        return tuple(self.layers.values())

    def config(self) -> dict[str, Any]:
        """The layers' classes and arguments."""
        return {"layers": {name: {"class": type(layer).__name__, **layer.config()}
                           for name, layer in self.layers.items()}}


def _owner(layer: str) -> str:
    """How messages call the place of a layer."""
    return f"Sequential, layer {layer!r}"
