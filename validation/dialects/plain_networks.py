"""A network's arrays, apart from how a dialect stores them.

A plain network is its convolutions by name, each with

    kernel      [kh, kw, in, out], as it is used
    bias        [out], zeros where there is none
    shift, log_scale   of an ActNorm after it, if it has one
    log_gain    the logarithm of a factor after that, if it has one

in the accumulator's number type. Under "border indicator" the last input channel is that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from refglow.dtypes import Array, widened
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.networks import BIASES, KERNELS

Convolution = dict[str, Array]
Network = dict[str, Convolution]

# log-gain = factor * the array
_GAINS = {"none": 0.0, "exp(3 gain)": 3.0, "exp(gain)": 1.0}


def read_network(layers: Mapping[str, Mapping[str, Array]], dialect: Dialect) -> Network:
    """The plain network of convolutions by name."""
    return {name: _read(layer, dialect) for name, layer in layers.items()}


def _read(layer: Mapping[str, Array], dialect: Dialect) -> Convolution:
    kernel = widened(KERNELS[dialect.kernel](layer["kernel"]))
    bias = widened(layer["bias"]) if "bias" in layer else np.zeros(kernel.shape[-1], kernel.dtype)
    plain = {"kernel": kernel, "bias": BIASES[dialect.bias](bias)}
    plain |= {role: widened(layer[role]) for role in ("shift", "log_scale") if role in layer}
    if "gain" in layer and dialect.gain != "none":
        plain["log_gain"] = _GAINS[dialect.gain] * widened(layer["gain"])
    return plain


def write_network(network: Network, dialect: Dialect) -> dict[str, Array]:
    """The arrays of a plain network, by "<convolution>.<role>", as the dialect stores them.

    Raises:
      NotRepresentableError: if it has biases, and the dialect does not.
    """
    arrays: dict[str, Array] = {}
    for name, plain in network.items():
        layer = dict(plain)
        log_gain = layer.pop("log_gain", None)
        last = name == list(network)[-1]
        if dialect.gain == "none" and log_gain is not None:
            layer = _scaled(layer, np.exp(log_gain))
        elif dialect.gain != "none" and (last or log_gain is not None):
            gain = np.zeros_like(layer["bias"]) if log_gain is None else log_gain
            layer["gain"] = gain / _GAINS[dialect.gain]
        layer["kernel"] = _stored_kernel(layer["kernel"], dialect.kernel)
        if dialect.bias == "left out" and layer.pop("bias").any():
            raise NotRepresentableError("its convolutions have no bias, and one is needed")
        if dialect.bias == "the first for all" and (layer["bias"] != layer["bias"][0]).any():
            raise NotRepresentableError("its convolutions have one bias for all channels")
        if dialect.bias == "twice":
            layer["bias"] = layer["bias"] / 2
        arrays |= {f"{name}.{role}": value for role, value in layer.items()}
    return arrays


def _stored_kernel(kernel: Array, reading: str) -> Array:
    """The array that is read as this kernel."""
    if reading == "reshaped as [out, in, kh, kw]":
        return kernel.transpose(3, 2, 0, 1).reshape(kernel.shape)
    return KERNELS[reading](kernel)  # the others are their own inverses


def _scaled(layer: Convolution, factor: Array) -> Convolution:
    """A convolution with its ActNorm whose outputs are multiplied by a positive factor."""
    if "log_scale" in layer:
        return layer | {"log_scale": layer["log_scale"] + np.log(factor)}
    return layer | {"kernel": layer["kernel"] * factor, "bias": layer["bias"] * factor}


def without_hidden_norm(network: Network) -> Network:
    """ActNorms (y + m) exp(v) after convolutions, in the convolutions' kernels and biases."""
    return {name: _folded(layer) for name, layer in network.items()}


def _folded(layer: Convolution) -> Convolution:
    if "shift" not in layer:
        return layer
    rest = {role: value for role, value in layer.items() if role not in ("shift", "log_scale")}
    scale = np.exp(layer["log_scale"])
    return rest | {"kernel": layer["kernel"] * scale,
                   "bias": (layer["bias"] + layer["shift"]) * scale}


def with_hidden_norm(network: Network) -> Network:
    """With ActNorms that do nothing after the hidden convolutions that have none."""
    last = list(network)[-1]
    return {name: layer if name == last or "shift" in layer else layer | {
        "shift": np.zeros_like(layer["bias"]), "log_scale": np.zeros_like(layer["bias"])}
        for name, layer in network.items()}


# What is done to a network's output.


def last_of(network: Network) -> Convolution:
    """The last convolution."""
    return network[list(network)[-1]]


def _with_last(network: Network, change: Callable[[Convolution], Convolution]) -> Network:
    last = list(network)[-1]
    return network | {last: change(network[last])}


def outputs_at(network: Network, places: Array) -> Network:
    """The network that gives output[places]."""
    return _with_last(network, lambda layer: {role: value[..., places]
                                              for role, value in layer.items()})


def outputs_times(network: Network, factor: Array, dialect: Dialect) -> Network:
    """The network that gives factor * output; factor [out], of any sign.

    Raises:
      NotRepresentableError: if an activation follows, which a factor below 0 does not pass.
    """
    if (factor < 0).any():
        _require_linear_end(dialect)

    def times(layer: Convolution) -> Convolution:
        scaled = {role: layer[role] * factor for role in ("kernel", "bias", "shift")
                  if role in layer}
        return layer | scaled
    return _with_last(network, times)


def outputs_plus(network: Network, amount: Array, dialect: Dialect) -> Network:
    """The network that gives output + amount; amount [out].

    Raises:
      NotRepresentableError: if an activation follows, or convolutions have no bias.
    """
    if not amount.any():
        return network
    _require_linear_end(dialect)
    if dialect.bias == "left out":
        raise NotRepresentableError("its convolutions have no bias, and one is needed")

    def plus(layer: Convolution) -> Convolution:
        log_factor = layer.get("log_gain", 0.0) + layer.get("log_scale", 0.0)
        return layer | {"bias": layer["bias"] + amount * np.exp(-log_factor)}
    return _with_last(network, plus)


def constant_outputs(network: Network, dialect: Dialect) -> Array:
    """The outputs [out] that do not depend on the input, and NaN for those that do."""
    layer = last_of(network)
    varies = layer["kernel"].any(axis=(0, 1, 2))
    value = (layer["bias"] + layer.get("shift", 0.0)) * np.exp(
        layer.get("log_scale", 0.0) + layer.get("log_gain", 0.0))
    if dialect.activation == "relu also at the end":
        value = np.maximum(value, 0)
    return np.where(varies, np.nan, value)


def outputs_set(network: Network, which: Array, values: Array, dialect: Dialect) -> Network:
    """The network with the outputs `which` [n] constant, at these values.

    Raises:
      NotRepresentableError: if such values cannot be given.
    """
    def cleared(layer: Convolution) -> Convolution:
        layer = {role: value.copy() for role, value in layer.items()}
        for value in layer.values():
            value[..., which] = 0
        return layer
    amount = np.zeros_like(last_of(network)["bias"])
    amount[which] = values
    if dialect.activation == "relu also at the end" and (values >= 0).all():
        dialect = dialect.but(activation="relu")  # it lets them pass
    return outputs_plus(_with_last(network, cleared), amount, dialect)


def _require_linear_end(dialect: Dialect) -> None:
    if dialect.activation == "relu also at the end":
        raise NotRepresentableError("the networks' outputs pass through relu, and would have to "
                                    "be negative")
