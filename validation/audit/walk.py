"""Going through a Glow layer by layer: values, tangents and cotangents, in either direction.

Places are the points between layers: place 0 is the image, place k what layer k - 1 made on the way
to the latent, place L the latent. With f_k the map of layer k on that way,

    h_(k+1) = f_k(h_k),    J_k = dh_(k+1)/dh_k

A layer that acts on the first channels only leaves the others as they are.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.layers import Layer


def active(layer: Layer, h: Array) -> Array:
    """The channels that the layer acts on."""
    return h if layer.channels is None else h[..., :layer.channels]


def through(layer: Layer, h: Array, to_latent: bool) -> Array:
    """The next place's values: f_k(h) to the latent, f_k^-1(h) to the image.

    Raises:
      ValueError: if the layer cannot compute at all (a matrix that has no inverse).
    """
    part = active(layer, h)
    result = layer.bijector.inverse(part) if to_latent else layer.bijector.forward(part)
    return _whole(layer, result, h)


def tangent_through(layer: Layer, h: Array, h_dot: Array, to_latent: bool) -> Array:
    """J_k h_dot to the latent, J_k^-1 h_dot to the image; h is where the walk comes from."""
    jvp = layer.bijector.inverse_jvp if to_latent else layer.bijector.forward_jvp
    _, (part_dot, _) = jvp(active(layer, h), active(layer, h_dot))
    return _whole(layer, part_dot, h_dot)


def cotangent_through(layer: Layer, h: Array, bar: Array, to_latent: bool) -> Array:
    """J_k^T bar of a walk to the latent, J_k^-T bar of one to the image; h is where it comes from.

    Args:
      layer: the layer.
      h: the values from which the walk comes.
      bar: the cotangent of those to which it goes.
      to_latent: the direction of the walk; cotangents go the other way.
    """
    vjp = layer.bijector.inverse_vjp if to_latent else layer.bijector.forward_vjp
    _, pullback = vjp(active(layer, h))
    part_bar, _ = pullback(active(layer, bar), None)
    return _whole(layer, part_bar, bar)


def trajectory(layers: Sequence[Layer], start: Array, to_latent: bool,
               after: Callable[[Array], Array] | None = None) -> list[Array]:
    """The values at all places, by place, of a walk that begins with `start`.

    Args:
      layers: towards the latent, as `layers_towards_latent` gives them.
      start: images (to the latent) or latents (to the image).
      to_latent: the direction.
      after: applied to every layer's result, as a rounding.
    """
    places: list[Any] = [start]
    for layer in layers if to_latent else reversed(layers):
        result = through(layer, places[-1], to_latent)
        places.append(result if after is None else after(result))
    return places if to_latent else places[::-1]


def _whole(layer: Layer, part: Array, h: Array) -> Array:
    if layer.channels is None:
        return part
    return np.concatenate([part, h[..., layer.channels:]], axis=-1)
