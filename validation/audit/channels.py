"""By what each layer multiplies its channels: the evidence that names a channel.

Towards the latent, an ActNorm multiplies channel c by exp(v_c), a coupling the channels it maps by
sigmoid(r + 2) and an exit by exp(r + 2), r for each pixel from the layer's network; a 1x1
convolution stretches some combination of channels by each of its matrix' singular values. On the
way to the image all of them divide.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from refglow.bijectors.glow_coupling import ExpAffine, RawAffine
from refglow.bijectors.real_nvp import RealNVP, real_nvp_split
from refglow.bijectors.scale_matvec_lu import lu_reconstruct
from refglow.dtypes import Array
from refglow.elementary import log_sigmoid
from refglow.validation.audit.walk import active
from refglow.validation.layers import Layer


@dataclass(frozen=True)
class Scales:
    """What a layer multiplies by towards the latent.

    Attributes:
      what: "exp(v)", "sigmoid(r + 2)", "exp(r + 2)" or "singular values".
      channels: the numbers of the channels, [n]; for singular values 0, ..., n - 1.
      least, largest: over pixels and images, for each of them, [n].
    """

    what: str
    channels: Array
    least: Array
    largest: Array

    @property
    def range(self) -> tuple[float, float]:
        """(the least of all, the largest of all)."""
        return float(self.least.min()), float(self.largest.max())

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {"what": self.what, "channels": self.channels.tolist(),
                "least": self.least.tolist(), "largest": self.largest.tolist()}


def scales_of(layer: Layer, inputs: Sequence[Array]) -> Scales | None:
    """The scales of a layer (float64), or None if it has none.

    Args:
      layer: the layer.
      inputs: batches of values at its place, on which a coupling's scales depend.
    """
    if layer.kind == "ActivationNormalization":
        scales = np.exp(layer.bijector.log_scale.numpy())
        return Scales("exp(v)", np.arange(len(scales)), scales, scales)
    if layer.kind == "OneByOneConv":
        matrix = conv_matrix(layer)
        values = (np.linalg.svd(matrix, compute_uv=False) if np.isfinite(matrix).all()
                  else np.full(len(matrix), np.nan))
        return Scales("singular values", np.arange(len(values)), values, values)
    coupling = coupling_of(layer)
    return None if coupling is None else _coupling_scales(layer, coupling, inputs)


def _coupling_scales(layer: Layer, coupling: RealNVP, inputs: Sequence[Array]) -> Scales | None:
    least, largest, what, masked = [], [], "", 0
    for h in inputs:
        part = active(layer, h)
        if layer.kind == "ExitBijector":
            part = part[..., :sum(_exit_sizes(layer))]
        masked = coupling._masked_of(part.shape[-1])
        deciding, mapped = real_nvp_split(part, masked)
        affine = coupling._bijector_fn(deciding, mapped.shape[-1])
        if not isinstance(affine, RawAffine):
            return None
        r = np.asarray(affine.parameters["raw_scale"]) + 2
        is_exp = isinstance(affine, ExpAffine)
        what = "exp(r + 2)" if is_exp else "sigmoid(r + 2)"
        with np.errstate(all="ignore"):
            scales = np.exp(r if is_exp else log_sigmoid(r))
        pixels = tuple(range(scales.ndim - 1))
        least.append(scales.min(axis=pixels))
        largest.append(scales.max(axis=pixels))
    if not least:
        return None
    return Scales(what, masked + np.arange(len(least[0])), np.min(least, axis=0),
                  np.max(largest, axis=0))


def coupling_of(layer: Layer) -> RealNVP | None:
    """The coupling inside a step's or an exit's layer; None if there is none."""
    inner = getattr(layer.bijector, "bijector", None)
    if layer.kind == "ExitBijector" and inner is not None:
        inner = inner.bijectors[0]
    return inner if isinstance(inner, RealNVP) else None


def _exit_sizes(layer: Layer) -> tuple[int, int]:
    leave, grab, _ = layer.bijector.bijector.parameters["blockwise_splits"]
    return int(leave), int(grab)


def conv_matrix(layer: Layer) -> Array:
    """The matrix by which a 1x1 convolution multiplies towards the latent, [C, C]."""
    factors = layer.bijector.bijector.bijector
    return lu_reconstruct(factors.lower_upper.numpy(), factors.permutation.numpy())


def least_direction(matrix: Array) -> tuple[Array, Array]:
    """(v, u) with W v = s u, s the least singular value.

    Args:
      matrix: W, [C, C], finite.

    Returns:
      v: [C], the combination of input channels that W nearly loses; u: [C], that of output channels
      that W^-1 blows up. Both have length 1.
    """
    left, _, right = np.linalg.svd(matrix)
    return right[-1], left[:, -1]
