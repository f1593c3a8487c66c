"""The layers of a Glow in any dialect, towards the latent and back, as functions of arrays.

Each takes x [B, h, w, c] and a layer's arrays by role and gives (result, log-det [B] in nats). The
arithmetic is the specification's: its matrix from packed factors, its convolutions, its sigmoid;
a dialect says how they are put together.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from refglow.dtypes import Array
from refglow.elementary import exp
from refglow.validation.dialects.actnorms import ACTNORMS, FROM_EVERY_BATCH, started
from refglow.validation.dialects.affines import AFFINES, LAYOUTS, SCALES
from refglow.validation.dialects.dialect import Dialect
from refglow.validation.dialects.halves import GOING_ON, HALVES, others
from refglow.validation.dialects.log_dets import COUPLING_LOG_DETS, PIXELS
from refglow.validation.dialects.matrices import CONV_LOG_DETS, FACTORS, MATRICES, log_det_of
from refglow.validation.dialects.networks import (
    Layers,
    NetworkConventions,
    NetworkFunction,
    Operands,
    as_they_are,
    network_output,
)

Arrays = Mapping[str, Array]
AndLogDet = tuple[Array, Array]


def actnorm(x: Array, arrays: Arrays, dialect: Dialect, to_latent: bool,
            image_pixels: int) -> AndLogDet:
    """ActNorm with its m = arrays["shift"] and v = arrays["log_scale"], [c].

    Args:
      x: [B, h, w, c].
      arrays: as said.
      dialect: its `actnorm` and `log_det_pixels`.
      to_latent: the direction.
      image_pixels: how many pixels the model's images have.
    """
    if dialect.actnorm == FROM_EVERY_BATCH:
        if not to_latent:
            raise ValueError("An ActNorm that is set anew by every batch has no inverse.")
        dialect = dialect.but(actnorm="(x + m) exp(v)")
        arrays = start_of_actnorm(x, dialect)
    form = ACTNORMS[dialect.actnorm]
    m, v = arrays["shift"], arrays["log_scale"]
    y = (form.to_latent if to_latent else form.to_image)(x, m, v)
    return y, _times_pixels("actnorm", form.log_det(v).sum(), x, dialect, image_pixels, to_latent)


def start_of_actnorm(batch: Array, dialect: Dialect,
                     eps: float | None = None) -> dict[str, Array]:
    """The arrays with which ActNorm normalises a batch, before the first use.

    Args:
      batch: [B, h, w, c].
      dialect: its `actnorm`, `actnorm_deviation` and `actnorm_epsilon`.
      eps: of the number type that is meant; by default that of the batch.
    """
    if eps is None:
        eps = float(np.finfo(batch.dtype).eps)
    m, v = started(batch, dialect.actnorm, dialect.actnorm_mean, dialect.actnorm_deviation,
                   dialect.actnorm_epsilon, eps)
    return {"shift": m.astype(batch.dtype), "log_scale": v.astype(batch.dtype)}


def conv(x: Array, arrays: Arrays, dialect: Dialect, to_latent: bool, image_pixels: int,
         operands: Operands = as_they_are) -> AndLogDet:
    """The 1x1 convolution: y = W x + bias at every pixel; arrays lower_upper, permutation (, bias).

    Args:
      x: [B, h, w, c].
      arrays: as said; of "full matrix" lower_upper is W.
      dialect: its `factors`, `matrix`, `log_det_conv_formula`, `log_det_pixels`.
      to_latent: the direction.
      image_pixels: how many pixels the model's images have.
      operands: what is done to the operands of the product, towards the latent.
    """
    packed = arrays["lower_upper"]
    permutation = arrays.get("permutation", np.arange(len(packed)))
    used = MATRICES[dialect.matrix](FACTORS[dialect.factors](packed, permutation))
    bias = arrays.get("bias", np.zeros(len(packed), packed.dtype))
    y = (operands(x) @ operands(used).T + bias if to_latent
         else np.linalg.solve(used, (x - bias)[..., None])[..., 0])
    log_det = (log_det_of(dialect.factors, dialect.matrix, packed, used)
               if dialect.log_det_conv_formula == "log|det W|"
               else CONV_LOG_DETS[dialect.log_det_conv_formula](packed, used))
    return y, _times_pixels("conv", log_det, x, dialect, image_pixels, to_latent)


def coupling(x: Array, networks: list[Layers], dialect: Dialect, to_latent: bool,
             output_of: NetworkFunction = network_output) -> AndLogDet:
    """A coupling: one network, or two of which the second transforms what the first one saw.

    Args:
      x: [B, h, w, c].
      networks: one for each of `dialect.sides`, in the order towards the latent.
      dialect: the conventions of couplings and networks.
      to_latent: the direction.
      output_of: what computes a network.
    """
    total = np.zeros(len(x))
    passes = list(enumerate(networks))
    for k, layers in passes if to_latent else passes[::-1]:
        x, log_det = _coupled(x, layers, dialect, to_latent, k == 1, output_of)
        total = total + log_det
    return x, total


def _coupled(x: Array, layers: Layers, dialect: Dialect, to_latent: bool,
             second: bool, output_of: NetworkFunction) -> AndLogDet:
    channels, seen = x.shape[-1], layers[0]["kernel"].shape[2]
    if dialect.padding == "border indicator":
        seen -= 1
    conditioning = HALVES[dialect.conditioning](channels, channels - seen if second else seen)
    mapped = others(channels, conditioning)
    if second:
        conditioning, mapped = mapped, conditioning
    if dialect.joined == "exchanged" and not to_latent:
        x = np.roll(x, channels // 2, axis=-1)
    output = output_of(x[..., conditioning], layers, conventions_of(dialect))
    y = x.copy()
    y[..., mapped], log_det = _affine(x[..., mapped], output, dialect.affine, dialect.scale,
                                      dialect.layout, dialect.log_det_coupling_formula, to_latent)
    if dialect.joined == "exchanged" and to_latent:
        y = np.roll(y, channels // 2, axis=-1)
    return y, log_det


def exit_(x: Array, layers: Layers | None, grab: int, dialect: Dialect,
          to_latent: bool,
          output_of: NetworkFunction = network_output) -> tuple[Array, Array, Array]:
    """(what goes on, what leaves, log-det) of an exit towards the latent.

    Args:
      x: [B, h, w, c].
      layers: the exit's network; None if there is none.
      grab: how many channels leave.
      dialect: the conventions of exits and networks.
      to_latent: the direction; towards the image x is [what goes on | what leaves], and the first
        two results are one array in its place and an empty one.
      output_of: what computes the network.
    """
    channels = x.shape[-1]
    going_on = HALVES[GOING_ON[dialect.exit_half]](channels, channels - grab)
    leaving = others(channels, going_on)
    if to_latent:
        stays, leaves = x[..., going_on], x[..., leaving]
    else:
        stays, leaves = x[..., :channels - grab], x[..., channels - grab:]
    log_det = np.zeros(len(x))
    if layers is not None:
        output = output_of(stays, layers, conventions_of(dialect))
        leaves, log_det = _affine(leaves, output, dialect.exit_affine, dialect.exit_scale,
                                  dialect.exit_layout, dialect.log_det_exit_formula, to_latent)
    if to_latent:
        return stays, leaves, log_det
    whole = np.empty_like(x)
    whole[..., going_on], whole[..., leaving] = stays, leaves
    return whole, whole[..., :0], log_det


def top(x: Array, arrays: Arrays, to_latent: bool) -> AndLogDet:
    """The whitening of the coarsest latents: (x - mean) exp(-log_scale), and back.

    Args:
      x: [B, h, w, c].
      arrays: mean and log_scale, [h, w, c].
      to_latent: the direction.
    """
    mean, log_scale = arrays["mean"], arrays["log_scale"]
    total = float(log_scale.sum(dtype=np.float64))
    if to_latent:
        return (x - mean) / exp(log_scale), np.full(len(x), -total)
    return x * exp(log_scale) + mean, np.full(len(x), total)


def conventions_of(dialect: Dialect) -> NetworkConventions:
    """The part of a dialect that concerns networks."""
    return NetworkConventions(dialect.padding, dialect.activation, dialect.kernel, dialect.bias,
                              dialect.gain)


def _affine(x: Array, output: Array, affine: str, scale: str, layout: str, formula: str,
            to_latent: bool) -> AndLogDet:
    """The affine map of a network's output; of as many channels as x, they are a shift."""
    if output.shape[-1] == x.shape[-1]:
        if affine not in ("s x", "left out"):
            shift = -output if "- t" in affine else output
            x = x + shift if to_latent else x - shift
        return x, np.zeros(len(x))
    r, t = LAYOUTS[layout](output)
    form, function = AFFINES[affine], SCALES[scale]
    s, log_s = function.value(r), function.log(r)
    y = (form.to_latent if to_latent else form.to_image)(x, s, t)
    each = COUPLING_LOG_DETS[formula](log_s, s, r)
    log_det = form.power * each.reshape(len(x), -1).sum(axis=1, dtype=np.float64)
    return y, log_det if to_latent else -log_det


def _times_pixels(kind: str, log_det: Array, x: Array, dialect: Dialect, image_pixels: int,
                  to_latent: bool) -> Array:
    here = x.shape[1] * x.shape[2]
    factor = PIXELS[dialect.log_det_pixels].get(kind)
    value = float(log_det) * (here if factor is None else factor(here, image_pixels))
    return np.full(len(x), value if to_latent else -value)
