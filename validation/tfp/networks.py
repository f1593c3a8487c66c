"""Keras networks as refglow networks, and back.

A network is rebuilt if it is a stack (tf_keras Sequential) of Conv2D, Dense and ReLU layers;
anything else is called live (see `refglow.validation.tfp.live`).

A layer is named by its Keras name if someone gave it one. Keras' own names count all layers ever
made (conv2d_37), so two equal networks would differ; those layers are named by their kind and
place, as in refglow's default networks: conv1, relu1, conv2, ...
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.bijector import Bijector
from refglow.dtypes import DType
from refglow.networks import Conv2D, Dense, Network, ReLU, Sequential
from refglow.validation.tfp.framework import tensorflow, tfp_keras
from refglow.validation.tfp.live import (
    LiveNetwork,
    live_variables,
    numpy_network,
    unused_name,
)
from refglow.variable import Variable


@dataclass(frozen=True)
class NamedLayer:
    """One layer of the refglow network that a Keras network becomes.

    Its name is "" if it is a refglow layer that stands alone, not in a Sequential.
    """

    name: str
    kind: str
    keras_layer: Any

    @property
    def variables(self) -> dict[str, Any]:
        """Its tf.Variables, by refglow's names."""
        if self.kind == "relu":
            return {}
        found = {"kernel": self.keras_layer.kernel, "bias": self.keras_layer.bias}
        return {name: variable for name, variable in found.items() if variable is not None}


def network_from_tfp(network: Any, input_shape: Sequence[int],
                     convert: Callable[[Any], Bijector]) -> Network:
    """The refglow network of the same architecture; its weights are left at zero.

    Args:
      network: a callable on tensors.
      input_shape: (H, W, C), for a Keras network that has not been built yet; it will be.
      convert: makes refglow bijectors of TFP's, for a network that returns such.
    """
    layers = named_layers(network, input_shape)
    if layers is None:
        return LiveNetwork(network, convert)
    built = {layer.name: _BUILD[layer.kind](layer.keras_layer) for layer in layers}
    return built[""] if list(built) == [""] else Sequential(built)


def network_variables(network: Any, input_shape: Sequence[int]) -> dict[str, Any]:
    """Its tf.Variables by their names in the state of `network_from_tfp(network, ...)`."""
    layers = named_layers(network, input_shape)
    if layers is None:
        return live_variables(network)
    return {".".join(filter(None, (layer.name, name))): variable
            for layer in layers for name, variable in layer.variables.items()}


# ---- from Keras ---------------------------------------------------------------------------------

def named_layers(network: Any, input_shape: Sequence[int]) -> list[NamedLayer] | None:
    """The layers of a Keras network that can be rebuilt; None for any other callable."""
    keras = tfp_keras()
    if not isinstance(network, keras.layers.Layer):
        return None
    flat = list(_flattened(network))
    kinds = [_kinds(layer) for layer in flat]
    if None in kinds:
        return None
    if not network.built:
        network.build((None, *input_shape))
    named: dict[str, NamedLayer] = {}
    for layer, layer_kinds in zip(flat, kinds, strict=True):
        for kind in layer_kinds or ():
            name = _layer_name(layer, kind, [known.kind for known in named.values()])
            name = unused_name(name, named)
            named[name] = NamedLayer(name, kind, layer)
    return list(named.values())


def _flattened(network: Any) -> Iterator[Any]:
    """The layers of a Sequential, those of Sequentials inside it included; or the one layer."""
    sequential = tfp_keras().Sequential
    is_plain = isinstance(network, sequential) and all(
        getattr(type(network), method) is getattr(sequential, method)
        for method in ("call", "__call__"))
    if not is_plain:
        yield network
        return
    for layer in network.layers:
        yield from _flattened(layer)


def _kinds(layer: Any) -> tuple[str, ...] | None:
    """What `layer` does, as refglow layers one after the other; None if refglow has none for it."""
    layers = tfp_keras().layers
    if layer.compute_dtype != layer.variable_dtype:
        return None
    if type(layer) is layers.InputLayer:
        return ()
    if type(layer) is layers.ReLU:
        is_plain = layer.max_value is None and not layer.negative_slope and not layer.threshold
        return ("relu",) if is_plain else None
    if type(layer) is layers.Conv2D and not _is_plain_convolution(layer):
        return None
    kind = {layers.Conv2D: ("conv",), layers.Dense: ("dense",), layers.Activation: ()}.get(
        type(layer))
    activation = _activation(getattr(layer, "activation", None))
    return None if kind is None or activation is None else kind + activation


def _activation(function: Any) -> tuple[str, ...] | None:
    activations = tfp_keras().activations
    if function in (None, activations.linear):
        return ()
    return ("relu",) if function in (activations.relu, tensorflow().nn.relu) else None


def _is_plain_convolution(layer: Any) -> bool:
    odd = all(size % 2 for size in layer.kernel_size)
    return bool(layer.strides == (1, 1) and layer.dilation_rate == (1, 1) and layer.groups == 1
                and layer.data_format == "channels_last"
                and (layer.padding == "valid" or (layer.padding == "same" and odd)))


def _layer_name(layer: Any, kind: str, kinds_before: list[str]) -> str:
    """The name someone gave the layer, or its kind and how many there are of it so far."""
    place = f"{kind}{kinds_before.count(kind) + 1}"
    holds_parameters = kind != "relu"
    if hasattr(layer, "refglow_name"):
        return str(layer.refglow_name)
    automatic = re.fullmatch(rf"{type(layer).__name__.lower()}(_\d+)?", layer.name)
    return layer.name if holds_parameters and not automatic else place


def _conv(layer: Any) -> Network:
    _, _, inputs, outputs = layer.kernel.shape
    return _without_bias_as(layer, Conv2D(inputs, outputs, tuple(layer.kernel_size), layer.padding,
                                          "zeros", dtype=layer.kernel.dtype.as_numpy_dtype))


def _dense(layer: Any) -> Network:
    inputs, units = layer.kernel.shape
    return _without_bias_as(layer, Dense(inputs, units, dtype=layer.kernel.dtype.as_numpy_dtype))


def _without_bias_as(layer: Any, built: Conv2D | Dense) -> Network:
    """`built`, its bias fixed at zero if the Keras layer has none."""
    if not layer.use_bias:
        built.bias = Variable(built.bias.numpy(), "bias", trainable=False)
    return built


_BUILD: dict[str, Callable[[Any], Network]] = {
    "conv": _conv, "dense": _dense, "relu": lambda layer: ReLU()}


# ---- to Keras -----------------------------------------------------------------------------------

def network_twin(network: Any, input_shape: Sequence[int], twin: Callable[[Any], Any],
                 dtype: DType) -> Any:
    """A network for TFP with the function of the refglow network; a Keras one with weights at zero.

    Args:
      network: a stack of refglow's layers (rebuilt in Keras), or any callable (called live).
      input_shape: (H, W, C).
      twin: makes TFP bijectors of refglow's.
      dtype: the number type.
    """
    flat = list(flattened_layers(network))
    if any(type(layer) not in _KERAS for _, layer in flat):
        return numpy_network(network, twin, dtype)
    return keras_stack(flat, input_shape, dtype)


def keras_stack(named: Sequence[tuple[str, Network]], input_shape: Sequence[int],
                dtype: DType) -> Any:
    """A Keras Sequential of refglow's layers; its names in state names are theirs."""
    keras = tfp_keras()
    layers = []
    for name, layer in named:
        layers.append(_KERAS[type(layer)](layer, dtype.name))
        layers[-1].refglow_name = name
    return keras.Sequential([keras.layers.InputLayer(tuple(input_shape), dtype=dtype.name),
                             *layers])


def flattened_layers(network: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """(dotted name, layer) for the layers of a refglow Sequential, nested ones taken apart."""
    if not isinstance(network, Sequential) or type(network).__call__ is not Sequential.__call__:
        yield prefix, network
        return
    for name, layer in network.layers.items():
        yield from flattened_layers(layer, f"{prefix}.{name}" if prefix else name)


def _has_bias(layer: Conv2D | Dense) -> bool:
    return layer.bias.trainable or bool(np.any(layer.bias.numpy()))


_KERAS: dict[type, Callable[[Any, str], Any]] = {
    Conv2D: lambda layer, dtype: tfp_keras().layers.Conv2D(
        layer.kernel.shape[3], layer.kernel.shape[:2], padding=layer.padding,
        use_bias=_has_bias(layer), kernel_initializer="zeros", dtype=dtype),
    Dense: lambda layer, dtype: tfp_keras().layers.Dense(
        layer.kernel.shape[1], use_bias=_has_bias(layer), kernel_initializer="zeros", dtype=dtype),
    ReLU: lambda layer, dtype: tfp_keras().layers.ReLU(dtype=dtype),
}
