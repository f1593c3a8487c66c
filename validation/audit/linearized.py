"""A network's Jacobian at a point, applied again and again.

Bidiagonalization multiplies by one Jacobian many times. Between ReLUs a network of convolutions is
linear: with the ReLUs' masks kept, J v and J^T u are its convolutions and nothing else. Neither its
values nor its parameters' gradients are computed again.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.networks.conv2d import Conv2D
from refglow.networks.network import Network, Pullback
from refglow.networks.relu import ReLU
from refglow.networks.sequential import Sequential
from refglow.networks.shifted_products import convolved, margins
from refglow.validation.audit.channels import coupling_of
from refglow.validation.layers import Layer

_MOST_POINTS = 6


def linearize(layers: Sequence[Layer]) -> None:
    """Give the layers' couplings networks that keep their Jacobians; others stay as they are."""
    for layer in layers:
        fn: Any = getattr(coupling_of(layer), "_bijector_fn", None)
        network = getattr(fn, "network", None)
        if isinstance(network, Sequential) and all(
                type(part) in (Conv2D, ReLU) for part in network.layers.values()):
            fn.network = Linearized(network)


class Linearized(Network):
    """A network of convolutions and ReLUs, whose derivatives are those by its input alone."""

    def __init__(self, network: Sequential) -> None:
        """Keep the network; nothing is computed yet."""
        self._network, self._parts = network, tuple(network.layers.values())
        self._points: OrderedDict[bytes, tuple[Array, list[Any]]] = OrderedDict()

    def __call__(self, x: Array) -> Array:
        """The network's output."""
        return np.asarray(self._network(x))

    def vjp(self, x: Any) -> tuple[Array, Pullback]:
        """(output, pullback); the pullback gives no cotangents of parameters."""
        y, masks = self._at(x)

        def pullback(y_bar: Any) -> tuple[Array, dict[str, Array]]:
            for part, mask in zip(reversed(self._parts), reversed(masks), strict=True):
                y_bar = _turned(part, y_bar) if mask is None else mask * y_bar
            return y_bar, {}
        return np.broadcast_to(y, (*x.shape[:-1], y.shape[-1])), pullback

    def jvp(self, x: Any, x_dot: Any,
            param_dots: Mapping[str, Any] | None = None) -> tuple[Array, Array]:
        """(output, its tangent); parameters do not move."""
        y, masks = self._at(x)
        for part, mask in zip(self._parts, masks, strict=True):
            if mask is None:
                kernel = part.kernel.numpy()
                x_dot = convolved(x_dot, kernel, *margins(kernel, part.padding))
            else:
                x_dot = mask * x_dot
        return np.broadcast_to(y, x_dot.shape), x_dot

    def _at(self, x: Array) -> tuple[Array, list[Any]]:
        """(the output, of each part its mask or None) at x; of one image where all are the same."""
        point = x[:1] if (x == x[:1]).all() else x
        key = hashlib.blake2b(point.tobytes()).digest()
        if key not in self._points:
            masks: list[Any] = []
            y = point
            for part in self._parts:
                y = part(y)
                masks.append(y > 0 if isinstance(part, ReLU) else None)
            self._points[key] = y, masks
            if len(self._points) > _MOST_POINTS:
                self._points.popitem(last=False)
        return self._points[key]


def _turned(part: Conv2D, y_bar: Array) -> Array:
    """The transpose of a convolution (see `conv2d_gradient`)."""
    kernel = part.kernel.numpy()
    (kh, kw), (ph, pw) = kernel.shape[:2], margins(kernel, part.padding)
    return convolved(y_bar, kernel[::-1, ::-1].swapaxes(2, 3), kh - 1 - ph, kw - 1 - pw)
