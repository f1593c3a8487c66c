"""Checkpoints of openai/glow as a Glow in its dialect.

    model/{i}/{j}/actnorm_center/b, actnorm_scale/logs     (x + b) exp(3 logs)
    model/{i}/{j}/invconv/W                                x W, channels from the left
                         /{P,L,U,sign_S,log_S}             the same with W = P L U
    model/{i}/{j}/shuffle/indices                          x[indices]
                         (none of these)                   channels reversed
    model/{i}/{j}/f1/l_{1,2}/{W, actnorm_center/b, actnorm_scale/logs}
    model/{i}/{j}/f1/l_last/{W,b,logs}                     times exp(3 logs)
    model/pool{i}/conv/{W,b,logs}                          split2d: interleaved mean, logs
    model/prior/p/{W,b,logs}                               learntop: of zeros, [mean, logs]

Level i counts from the image, step j in the order towards the latent. Convolutions pad with zeros
and have one more input channel, which is 1 on the padding and 0 inside. A file of averaged weights
has "/ExponentialMovingAverage" after each name.

Source: openai/glow, model.py, tfops.py, optim.py.
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
from refglow.validation.dialects.known import OPENAI
from refglow.validation.dialects.stages import conventions_of

_AVERAGED = "/ExponentialMovingAverage"
_CONVERSIONS = (
    re_indexed("kernel", "1x1 kernels without the border's indicator", "border indicator",
               "the indicator is 0 inside the image, its weight 0"),
    re_indexed("actnorm", "b, logs", "(x + m) exp(3 v)", "m = b, v = logs"),
    reparametrised("hidden_norm", "(x + b) exp(3 logs)", "(x + m) exp(v)", "v = 3 logs"))


def from_openai(arrays: Mapping[str, Any], image_shape: Sequence[int]) -> Imported:
    """The Glow of a checkpoint of openai/glow.

    Args:
      arrays: by the names of its variables, as `tf.train.load_checkpoint` gives them; averaged
        weights are taken where a name stands only with them.
      image_shape: (H, W, C); the checkpoint says only C.

    Raises:
      ValueError: if arrays are missing or misfit.
      NotRepresentableError: if there are others, or it is conditioned on classes.
    """
    checkpoint = Checkpoint(_without_suffixes(arrays), r"model/0/0/actnorm_center/b", "openai/glow")
    if checkpoint.has("model/prior/y_emb/W"):
        raise NotRepresentableError.at("It is conditioned on classes: model/prior/y_emb",
                                       "a dialect's latents have one distribution.")
    levels: list[Level] = []
    while checkpoint.has(f"model/{len(levels)}/0/actnorm_center/b"):
        levels.append(_level(checkpoint, len(levels)))
    levels, factors, multiplied = uniform_factors(levels, "P L U")
    coarsest, finest = (len(levels[k].parts[0].arrays["shift"]) for k in (-1, 0))
    shape = require_shape(image_shape, finest // 4)
    dialect = OPENAI.but(factors=factors)
    top = None
    if checkpoint.has("model/prior/p/W"):
        top = top_of(_zeros_conv(checkpoint, "model/prior/p"), conventions_of(dialect),
                     (shape[0] >> len(levels), shape[1] >> len(levels)), 2 * coarsest)
    checkpoint.require_all_taken([r"^(?!model/)", r"_adam", f"{_AVERAGED}", r"/classifier/",
                                  r"/indices_inverse$"])
    glow, _ = assembled(shape, levels, dialect, top)
    return Imported(glow, (
        *_CONVERSIONS,
        factors_taken("P, L, U, sign_S, log_S", "W", "sign_S exp(log_S)", factors, multiplied),
        *((reparametrised("latents", "prior/p of zeros", "top.mean, top.log_scale",
                          "a convolution of zeros and the border's indicator is a constant of "
                          "each pixel"),) if top else ())))


def _without_suffixes(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Names without ":0", and averaged weights under the plain name where that is not there."""
    plain = {re.sub(r":0$", "", name): array for name, array in arrays.items()}
    averaged = {name.removesuffix(_AVERAGED): array for name, array in plain.items()
                if name.endswith(_AVERAGED)}
    return averaged | plain


def _level(checkpoint: Checkpoint, i: int) -> Level:
    parts: list[Part] = []
    j = 0
    while checkpoint.has(f"model/{i}/{j}/actnorm_center/b"):
        parts += _step(checkpoint, f"model/{i}/{j}")
        j += 1
    if not checkpoint.has(f"model/pool{i}/conv/W"):
        return Level(tuple(parts))
    network = _zeros_conv(checkpoint, f"model/pool{i}/conv")
    return Level(tuple(parts), len(network["bias"]) // 2,
                 {f"conv1.{role}": value for role, value in network.items()})


def _step(checkpoint: Checkpoint, place: str) -> list[Part]:
    shift = checkpoint.channels(f"{place}/actnorm_center/b")
    log_scale = checkpoint.channels(f"{place}/actnorm_scale/logs")
    arrays: dict[str, Array] = {}
    for k in (1, 2):
        layer = f"{place}/f1/l_{k}"
        arrays |= {f"conv{k}.kernel": _kernel(checkpoint, f"{layer}/W"),
                   f"conv{k}.shift": checkpoint.channels(f"{layer}/actnorm_center/b"),
                   f"conv{k}.log_scale": 3 * checkpoint.channels(f"{layer}/actnorm_scale/logs")}
    arrays |= {f"conv3.{role}": value
               for role, value in _zeros_conv(checkpoint, f"{place}/f1/l_last").items()}
    return [Part("actnorm", {"shift": shift, "log_scale": log_scale}),
            _conv(checkpoint, place, len(shift), shift.dtype), Part("coupling", arrays)]


def _conv(checkpoint: Checkpoint, place: str, channels: int, number_type: Any) -> Part:
    """x W; of a permutation x[indices] the W with W[indices[o], o] = 1."""
    if checkpoint.has(f"{place}/invconv/W"):
        return Part("conv", {"lower_upper": checkpoint.take(f"{place}/invconv/W", channels,
                                                            channels)})
    if checkpoint.has(f"{place}/invconv/P"):
        p, lower, upper = (checkpoint.take(f"{place}/invconv/{name}", channels, channels)
                           for name in ("P", "L", "U"))
        sign, log_s = (checkpoint.take(f"{place}/invconv/{name}", channels)
                       for name in ("sign_S", "log_S"))
        return Part("conv", {"lower_upper": packed(lower, upper, sign * np.exp(log_s)),
                             "permutation": permutation_of(p, f"{place}/invconv/P")})
    indices = np.arange(channels)[::-1]
    if checkpoint.has(f"{place}/shuffle/indices"):
        indices = checkpoint.integers(f"{place}/shuffle/indices", channels)
    return Part("conv", {"lower_upper": np.eye(channels, dtype=number_type)[:, indices]})


def _kernel(checkpoint: Checkpoint, name: str) -> Array:
    """A kernel; a 1x1 kernel, which sees no border, with a weight 0 for the border's indicator."""
    kernel = checkpoint.take(name, None, None, None, None)
    if kernel.shape[:2] != (1, 1):
        return kernel
    return np.concatenate([kernel, np.zeros_like(kernel[:, :, :1])], axis=2)


def _zeros_conv(checkpoint: Checkpoint, place: str) -> dict[str, Array]:
    return {"kernel": _kernel(checkpoint, f"{place}/W"),
            "bias": checkpoint.channels(f"{place}/b"), "gain": checkpoint.channels(f"{place}/logs")}
