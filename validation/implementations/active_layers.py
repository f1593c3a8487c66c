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
from refglow.dtypes import Array, DType
from refglow.layer_name import block_of
from refglow.validation.layers import Layer, layer_roundings, layers_towards_latent
from refglow.validation.tolerances import Tolerance, log_det_agreement


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

    def log_det_tolerance(self, dtype: DType, roundings: int, condition: float, output: Array,
                          log_det: Array) -> Tolerance:
        """The error that passes for the layer's log-det.

        It is a sum of one term for each channel, times the pixels, which may cancel; of a coupling
        of one for each number that it maps, of which at most a few do.

        Args:
          dtype, roundings, condition: as for `log_det_agreement`.
          output, log_det: the layer's, as `towards_latent` gives them.
        """
        by_channel = {name.rpartition(".")[2]: array
                      for name, array in self.layer.bijector.state_dict().items()}
        if self.layer.kind == "ActivationNormalization":
            terms = by_channel["log_scale"]
        elif self.layer.kind == "OneByOneConv":
            with np.errstate(divide="ignore"):
                terms = np.log(np.abs(np.diag(by_channel["lower_upper"])))
        else:
            return log_det_agreement(dtype, roundings, condition, output[0].size, 1.0)
        sizes = output.shape[1] * output.shape[2] * float(np.abs(terms).sum())
        cancelled = sizes / (float(np.abs(log_det).max()) or 1.0) if np.isfinite(sizes) else 1.0
        return log_det_agreement(dtype, roundings, condition, terms.size, cancelled)


def active_layers(glow: Glow) -> list[ActiveLayer]:
    """The layers in the order from image to latent; an exit only where some exit and some stay."""
    channels = int(glow.parameters["output_shape"][2])
    splits = glow.blockwise_splits
    found = []
    left = channels  # of the block before
    for layer in layers_towards_latent(glow):
        if layer.name == "reshape":
            continue
        block = block_of(layer.name)
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
