"""normflows' MultiscaleFlow of GlowBlocks as a Glow in normflows' dialect.

normflows' layers go from the latent to the image; towards the latent, with its own names:

    ActNorm              (x - t) exp(-s)                                  (x - m) exp(-v)
    Invertible1x1Conv    P (tril(L, -1) + 1) (triu(U, 1) + diag(sign_S exp(log_S))) x, or W x
    AffineCoupling       shift = out[0::2], scale = out[1::2]
        "sigmoid"        (x - shift) sigmoid(scale + 2)                   s (x - t)
        "sigmoid_inv"    (x - shift) / sigmoid(scale + 2)                 (x - t) / s
        "exp"            (x - shift) exp(-scale)                          (x - t) / s, s = exp(r)
        scale=False      x - out
    Squeeze              [C, 2 h, 2 w] -> [C a b, h, w]
    Merge                which half leaves

Source: normflows 1.7, flows/affine/glow.py, coupling.py, mixing.py, normalization.py, reshape.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from refglow.dtypes import Array
from refglow.validation.adapters.imported import Answers, Imported, re_indexed, reparametrised
from refglow.validation.adapters.levels import (
    ImageShape,
    Level,
    Part,
    assembled,
    uniform_factors,
)
from refglow.validation.adapters.torch_arrays import (
    array_of,
    channels_of,
    packed,
    permutation_of,
)
from refglow.validation.adapters.torch_networks import read_network, require_initialised
from refglow.validation.dialects.conversion import Conversion, NotRepresentableError
from refglow.validation.dialects.known import NORMFLOWS

_SCALE_MAPS = {"sigmoid": ("s (x - t)", "sigmoid(r + 2)"),
               "sigmoid_inv": ("(x - t) / s", "sigmoid(r + 2)"),
               "exp": ("(x - t) / s", "exp(r)")}


def from_normflows(model: Any, image_shape: ImageShape | None = None,
                   without_base: bool = False) -> Imported:
    """The Glow that a normflows.MultiscaleFlow is.

    Args:
      model: of GlowBlocks (or the flows that they are made of), a Squeeze at each level's end and
        Merges of channels between them; its ActNorms have seen data.
      image_shape: (H, W, C), where the base distributions do not say their shapes.
      without_base: take the flow alone, whatever its base distributions are; log p is then not
        the model's. By default they must be standard normal.

    Raises:
      NotRepresentableError: if it has anything else; says what and why.
    """
    if getattr(model, "transform", None) is not None:
        raise NotRepresentableError.at(f"Its transform, a {type(model.transform).__name__},",
                                       "it is not part of a Glow; import the model without it.")
    if not without_base:
        for k, base in enumerate(model.q0):
            _require_standard_normal(base, f"q0[{k}]")
    answers, levels = Answers(), []
    for i in reversed(range(len(model.flows))):
        parts = list(_level_parts(model.flows[i], i, answers))
        leaving = 0
        if i > 0:
            leaving = _merge(model.merges[i - 1], f"merges[{i - 1}]", _channels(parts), answers)
        levels.append(Level(tuple(parts), leaving))
    levels, factors, multiplied = uniform_factors(levels, "P L U")
    shape = image_shape or _shape_of(model, levels)
    dialect = answers.dialect(NORMFLOWS).but(factors=factors)
    glow, _ = assembled(shape, levels, dialect)
    return Imported(glow, (*_CONVERSIONS, *_conversions(answers, factors, multiplied)))


_CONVERSIONS = (
    re_indexed("squeeze", "[C, 2 h, 2 w] -> [C a b, h, w]", "c a b", "NCHW to NHWC"),
    re_indexed("kernel", "[out, in, kh, kw]", "as given", "to [kh, kw, in, out]"),
    re_indexed("actnorm", "t, s", "(x - m) exp(-v)", "m = t, v = s"))


def _conversions(answers: Answers, factors: str, multiplied: bool) -> Iterator[Conversion]:
    if factors == "P L U":
        yield reparametrised("factors", "P, L, U, sign_S, log_S", factors,
                             "U's diagonal is sign_S exp(log_S)")
    elif multiplied:
        yield reparametrised("factors", "use_lu in some blocks", factors,
                             "W = P L U is multiplied together, as other blocks have W itself")
    else:
        yield re_indexed("factors", "W", factors, "W itself")
    if answers.get("hidden_norm") == "actnorm":
        yield reparametrised("hidden_norm", "x exp(s) + t", "(x + m) exp(v)", "m = t exp(-s)")


def _level_parts(flows: Any, i: int, answers: Answers) -> Iterator[Part]:
    """The layers of flows[i] towards the latent, after its squeeze."""
    if not len(flows) or type(flows[-1]).__name__ != "Squeeze":
        raise NotRepresentableError.at(f"flows[{i}]", "its last flow is not a Squeeze; each of "
                                       "Glow's levels begins, next to the image, with one.")
    for k in reversed(range(len(flows) - 1)):
        where = f"flows[{i}][{k}]"
        block = type(flows[k]).__name__ == "GlowBlock"
        for flow in reversed(flows[k].flows) if block else [flows[k]]:
            kind = type(flow).__name__
            if kind not in _READERS:
                raise NotRepresentableError.at(f"{where}, a {kind},",
                                               f"Glow's steps have {', '.join(_READERS)}.")
            yield _READERS[kind](flow, f"{where}'s {kind}", answers)


def _actnorm(flow: Any, where: str, answers: Answers) -> Part:
    require_initialised(bool(flow.data_dep_init_done > 0), where)
    return Part("actnorm", {"shift": channels_of(flow.t, where),
                            "log_scale": channels_of(flow.s, where)})


def _conv(flow: Any, where: str, answers: Answers) -> Part:
    if not flow.use_lu:
        return Part("conv", {"lower_upper": array_of(flow.W, where)})
    p, lower, upper, sign, log_s = (array_of(getattr(flow, name), where)
                                    for name in ("P", "L", "U", "sign_S", "log_S"))
    return Part("conv", {"lower_upper": packed(lower, upper, sign * np.exp(log_s)),
                         "permutation": permutation_of(p, where)})


def _coupling(flow: Any, where: str, answers: Answers) -> Part:
    split, coupling, _ = flow.flows
    conditioning = {"channel": "low half", "channel_inv": "high half"}.get(split.mode)
    if conditioning is None:
        raise NotRepresentableError.at(f"{where} with split_mode {split.mode!r}",
                                       "a dialect's couplings split channels, not pixels.")
    affine = scale = None
    if coupling.scale:
        if coupling.scale_map not in _SCALE_MAPS:
            raise NotRepresentableError.at(f"{where} with scale_map {coupling.scale_map!r}",
                                           f"normflows has {', '.join(map(repr, _SCALE_MAPS))}.")
        affine, scale = _SCALE_MAPS[coupling.scale_map]
    network = read_network(coupling.param_map, f"{where}'s param_map")
    answers.add(where, conditioning=conditioning, affine=affine, scale=scale,
                padding=network.padding, activation=network.activation,
                hidden_norm=network.hidden_norm)
    return Part("coupling", network.arrays)


_READERS = {"ActNorm": _actnorm, "Invertible1x1Conv": _conv, "AffineCouplingBlock": _coupling}


def _channels(parts: list[Part]) -> int:
    """The number of channels that a level's ActNorms or convolutions say."""
    for part in parts:
        for role in ("shift", "lower_upper"):
            if part.kind != "coupling" and role in part.arrays:
                return len(part.arrays[role])
    raise NotRepresentableError.at("A level without ActNorm and 1x1 convolution",
                                   "it does not say how many channels it has.")


def _merge(merge: Any, where: str, channels: int, answers: Answers) -> int:
    """How many channels leave: Merge is torch.chunk towards the latent, its first part goes on."""
    half = {"channel": "high exits", "channel_inv": "low exits"}.get(merge.mode)
    if half is None:
        raise NotRepresentableError.at(f"{where} with mode {merge.mode!r}",
                                       "a dialect's exits take channels, not pixels.")
    answers.add(where, exit_half=half)
    return channels // 2


def _shape_of(model: Any, levels: list[Level]) -> ImageShape:
    base = tuple(getattr(model.q0[0], "shape", ()))
    if len(base) != 3:
        raise ValueError("The base distribution does not say the shape of the coarsest latents; "
                         "give image_shape=(H, W, C).")
    n = len(levels)
    return base[1] * 2**n, base[2] * 2**n, _channels(list(levels[0].parts)) // 4


def _require_standard_normal(base: Any, where: str) -> None:
    arrays: list[Array] = [array_of(value, where) for value in base.state_dict().values()]
    if type(base).__name__ != "DiagGaussian" or any(array.any() for array in arrays):
        raise NotRepresentableError.at(
            f"{where}, a {type(base).__name__},", "a dialect's latents are standard normal; give "
            "without_base=True to take the flow alone.")
