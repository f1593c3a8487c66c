"""Sequential: layers one after another."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from refglow.dtypes import Array
from refglow.networks.network import Network
from refglow.variable import Variable


class Sequential(Network):
    """y = layer_n(... layer_1(x))."""

    def __init__(self, layers: Sequence[Network] | Mapping[str, Network]) -> None:
        """Stack layers.

        Args:
          layers: a dict of named layers, in order; or a list, whose layers are called layer0,
            layer1, ... The names appear in `state_dict`.
        """
        named = layers if isinstance(layers, Mapping) else {
            f"layer{k}": layer for k, layer in enumerate(layers)}
        self.layers: dict[str, Network] = dict(named)

    def __call__(self, x: Array) -> Array:
        """The last layer's output."""
        for layer in self.layers.values():
            x = layer(x)
        return x

    def named_variables(self) -> Iterator[tuple[str, Variable]]:
        """The layers' parameters, each behind its layer's name."""
        for prefix, layer in self.layers.items():
            for name, variable in layer.named_variables():
                yield f"{prefix}.{name}", variable

    @property
    def submodules(self) -> tuple[Network, ...]:
        """The layers."""
        return tuple(self.layers.values())

    def config(self) -> dict[str, Any]:
        """The layers' classes and arguments."""
        return {"layers": {name: {"class": type(layer).__name__, **layer.config()}
                           for name, layer in self.layers.items()}}
