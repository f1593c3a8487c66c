"""Descriptions: a network's architecture as plain numbers, strings, lists and dicts.

    {"class": "Conv2D", "in_channels": 6, "filters": 12, "kernel_size": [3, 3],
     "padding": "same", "kernel_initializer": "zeros"}

A description holds the class's name and the arguments of its constructor (`config()`), but for
dtype and seed. Only the classes in the table below can be described or built: a name in a file is
looked up there and nowhere else. `variable_shapes` says what arrays a described network has
without making one, so that a description can be held against the arrays that come with it before
any memory is taken. Where a network's place in a model determines some of its arguments (how many
channels it sees), a description may leave them out: `relative` and `at_place`.
"""

from __future__ import annotations

import reprlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from refglow.dtypes import DType
from refglow.networks.conv2d import Conv2D
from refglow.networks.dense import Dense
from refglow.networks.glow_networks import GlowDefaultExitNetwork, GlowDefaultNetwork
from refglow.networks.network import Network
from refglow.networks.relu import ReLU
from refglow.networks.sequential import Sequential

Description: TypeAlias = dict[str, Any]
Shapes: TypeAlias = Iterator[tuple[str, tuple[int, ...]]]

_MAX_DEPTH = 32  # of Sequentials in Sequentials
_MAX_LAYERS_PER_ARRAY = 16


@dataclass(frozen=True)
class _Kind:
    """A class that can be described: what its arguments must be, and what arrays it has."""

    network: type[Network]
    arguments: Mapping[str, Callable[[Any], bool]]
    shapes: Callable[..., Shapes]


def is_describable(network: Any) -> bool:
    """Whether `network`, and every layer inside it, is of exactly one of the classes above."""
    kind = _KINDS.get(type(network).__name__)
    return (kind is not None and kind.network is type(network)
            and all(map(is_describable, getattr(network, "submodules", ()))))


def describe(network: Network) -> Description:
    """The description of a network that `is_describable`.

    Raises:
      ValueError: if it cannot be built again from its arguments (if they say something else than
        the arrays it has, because its layers were changed by hand).
    """
    description: Description = _plain({"class": type(network).__name__, **network.config()})
    check_description(description)
    actual = {name: variable.shape for name, variable in network.named_variables()}
    if dict(variable_shapes(description)) != actual:
        raise ValueError(f"{type(network).__name__}: its layers are not those it was built with; "
                         "write it as a Sequential of the layers it has.")
    return description


def check_description(description: Any, depth: int = 0) -> int:
    """The number of layers described, if `description` is one that can be built.

    Raises:
      ValueError: if its class is not known, does not take its arguments, or if the layers could not
        be a network's: nested absurdly deep, nearly all without weights (which would cost a file
        nothing and the reader much), or with the same name for two arrays.
    """
    name = description.get("class") if isinstance(description, dict) else None
    if not isinstance(name, str) or name not in _KINDS:
        raise ValueError(f"network class {reprlib.repr(name)} is not known; known are "
                         f"{', '.join(_KINDS)}.")
    arguments = _KINDS[name].arguments
    if description.keys() != {"class", *arguments}:
        raise ValueError(f"{name} must have the arguments {sorted(arguments)}; got "
                         f"{reprlib.repr(sorted(description.keys() - {'class'}))}.")
    for key, is_valid in arguments.items():
        if not is_valid(description[key]):
            raise ValueError(f"{name}: {key} cannot be {reprlib.repr(description[key])}.")
    if depth > _MAX_DEPTH:
        raise ValueError(f"networks are nested more than {_MAX_DEPTH} deep.")
    layers = 1 + sum(check_description(layer, depth + 1)
                     for layer in description.get("layers", {}).values())
    if depth == 0:
        names = Counter(name for name, _ in variable_shapes(description))
        twice = [name for name, count in names.items() if count > 1]
        if twice:
            raise ValueError(f"{name}: more than one array is called {reprlib.repr(twice)}.")
        if layers > _MAX_LAYERS_PER_ARRAY * (1 + len(names)):
            raise ValueError(f"{name}: {layers} layers with only {len(names)} arrays.")
    return layers


def relative(description: Description, place: Mapping[str, Any]) -> Description:
    """`description` without the arguments that are just what `place` says."""
    return {key: value for key, value in description.items()
            if key not in place or value != place[key]}


def at_place(description: Any, place: Mapping[str, Any]) -> Description:
    """`description` with the arguments it leaves out filled in from `place`, and checked.

    Raises:
      ValueError: if it is not a description.
    """
    known = isinstance(description, dict) and _KINDS.get(str(description.get("class")))
    filled = {key: value for key, value in place.items() if known and key in known.arguments}
    complete: Description = filled | description if known else description
    check_description(complete)
    return complete


def variable_shapes(description: Description) -> Shapes:
    """(name, shape) of every array of the described network, in order, without building it."""
    arguments = {key: value for key, value in description.items() if key != "class"}
    return _KINDS[description["class"]].shapes(**arguments)


def build_described(description: Description, dtype: DType) -> Network:
    """A network as described, in the number type `dtype`, its weights at their random start."""
    kind: Any = _KINDS[description["class"]].network
    arguments = {key: value for key, value in description.items() if key != "class"}
    if kind is Sequential:
        return Sequential({name: build_described(layer, dtype)
                           for name, layer in arguments["layers"].items()})
    if kind is ReLU:
        return ReLU()
    network: Network = kind(**arguments, dtype=dtype)
    return network


def _conv2d_shapes(in_channels: int, filters: int, kernel_size: Any, **_: Any) -> Shapes:
    kh, kw = kernel_size if isinstance(kernel_size, list) else (kernel_size, kernel_size)
    yield "kernel", (kh, kw, in_channels, filters)
    yield "bias", (filters,)


def _dense_shapes(in_features: int, units: int) -> Shapes:
    yield "kernel", (in_features, units)
    yield "bias", (units,)


def _sequential_shapes(layers: Mapping[str, Description]) -> Shapes:
    for layer, description in layers.items():
        for name, shape in variable_shapes(description):
            yield f"{layer}.{name}", shape


def _default_network_shapes(input_shape: list[int], num_hidden: int, kernel_shape: Any) -> Shapes:
    channels = input_shape[-1]
    for layer, convolution in (("conv1", (channels, num_hidden, kernel_shape)),
                               ("conv2", (num_hidden, num_hidden, 1)),
                               ("conv3", (num_hidden, 2 * channels, kernel_shape))):
        for name, shape in _conv2d_shapes(*convolution):
            yield f"{layer}.{name}", shape


def _default_exit_network_shapes(input_shape: list[int], output_chan: int,
                                 kernel_shape: Any) -> Shapes:
    for name, shape in _conv2d_shapes(input_shape[-1], 2 * output_chan, kernel_shape):
        yield f"conv1.{name}", shape


def _is_size(value: Any) -> bool:
    return type(value) is int and value >= 1


def _is_side(value: Any) -> bool:
    """A kernel's side, or its height and width."""
    pair = value if isinstance(value, list) else [value, value]
    return len(pair) == 2 and all(map(_is_size, pair))


def _is_shape(value: Any) -> bool:
    return isinstance(value, list) and len(value) >= 1 and all(map(_is_size, value))


def _is_string(value: Any) -> bool:
    return isinstance(value, str)


def _is_dict(value: Any) -> bool:
    return isinstance(value, dict) and all(map(_is_string, value))


_KINDS: Mapping[str, _Kind] = {
    "Conv2D": _Kind(Conv2D, {"in_channels": _is_size, "filters": _is_size, "kernel_size": _is_side,
                             "padding": _is_string, "kernel_initializer": _is_string},
                    _conv2d_shapes),
    "Dense": _Kind(Dense, {"in_features": _is_size, "units": _is_size}, _dense_shapes),
    "ReLU": _Kind(ReLU, {}, lambda: iter(())),
    "Sequential": _Kind(Sequential, {"layers": _is_dict}, _sequential_shapes),
    "GlowDefaultNetwork": _Kind(
        GlowDefaultNetwork,
        {"input_shape": _is_shape, "num_hidden": _is_size, "kernel_shape": _is_side},
        _default_network_shapes),
    "GlowDefaultExitNetwork": _Kind(
        GlowDefaultExitNetwork,
        {"input_shape": _is_shape, "output_chan": _is_size, "kernel_shape": _is_side},
        _default_exit_network_shapes)}


def _plain(value: Any) -> Any:
    """`value` with NumPy integers as ints and tuples as lists, as JSON gives them back."""
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return int(value) if isinstance(value, np.integer) else value

