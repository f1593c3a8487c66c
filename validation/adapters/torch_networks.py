"""Coupling networks written in PyTorch: convolutions with one activation between them.

The layers are found by walking the module's children, and what was read is then held against the
module itself on random numbers: a `forward` that does something else beside calling its layers in
order (a residual sum, a function that is no module) is seen there. An activation that is not a
module is found by trying those that a dialect has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.adapters.torch_arrays import array_of, channels_of, kernel_of
from refglow.validation.compare import difference
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.networks import (
    ACTIVATIONS,
    NetworkConventions,
    network_output,
)
from refglow.validation.tolerances import probed_network

_PADDINGS = {"zeros": "zeros", "reflect": "reflect", "replicate": "edge", "circular": "wrap"}


@dataclass(frozen=True)
class ReadNetwork:
    """A network's arrays, conv1.kernel, conv1.bias, ..., and its answers; None where any will do.

    Attributes:
      arrays: by role.
      padding, activation: names in PADDINGS and ACTIVATIONS.
      hidden_norm: "actnorm" if an ActNorm follows its hidden convolutions.
    """

    arrays: dict[str, Array]
    padding: str | None
    activation: str | None
    hidden_norm: str | None


def read_network(module: Any, where: str, evaluate: Callable[[Any], Any] | None = None
                 ) -> ReadNetwork:
    """Read a network, and compare what was read with the module itself.

    Args:
      module: a torch.nn.Module.
      where: its name, for messages.
      evaluate: how it is called on a tensor; by default as `module(x)`.

    Raises:
      NotRepresentableError: if it has other layers, or computes something else than they say.
    """
    layers: list[dict[str, Array]] = []
    paddings: set[str] = set()
    activations: set[str] = set()
    normed = False
    last_is_activation = False
    for layer in _layers(module, where):
        kind = type(layer).__name__
        last_is_activation = False
        if kind == "Conv2d":
            padding = _padding(layer, where)
            paddings |= {padding} if padding else set()
            layers.append(_convolution(layer, where))
        elif kind == "ActNorm" and layers:
            layers[-1] |= _hidden_actnorm(layer, where)
            normed = True
        else:
            activations.add(_activation(layer, where))
            last_is_activation = True
    _require_one(paddings, "paddings", where)
    _require_one(activations, "activations", where)
    activation = next(iter(activations), None)
    if last_is_activation:
        activation = _also_at_the_end(activation, where)
    padding = next(iter(paddings), None)
    found = _probed(module, layers, padding, activation, where, evaluate or module)
    arrays = {f"conv{k + 1}.{role}": value for k, layer in enumerate(layers)
              for role, value in layer.items()}
    return ReadNetwork(arrays, padding, found if len(layers) > 1 or last_is_activation else None,
                       ("actnorm" if normed else "none") if len(layers) > 1 else None)


def _layers(module: Any, where: str) -> Iterator[Any]:
    """The layers in order: of a container its children's, and of a module with one child that."""
    kind = type(module).__name__
    children = list(module.children())
    if kind in ("Conv2d", "ActNorm", *_ACTIVATIONS):
        yield module
    elif kind == "Identity":
        return
    elif kind in _REFUSED:
        raise NotRepresentableError.at(f"{where}, a {kind},", _REFUSED[kind])
    elif children:
        for child in children:
            yield from _layers(child, where)
    else:
        raise NotRepresentableError.at(
            f"{where} with its layer {kind}", "a dialect's network has convolutions, one "
            "activation between them, and ActNorms.")


_REFUSED = {
    "ConvResidualNet": "its blocks add their input to their output, and a dialect's network is a "
                       "sequence of convolutions.",
    "BatchNorm2d": "what it computes depends on the batch, or on running statistics that are not "
                   "weights.",
    "Dropout": "it is random while training.", "Dropout2d": "it is random while training.",
}

_ACTIVATIONS: dict[str, Callable[[Any], str]] = {
    "ReLU": lambda layer: "relu",
    "LeakyReLU": lambda layer: {0.0: "relu", 1.0: "none"}.get(
        float(layer.negative_slope), f"leaky relu {layer.negative_slope:g}"),
    "ELU": lambda layer: "elu" if layer.alpha == 1 else f"elu of alpha {layer.alpha:g}",
    "GELU": lambda layer: "gelu" if layer.approximate == "none" else "approximate gelu",
    "SiLU": lambda layer: "silu",
    "Tanh": lambda layer: "tanh",
    "Softplus": lambda layer: ("softplus" if layer.beta == 1
                               else f"softplus of beta {layer.beta:g}"),
}


def _activation(layer: Any, where: str) -> str:
    kind = type(layer).__name__
    if kind not in _ACTIVATIONS:
        raise NotRepresentableError.at(f"{where}", f"it begins with a layer {kind}.")
    name = _ACTIVATIONS[kind](layer)
    if name not in ACTIVATIONS:
        raise NotRepresentableError.at(f"{where} with its activation {name!r}",
                                       f"a dialect has {', '.join(map(repr, ACTIVATIONS))}.")
    return name


def _also_at_the_end(activation: str | None, where: str) -> str:
    if activation != "relu":
        raise NotRepresentableError.at(f"{where} with {activation!r} after its last convolution",
                                       "a dialect has only ReLU there.")
    return "relu also at the end"


def _require_one(found: set[str], what: str, where: str) -> None:
    if len(found) > 1:
        raise NotRepresentableError.at(f"{where} with its {what} {sorted(found)}",
                                       "a dialect's network has one.")


def _padding(layer: Any, where: str) -> str | None:
    """The name of a convolution's padding; None for a 1x1 kernel, which needs none."""
    sizes = tuple(layer.kernel_size)
    same = tuple(size // 2 for size in sizes)
    plain = (tuple(layer.stride), tuple(layer.dilation), layer.groups) == ((1, 1), (1, 1), 1)
    padded = layer.padding if layer.padding != "same" else same
    padded = (0, 0) if padded == "valid" else tuple(padded)
    if not plain or padded != same or any(size % 2 == 0 for size in sizes):
        raise NotRepresentableError.at(
            f"{where} with {layer}", "a dialect's convolutions keep the image's size, with odd "
            "kernels and without stride, dilation or groups.")
    return _PADDINGS[layer.padding_mode] if same != (0, 0) else None


def _convolution(layer: Any, where: str) -> dict[str, Array]:
    arrays = {"kernel": kernel_of(layer.weight, where)}
    if layer.bias is not None:
        arrays["bias"] = array_of(layer.bias, where)
    return arrays


def _hidden_actnorm(layer: Any, where: str) -> dict[str, Array]:
    """normflows' x exp(s) + t as (x + t exp(-s)) exp(s)."""
    actnorm = getattr(layer, "actNorm", None)
    if actnorm is None:
        raise NotRepresentableError.at(f"{where} with its ActNorm of {type(layer).__module__}",
                                       "only normflows' is known inside of a network.")
    require_initialised(bool(actnorm.data_dep_init_done > 0), f"{where}'s hidden ActNorm")
    s, t = channels_of(actnorm.s, where), channels_of(actnorm.t, where)
    return {"shift": t * np.exp(-s), "log_scale": s}


def require_initialised(initialised: bool, where: str) -> None:
    """Refuse an ActNorm that will take its values from the next batch.

    Raises:
      NotRepresentableError: if so.
    """
    if not initialised:
        raise NotRepresentableError.at(
            where, "it has not seen data yet, so its values would come from the next batch; call "
            "the model on a batch first.")


def _probed(module: Any, layers: list[dict[str, Array]], padding: str | None,
            activation: str | None, where: str, evaluate: Callable[[Any], Any]) -> str:
    """The activation with which the layers compute what the module does on random numbers."""
    import torch
    if not layers:
        raise NotRepresentableError.at(where, "it has no convolution.")
    first = layers[0]["kernel"]
    x = np.random.default_rng(0).standard_normal((2, 4, 6, first.shape[2])).astype(first.dtype)
    device = next(module.parameters()).device
    with torch.no_grad():
        tensor = torch.tensor(np.moveaxis(x, -1, 1).copy(), device=device)
        expected = np.moveaxis(evaluate(tensor).cpu().numpy(), 1, -1)
    tried = [activation] if activation else ["none", *ACTIVATIONS] if len(layers) > 1 else ["none"]
    for name in tried:
        conventions = NetworkConventions(padding or "zeros", name)
        output = network_output(x, list(layers), conventions)
        if output.shape == expected.shape and (
                difference(output, expected).relative < probed_network(first.dtype)):
            return name
    raise NotRepresentableError.at(
        where, "its layers, called in order, do not give what it gives on random numbers; its "
        "forward does something else too.")
