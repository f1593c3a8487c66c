"""What an implementation was seen to compute, as the diagnosis takes it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from refglow.dtypes import Array


@dataclass(frozen=True)
class ObservedLayer:
    """One layer's result towards the latent.

    Attributes:
      name: refglow's name of the layer.
      output: [B, h, w, c], as `LayerResult.output`.
      log_det: [B], in nats; None if it was not given.
    """

    name: str
    output: Array
    log_det: Array | None = None


@dataclass(frozen=True)
class Observed:
    """What was computed for images; None or empty for what was not offered.

    Attributes:
      images: [B, H, W, C], what it was given, in its number type.
      latents: what `inverse` gave.
      inverse_log_det: [B], the log-det of image -> latent.
      log_prob: [B].
      layers: in the implementation's order, towards the latent.
      started: ActNorms' parameters after a data-dependent start, by refglow's names.
      start_images: the images of that start.
      gradients: of the mean of log_prob, by refglow's names; "x" is that of the images.
      bits_per_dim: [B].
      forward_inputs: latents that `forward` was given, [B, D].
      forward_images: what it gave.
      forward_log_det: [B], the log-det of latent -> image.
      directions_exchanged: whether what makes latents is called `forward`.
    """

    images: Array
    latents: Array | None = None
    inverse_log_det: Array | None = None
    log_prob: Array | None = None
    layers: tuple[ObservedLayer, ...] = ()
    started: Mapping[str, Array] = field(default_factory=dict)
    start_images: Array | None = None
    gradients: Mapping[str, Array] = field(default_factory=dict)
    bits_per_dim: Array | None = None
    forward_inputs: Array | None = None
    forward_images: Array | None = None
    forward_log_det: Array | None = None
    directions_exchanged: bool = False
