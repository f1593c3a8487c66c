"""Checkpoints of chaiyujin/glow-pytorch and y0ast/Glow-PyTorch as a Glow in their dialect.

    flow.layers.{k}.actnorm.{bias,logs}              (x + bias) exp(logs)
    flow.layers.{k}.invconv.weight                   W, or factors
                    .{p,l,u,sign_s,log_s}            y0ast: lower, upper for l, u
    flow.layers.{k}.f.{0,2}.{weight,actnorm.*}       y0ast: block.{0,2}.conv.weight
    flow.layers.{k}.f.4.{weight,bias,logs}           times exp(3 logs); y0ast: block.4.conv.weight
    flow.layers.{k}.conv.{weight,bias,logs}          Split2d: interleaved mean, logs
    learn_top.{weight,bias,logs}                     y0ast: learn_top_fn.conv.weight, ...

k counts all layers from the image, a squeeze, which has no arrays, included: so a layer whose
predecessor has none begins a level. learn_top sees zeros, padded with zeros: its bias is left.

Source: chaiyujin/glow-pytorch, glow/models.py, glow/modules.py; y0ast/Glow-PyTorch, model.py,
modules.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.adapters.checkpoint import Checkpoint, require_shape, top_of
from refglow.validation.adapters.imported import Imported, factors_taken, re_indexed, reparametrised
from refglow.validation.adapters.levels import Level, Part, assembled, uniform_factors
from refglow.validation.adapters.torch_arrays import packed, permutation_of
from refglow.validation.dialects.conversion import NotRepresentableError
from refglow.validation.dialects.known import CHAIYUJIN
from refglow.validation.dialects.stages import conventions_of

_CONVERSIONS = (
    re_indexed("kernel", "[out, in, kh, kw]", "as given", "to [kh, kw, in, out]"),
    re_indexed("actnorm", "bias, logs", "(x + m) exp(v)", "m = bias, v = logs"))
_CLASSES = "It is conditioned on classes: project_ycond"


def from_chaiyujin(arrays: Mapping[str, Any], image_shape: Sequence[int] | None = None) -> Imported:
    """The Glow of a checkpoint of chaiyujin/glow-pytorch or y0ast/Glow-PyTorch.

    Args:
      arrays: by the names of its state_dict (chaiyujin's files have it under "graph").
      image_shape: (H, W, C), where the checkpoint has no "prior_h", whose shape says it.

    Raises:
      ValueError: if arrays are missing or misfit.
      NotRepresentableError: if there are others; if steps permute channels without a convolution,
        as the permutation is not in a checkpoint; if it is conditioned on classes.
    """
    checkpoint = Checkpoint(arrays, r"flow\.layers\.1\.actnorm\.bias", "chaiyujin/glow-pytorch")
    if checkpoint.has("project_ycond.weight") or checkpoint.has("project_ycond.linear.weight"):
        raise NotRepresentableError.at(_CLASSES, "a dialect's latents have one distribution.")
    levels, factors, multiplied = uniform_factors(_levels(checkpoint), "P L U")
    dialect = CHAIYUJIN.but(factors=factors)
    coarsest, finest = (len(levels[k].parts[0].arrays["shift"]) for k in (-1, 0))
    if image_shape is None:
        if not checkpoint.has("prior_h"):
            raise ValueError("The checkpoint has no prior_h, which would say the image's shape; "
                             "give image_shape=(H, W, C).")
        h, w = checkpoint.take("prior_h", None, None, None, None).shape[2:]
        image_shape = (h << len(levels), w << len(levels), finest // 4)
    shape = require_shape(image_shape, finest // 4)
    top, name = None, next((name for name in ("learn_top", "learn_top_fn")
                            if checkpoint.has(f"{name}.logs")), None)
    if name is not None:
        size = (shape[0] >> len(levels), shape[1] >> len(levels))
        top = top_of(_zeros_conv(checkpoint, name), conventions_of(dialect), size, 2 * coarsest)
    checkpoint.require_all_taken([r"^prior_h$", r"^project_class\."])
    glow, _ = assembled(shape, levels, dialect, top)
    return Imported(glow, (
        *_CONVERSIONS,
        factors_taken("p, l, u, sign_s, log_s", "weight", "sign_s exp(log_s)", factors,
                      multiplied),
        *((reparametrised("latents", "learn_top of zeros", "top.mean, top.log_scale",
                          "a convolution of zeros is its bias"),) if top else ())))


def _levels(checkpoint: Checkpoint) -> list[Level]:
    numbers = sorted({int(match[1]) for name in checkpoint.names()
                      if (match := re.match(r"flow\.layers\.(\d+)\.", name))})
    levels: list[Level] = []
    parts: list[Part] = []
    for k in numbers:
        place = f"flow.layers.{k}"
        if checkpoint.has(f"{place}.actnorm.bias"):
            parts += _step(checkpoint, place)
            continue
        network = _zeros_conv(checkpoint, f"{place}.conv")
        levels.append(Level(tuple(parts), len(network["bias"]) // 2,
                            {f"conv1.{role}": value for role, value in network.items()}))
        parts = []
    if not parts:
        raise ValueError("The checkpoint ends with an exit; steps should follow.")
    return [*levels, Level(tuple(parts))]


def _step(checkpoint: Checkpoint, place: str) -> list[Part]:
    if not any(checkpoint.has(f"{place}.invconv.{name}") for name in ("weight", "p")):
        raise NotRepresentableError.at(
            place, "it has no 1x1 convolution, so its channels are reversed or shuffled, and a "
            "checkpoint does not say which.")
    network = "block" if checkpoint.has(f"{place}.block.4.logs") else "f"
    arrays = {f"conv{k + 1}.{role}": value for k, number in enumerate((0, 2))
              for role, value in _hidden(checkpoint, f"{place}.{network}.{number}").items()}
    arrays |= {f"conv3.{role}": value
               for role, value in _zeros_conv(checkpoint, f"{place}.{network}.4").items()}
    return [Part("actnorm", {"shift": checkpoint.channels(f"{place}.actnorm.bias"),
                             "log_scale": checkpoint.channels(f"{place}.actnorm.logs")}),
            _conv(checkpoint, f"{place}.invconv"), Part("coupling", arrays)]


def _conv(checkpoint: Checkpoint, place: str) -> Part:
    if checkpoint.has(f"{place}.weight"):
        return Part("conv", {"lower_upper": checkpoint.take(f"{place}.weight", None, None)})
    names = ("lower", "upper") if checkpoint.has(f"{place}.lower") else ("l", "u")
    p, lower, upper = (checkpoint.take(f"{place}.{name}", None, None) for name in ("p", *names))
    sign, log_s = (checkpoint.take(f"{place}.{name}", None) for name in ("sign_s", "log_s"))
    return Part("conv", {"lower_upper": packed(lower, upper, sign * np.exp(log_s)),
                         "permutation": permutation_of(p, f"{place}.p")})


def _weight(checkpoint: Checkpoint, place: str, name: str) -> str:
    """A convolution's weight or bias: y0ast's stands one level deeper."""
    deeper = f"{place}.conv.{name}"
    return deeper if checkpoint.has(deeper) else f"{place}.{name}"


def _hidden(checkpoint: Checkpoint, place: str) -> dict[str, Array]:
    return {"kernel": checkpoint.kernel(_weight(checkpoint, place, "weight")),
            "shift": checkpoint.channels(f"{place}.actnorm.bias"),
            "log_scale": checkpoint.channels(f"{place}.actnorm.logs")}


def _zeros_conv(checkpoint: Checkpoint, place: str) -> dict[str, Array]:
    return {"kernel": checkpoint.kernel(_weight(checkpoint, place, "weight")),
            "bias": checkpoint.take(_weight(checkpoint, place, "bias"), None),
            "gain": checkpoint.channels(f"{place}.logs")}
