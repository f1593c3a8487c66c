"""The reference's layers from image to latent, on the channels that have not exited yet.

refglow's own layers carry along what has exited, as further channels. Implementations that keep it
elsewhere have no such channels, so each layer here takes and gives the first channels only: the
others are zeros, which it lets pass, and which add nothing to its log-det.

    squeeze             takes the leave channels of the block before, gives leave + grab
    actnorm, conv, coupling, exit                                  leave + grab, both
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from refglow.bijectors.glow import Glow
from refglow.dtypes import Array
from refglow.validation.layers import Layer, layer_roundings, layers_towards_latent


@dataclass(frozen=True)
class ActiveLayer:
    """One layer.

    Attributes:
      name: "block1.squeeze", "block1.step0.conv", "block0.exit", ...
      layer: refglow's, with all channels.
      takes, gives: how many channels go in and come out here.
      carries: how many refglow's layer takes.
      roundings: how many of its parts commit roundings.
    """

    name: str
    layer: Layer
    takes: int
    gives: int
    carries: int
    roundings: int

    def towards_latent(self, x: Array) -> tuple[Array, Array]:
        """(output, log-det) for the output of the layer before, or the images.

        Args:
          x: [B, h, w, c], c at least `takes`; further channels have exited and are left out.

        Returns:
          [B, h', w', gives]; [B], in nats.
        """
        whole = np.zeros((*x.shape[:-1], self.carries), x.dtype)
        whole[..., :self.takes] = x[..., :self.takes]
        y, log_det = self.layer.bijector.inverse_and_log_det(whole, 3)
        return y[..., :self.gives], np.broadcast_to(log_det, len(x))


def active_layers(glow: Glow) -> list[ActiveLayer]:
    """The layers in the order from image to latent; an exit only where some exit and some stay."""
    channels = int(glow.parameters["output_shape"][2])
    splits = glow.blockwise_splits
    found = []
    left = channels  # of the block before
    for layer in layers_towards_latent(glow):
        if layer.name == "reshape":
            continue
        block = int(layer.name.removeprefix("block").split(".")[0])
        leave, grab, passed = splits[block]
        active = leave + grab
        if layer.kind == "Expand":
            found.append(ActiveLayer(f"block{block}.squeeze", layer, left, active,
                                     (active + passed) // 4, layer_roundings(layer)))
        elif layer.kind != "ExitBijector":
            found.append(ActiveLayer(layer.name, layer, active, active, active,
                                     layer_roundings(layer)))
        else:
            left = leave
            if leave and grab:
                found.append(ActiveLayer(layer.name, layer, active, active, active + passed,
                                         layer_roundings(layer)))
    return found
