"""Checkpoints of rosinality/glow-pytorch as a Glow in its dialect.

    blocks.{b}.flows.{k}.actnorm.{loc,scale}         scale (x + loc)
    blocks.{b}.flows.{k}.invconv.{w_p,w_l,w_s,w_u,s_sign}   w_p (w_l + 1) (w_u + s_sign e^w_s)
    blocks.{b}.flows.{k}.invconv.weight              W, with --no_lu, but in the last block
    blocks.{b}.flows.{k}.coupling.net.{0,2}          convolutions, ReLU after each
    blocks.{b}.flows.{k}.coupling.net.4.{conv,scale} padded with ones, times exp(3 scale)
    blocks.{b}.prior.{conv,scale}                    the same, of what goes on: [mean, log_sd]

b counts from the image. The last block's prior is a convolution of zeros, padded with ones.

Source: rosinality/glow-pytorch, model.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.adapters.checkpoint import Checkpoint, require_shape, top_of
from refglow.validation.adapters.imported import Imported, factors_taken, re_indexed, reparametrised
from refglow.validation.adapters.levels import Level, Part, assembled, uniform_factors
from refglow.validation.adapters.torch_arrays import packed, permutation_of
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.known import ROSINALITY
from refglow.validation.dialects.stages import conventions_of

_CONVERSIONS = (
    re_indexed("kernel", "[out, in, kh, kw]", "as given", "to [kh, kw, in, out]"),
    re_indexed("actnorm", "loc, scale", "(x + m) v", "m = loc, v = scale"),
    reparametrised("latents", "the last block's prior of zeros", "top.mean, top.log_scale",
                   "a convolution of zeros, padded with ones, is a constant of each pixel"))


def from_rosinality(arrays: Mapping[str, Any], image_shape: Sequence[int]) -> Imported:
    """The Glow of a checkpoint of rosinality/glow-pytorch.

    Args:
      arrays: by the names of its state_dict, with or without DataParallel's "module.".
      image_shape: (H, W, C); the checkpoint says only C.

    Raises:
      ValueError: if arrays are missing or misfit.
      NotRepresentableError: if there are others, or an ActNorm has not seen data.
    """
    checkpoint = Checkpoint(arrays, r"blocks\.0\.flows\.0\.actnorm\.loc", "rosinality/glow-pytorch")
    blocks = _count(checkpoint, "blocks.{}.flows.0.actnorm.loc")
    levels = [_level(checkpoint, b, last=b == blocks - 1) for b in range(blocks)]
    levels, factors, multiplied = uniform_factors(levels, "P L U")
    channels = len(levels[0].parts[0].arrays["shift"]) // 4
    shape = require_shape(image_shape, channels)
    dialect = ROSINALITY.but(factors=factors)
    coarsest = len(levels[-1].parts[0].arrays["shift"])
    size = (shape[0] >> blocks, shape[1] >> blocks)
    top = top_of(_zero_conv(checkpoint, f"blocks.{blocks - 1}.prior"), conventions_of(dialect),
                 size, coarsest)
    checkpoint.require_all_taken([r"\.(u_mask|l_mask|l_eye|initialized)$"])
    glow, _ = assembled(shape, levels, dialect, top)
    return Imported(glow, (*_CONVERSIONS, factors_taken(
        "w_p, w_l, w_u, s_sign, w_s", "weight", "s_sign exp(w_s)", factors, multiplied,
        "blocks")))


def _count(checkpoint: Checkpoint, name: str) -> int:
    count = 0
    while checkpoint.has(name.format(count)):
        count += 1
    return count


def _level(checkpoint: Checkpoint, b: int, last: bool) -> Level:
    parts: list[Part] = []
    for k in range(_count(checkpoint, f"blocks.{b}.flows.{{}}.actnorm.loc")):
        place = f"blocks.{b}.flows.{k}"
        flag = f"{place}.actnorm.initialized"
        if checkpoint.has(flag) and not checkpoint.flag(flag):
            raise NotRepresentableError.at(f"{place}.actnorm", "it has not seen data yet, so its "
                                           "values would come from the next batch.")
        parts += [Part("actnorm", {"shift": checkpoint.channels(f"{place}.actnorm.loc"),
                                   "log_scale": checkpoint.channels(f"{place}.actnorm.scale")}),
                  _conv(checkpoint, f"{place}.invconv"), _coupling(checkpoint, f"{place}.coupling")]
    if last:
        return Level(tuple(parts))
    network = _zero_conv(checkpoint, f"blocks.{b}.prior")
    return Level(tuple(parts), len(network["bias"]) // 2,
                 {f"conv1.{role}": value for role, value in network.items()})


def _conv(checkpoint: Checkpoint, place: str) -> Part:
    if checkpoint.has(f"{place}.weight"):
        return Part("conv", {"lower_upper": checkpoint.take(
            f"{place}.weight", None, None, 1, 1)[:, :, 0, 0]})
    p, lower, upper = (checkpoint.take(f"{place}.{name}", None, None)
                       for name in ("w_p", "w_l", "w_u"))
    sign, log_s = (checkpoint.take(f"{place}.{name}", None) for name in ("s_sign", "w_s"))
    return Part("conv", {"lower_upper": packed(lower, upper, sign * np.exp(log_s)),
                         "permutation": permutation_of(p, f"{place}.w_p")})


def _coupling(checkpoint: Checkpoint, place: str) -> Part:
    arrays: dict[str, Array] = {}
    for layer, number in (("conv1", 0), ("conv2", 2)):
        arrays[f"{layer}.kernel"] = checkpoint.kernel(f"{place}.net.{number}.weight")
        arrays[f"{layer}.bias"] = checkpoint.take(f"{place}.net.{number}.bias", None)
    return Part("coupling", arrays | {
        f"conv3.{role}": value
        for role, value in _zero_conv(checkpoint, f"{place}.net.4").items()})


def _zero_conv(checkpoint: Checkpoint, place: str) -> dict[str, Array]:
    return {"kernel": checkpoint.kernel(f"{place}.conv.weight"),
            "bias": checkpoint.take(f"{place}.conv.bias", None),
            "gain": checkpoint.channels(f"{place}.scale")}
