"""Networks that make a coupling or an exit do nothing: all weights zero, scale 1, shift 0."""

from __future__ import annotations

import numpy as np

from refglow.dtypes import Array, DType
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.network_affines import Reading, outputs_of, unit_raw
from refglow.validation.dialects.plain_networks import Convolution, Network, outputs_set


def unit_like(model: Network, sees: int, maps: int, additive: bool, dialect: Dialect) -> Network:
    """A coupling's network of scale 1 and shift 0, with the layers of another coupling's.

    Args:
      model: the other.
      sees, maps: how many channels it sees and maps.
      additive: whether it gives a shift only.
      dialect: in which it is read.

    Raises:
      NotRepresentableError: if no network does nothing in this dialect.
    """
    names = list(model)
    network: Network = {}
    for name in names:
        kh, kw, inputs, outputs = model[name]["kernel"].shape
        if name == names[0]:
            inputs = sees + (dialect.padding == "border indicator")
        if name == names[-1]:
            outputs = maps if additive else 2 * maps
        network[name] = _zeros_like(model[name], (kh, kw, inputs, outputs))
    return _unit(network, maps, Reading.of(dialect, False))


def unit_exit(sees: int, maps: int, dialect: Dialect, dtype: DType) -> Network:
    """An exit's network of scale 1 and shift 0, one 3x3 convolution.

    Args:
      sees, maps: how many channels go on and leave.
      dialect: in which it is read.
      dtype: its number type.

    Raises:
      NotRepresentableError: as for `unit_like`.
    """
    inputs = sees + (dialect.padding == "border indicator")
    network = {"conv1": {"kernel": np.zeros((3, 3, inputs, 2 * maps), dtype),
                         "bias": np.zeros(2 * maps, dtype)}}
    return _unit(network, maps, Reading.of(dialect, True))


def _zeros_like(layer: Convolution, kernel: tuple[int, ...]) -> Convolution:
    def zeros(role: str, value: Array) -> Array:
        return np.zeros(kernel if role == "kernel" else kernel[-1:], value.dtype)
    return {role: zeros(role, value) for role, value in layer.items()}


def _unit(network: Network, maps: int, reading: Reading) -> Network:
    if outputs_of(network) == maps or reading.power == 0:
        return network
    r, _ = reading.places(network)
    return outputs_set(network, r, unit_raw(reading.scale, len(r), network), reading.dialect)
