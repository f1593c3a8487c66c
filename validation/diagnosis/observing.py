"""Seeing what an implementation computes: everything that it offers, for given images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.diagnosis.observed import Observed, ObservedLayer

# Of the first channel's, in the images of a start: what is added to a deviation shows there.
SMALL_DEVIATION = 1e-6


def observe(implementation: Any, images: Array, latents: Array) -> Observed:
    """Call what an implementation offers and keep what it returns.

    Args:
      implementation: offers some of inverse(x), forward(z), their log_det_jacobians, log_prob(x),
        layers(x), initialize(x), gradients(x), bits_per_dim(x); arrays in, arrays out.
      images: [B, H, W, C].
      latents: [B, D], for `forward`.

    Returns:
      what was seen. Where `forward` takes images and gives latents, `inverse` latents and images,
      the two are exchanged, which is noted.

    Raises:
      whatever the implementation raises, but for a wrong direction.
    """
    def offered(name: str, *arguments: Any) -> Any:
        function = getattr(implementation, name, None)
        return None if function is None else function(*arguments)
    start_images = images.copy()
    start_images[..., 0] *= SMALL_DEVIATION
    exchanged = _are_exchanged(implementation, images, latents)
    towards_latent, towards_image = (("forward", "inverse") if exchanged
                                     else ("inverse", "forward"))
    z_in = latents.astype(images.dtype)
    z = _array(offered(towards_latent, images))
    forward_images = _given_up(lambda: offered(towards_image, z_in))
    return Observed(
        images=images, directions_exchanged=exchanged, latents=z,
        inverse_log_det=_per_image(offered(f"{towards_latent}_log_det_jacobian", images), images),
        log_prob=_array(offered("log_prob", images)),
        layers=_layers(offered("layers", images)),
        started=_arrays(offered("initialize", start_images)), start_images=start_images,
        gradients=_arrays(offered("gradients", images)),
        bits_per_dim=_array(offered("bits_per_dim", images)),
        forward_inputs=None if forward_images is None else z_in, forward_images=forward_images,
        forward_log_det=_given_up(
            lambda: _per_image(offered(f"{towards_image}_log_det_jacobian", z_in), z_in)))


def _are_exchanged(implementation: Any, images: Array, latents: Array) -> bool:
    """Whether `inverse` cannot take images, and `forward` can and gives latents."""
    if not (hasattr(implementation, "inverse") and hasattr(implementation, "forward")):
        return False
    return (_shape_of(implementation.inverse, images) != latents.shape
            and _shape_of(implementation.forward, images) == latents.shape)


def _shape_of(function: Callable[[Array], Any], argument: Array) -> tuple[int, ...] | None:
    result = _given_up(lambda: function(argument))
    return None if result is None else result.shape


def _given_up(call: Callable[[], Any]) -> Array | None:
    """The result as an array, or None where the call raises: that is judged elsewhere."""
    try:
        return _array(call())
    except Exception:  # whatever a stranger's code raises
        return None


def _array(value: Any) -> Array | None:
    return None if value is None else np.asarray(value)


def _per_image(value: Any, batch: Array) -> Array | None:
    """A log-det of each image; one number stands for all."""
    array = _array(value)
    return np.full(len(batch), array) if array is not None and array.ndim == 0 else array


def _arrays(value: Mapping[str, Any] | None) -> dict[str, Array]:
    return {} if value is None else {name: np.asarray(array) for name, array in value.items()}


def _layers(value: Any) -> tuple[ObservedLayer, ...]:
    if value is None:
        return ()
    items: Iterable[Any] = (
        ((name, *(given if isinstance(given, tuple) else (given,)))
         for name, given in value.items()) if isinstance(value, Mapping) else value)
    return tuple(ObservedLayer(name, np.asarray(output), *(np.asarray(each).reshape(-1)
                                                     for each in log_det))
                 for name, output, *log_det in items)
